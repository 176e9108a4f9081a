// Store: edits and their pictures, on disk before anybody is told of them. One interface, so that
// another database can take SQLite's place.
#ifndef KONTEXT_SERVE_STORE_H_
#define KONTEXT_SERVE_STORE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/json.h"
#include "kontext/request.h"

namespace kontext::serve {

// The error code of a moderated edit that was refused before it ran; "moderated" is of a picture.
inline constexpr const char* kRequestModerated = "request_moderated";

struct StoredImage {
  int index = 0;
  std::string hash;  // of the picture's PNG
  uint64_t seed = 0;
  int width = 0, height = 0;
  double seconds = 0;
  std::string latents;  // hash of what it was decoded from; of held pictures of projects only
};

struct StoredEdit {
  std::string id;
  int64_t number = 0;  // in order of acceptance
  std::string owner;   // hash of the key it came with; empty where there are no keys
  std::string state;   // queued running review ready failed cancelled moderated
  double created = 0, started = 0, finished = 0;  // seconds since 1970; 0: not yet
  Json request;                                   // of the native API, seed and n filled in
  std::vector<std::string> inputs;                // hashes of its pictures, in order
  std::string mask;                               // hash, or empty
  int steps = 0;                                  // of all pictures
  Json notes = Json::array();
  std::string error_code, error_message;
  std::string idempotency_key, body_hash;
  // What may be seen; and what waits for a reviewer or was not approved. A picture is in one of
  // them, so who reads `images` shows none that is held.
  std::vector<StoredImage> images, held;
};

// What a reviewer said of an edit; kept after the edit is forgotten.
struct Decision {
  int64_t number = 0;
  std::string edit, owner;  // as StoredEdit's
  bool approved = false;
  std::string reason;    // or empty
  std::string reviewer;  // hash of the key, or empty
  double time = 0;       // seconds since 1970
};

// Whom to tell that an edit has ended.
struct Webhook {
  std::string edit;
  std::string url, secret;  // the client's own secret, or empty
  std::string base;         // how the client names this server: http://HOST
  int attempts = 0;         // that failed
  double next = 0;          // when to try again, seconds since 1970
};

// Bytes that an edit comes with or brings: of a picture, mostly.
struct NewPicture {
  explicit NewPicture(std::string_view b);
  std::string hash;
  std::string_view bytes;  // the caller's
};

class Store {
 public:
  virtual ~Store() = default;

  virtual Result<std::string> GetPicture(const std::string& hash) = 0;

  // The edit, the pictures it names by their hashes and whom to tell of its end: all or nothing,
  // and synced when it returns. Fills in `number`.
  virtual Status Add(StoredEdit& edit, const std::vector<NewPicture>& pictures,
                     const std::optional<Webhook>& webhook) = 0;
  virtual Result<std::optional<StoredEdit>> Get(const std::string& id) = 0;
  virtual Result<std::optional<StoredEdit>> FindIdempotent(const std::string& owner,
                                                           const std::string& key) = 0;
  // Of ended edits, to be tried at `now`, those that wait longest first.
  virtual Result<std::vector<Webhook>> DueWebhooks(double now) = 0;
  virtual Status UpdateWebhook(const Webhook& webhook) = 0;  // attempts and next
  virtual Status ForgetWebhook(const std::string& edit) = 0;
  // Newest first, numbers below `before` (0: all); of every owner if there are no keys.
  virtual Result<std::vector<StoredEdit>> List(const std::string& owner, int64_t before,
                                               int limit) = 0;
  // Queued ones in the order they will run: those begun before, then owners in turn.
  virtual Result<std::vector<StoredEdit>> Waiting() = 0;
  virtual Status Update(const StoredEdit& edit) = 0;  // state, times, notes, error
  virtual Status Forget(const std::string& id) = 0;

  // A finished picture with the bytes it names by their hashes, and the place to go on from, at
  // once. A held one is seen after Decide only.
  virtual Status AddImage(const std::string& id, const StoredImage& image,
                          const std::vector<NewPicture>& pictures, bool held) = 0;
  virtual Status SaveCheckpoint(const std::string& id, const ResumePoint& checkpoint) = 0;
  virtual Result<std::optional<ResumePoint>> LoadCheckpoint(const std::string& id) = 0;

  // Edits that wait for a reviewer, numbers above `after`, the oldest first.
  virtual Result<std::vector<StoredEdit>> InReview(int64_t after, int limit) = 0;
  // The edit's new state, its pictures' freedom if they are approved, and the decision, at once.
  virtual Status Decide(const StoredEdit& edit, const Decision& decision) = 0;
  // Newest first, numbers below `before` (0: all).
  virtual Result<std::vector<Decision>> Decisions(int64_t before, int limit) = 0;

  // Edits that were running when the process ended wait again. Those that another engine began,
  // named otherwise, begin the picture that they were at anew: half-made latents mean nothing to
  // this one.
  virtual Status Requeue(const std::string& engine) = 0;
  virtual Result<int64_t> PictureBytes() = 0;  // of all of them
  // Forgets ended edits, oldest first, until pictures take at most `bytes`.
  virtual Status Trim(int64_t bytes) = 0;
  // The same for one owner's edits, and the pictures that these use.
  virtual Status TrimOwner(const std::string& owner, int64_t bytes) = 0;
};

Result<std::unique_ptr<Store>> OpenSqliteStore(const std::string& folder);

// 64 hexadecimal digits.
std::string HashOf(std::string_view bytes);
// So many random ones: a name that nothing else has.
std::string RandomHex(size_t digits);

}  // namespace kontext::serve

#endif  // KONTEXT_SERVE_STORE_H_
