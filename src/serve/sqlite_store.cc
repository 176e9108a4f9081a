// Store over SQLite: write-ahead log, synced at every commit, pictures inside by their hash.
#include <openssl/evp.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <random>

#include "serve/statement.h"
#include "serve/store.h"

namespace kontext::serve {
namespace {

constexpr const char* kSchema = R"sql(
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  PRAGMA busy_timeout = 10000;
  CREATE TABLE IF NOT EXISTS pictures (hash TEXT PRIMARY KEY, bytes BLOB NOT NULL);
  CREATE TABLE IF NOT EXISTS edits (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, owner TEXT NOT NULL,
    state TEXT NOT NULL, created REAL, started REAL, finished REAL, request TEXT NOT NULL,
    inputs TEXT NOT NULL, mask TEXT NOT NULL, steps INTEGER, notes TEXT, error_code TEXT,
    error_message TEXT, idempotency_key TEXT, body_hash TEXT);
  CREATE INDEX IF NOT EXISTS edits_by_state ON edits (state);
  CREATE INDEX IF NOT EXISTS edits_by_owner ON edits (owner, idempotency_key);
  CREATE TABLE IF NOT EXISTS images (
    edit TEXT NOT NULL, picture INTEGER NOT NULL, hash TEXT NOT NULL, seed TEXT NOT NULL,
    width INTEGER, height INTEGER, seconds REAL, PRIMARY KEY (edit, picture));
  CREATE TABLE IF NOT EXISTS checkpoints (
    edit TEXT PRIMARY KEY, picture INTEGER, step INTEGER, latents BLOB);
  CREATE TABLE IF NOT EXISTS uses (edit TEXT NOT NULL, hash TEXT NOT NULL);
  CREATE INDEX IF NOT EXISTS uses_by_hash ON uses (hash);
  CREATE INDEX IF NOT EXISTS uses_by_edit ON uses (edit);
)sql";

constexpr const char* kColumns =
    "SELECT id, number, owner, state, created, started, finished, request, inputs, mask, steps, "
    "notes, error_code, error_message, idempotency_key, body_hash FROM edits ";

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

class SqliteStore : public Store {
 public:
  explicit SqliteStore(sqlite3* db) : db_(db) {}
  ~SqliteStore() override { sqlite3_close(db_); }
  SqliteStore(const SqliteStore&) = delete;
  SqliteStore& operator=(const SqliteStore&) = delete;

  Status Execute(const char* sql) {
    char* message = nullptr;
    if (sqlite3_exec(db_, sql, nullptr, nullptr, &message) == SQLITE_OK) return Status();
    const std::string text = message == nullptr ? "" : message;
    sqlite3_free(message);
    return Internal("the store: {}", text);
  }

  Result<std::string> PutPicture(const std::string& bytes) override {
    const std::lock_guard lock(mutex_);
    const std::string hash = HashOf(bytes);
    if (hash.empty()) return Internal("this OpenSSL has no SHA-256");
    KX_RETURN_IF_ERROR(Statement(db_, "INSERT OR IGNORE INTO pictures VALUES (?, ?)")
                           .Bind(hash)
                           .BindBlob(bytes.data(), bytes.size())
                           .Run());
    return hash;
  }

  Result<std::string> GetPicture(const std::string& hash) override {
    const std::lock_guard lock(mutex_);
    Statement select(db_, "SELECT bytes FROM pictures WHERE hash = ?");
    if (select.Bind(hash).Row()) return select.Text(0);
    KX_RETURN_IF_ERROR(select.status());
    return BadInput("the store has no picture {}", hash);
  }

  Status Add(StoredEdit& e) override {
    const std::lock_guard lock(mutex_);
    return InTransaction([&] { return Insert(e); });
  }

  Result<std::optional<StoredEdit>> Get(const std::string& id) override {
    const std::lock_guard lock(mutex_);
    Statement select(db_, (std::string(kColumns) + "WHERE id = ?").c_str());
    return One(select.Bind(id));
  }

  Result<std::optional<StoredEdit>> FindIdempotent(const std::string& owner,
                                                   const std::string& key) override {
    const std::lock_guard lock(mutex_);
    Statement select(db_,
                     (std::string(kColumns) + "WHERE owner = ? AND idempotency_key = ?").c_str());
    return One(select.Bind(owner).Bind(key));
  }

  Result<std::vector<StoredEdit>> List(const std::string& owner, int64_t before,
                                       int limit) override {
    const std::lock_guard lock(mutex_);
    Statement select(db_, (std::string(kColumns) +
                           "WHERE owner = ? AND (? = 0 OR number < ?) ORDER BY number DESC LIMIT ?")
                              .c_str());
    return All(select.Bind(owner).Bind(before).Bind(before).Bind(int64_t{limit}));
  }

  Result<std::vector<StoredEdit>> Waiting() override {
    const std::lock_guard lock(mutex_);
    // turn: how many of its owner's edits wait before it; equal turns go to who was served longest
    // ago, then to who came first.
    Statement select(
        db_, (std::string(kColumns) +
              "WHERE state = 'queued' ORDER BY started = 0, "
              "(SELECT COUNT(*) FROM edits o WHERE o.owner = edits.owner AND o.state = 'queued' "
              " AND o.number < edits.number), "
              "(SELECT MAX(o.started) FROM edits o WHERE o.owner = edits.owner), number")
                 .c_str());
    return All(select);
  }

  Status Update(const StoredEdit& e) override {
    const std::lock_guard lock(mutex_);
    return InTransaction([&] {
      KX_RETURN_IF_ERROR(Statement(db_,
                                   "UPDATE edits SET state = ?, started = ?, finished = ?, notes = "
                                   "?, error_code = ?, error_message = ? WHERE id = ?")
                             .Bind(e.state)
                             .Bind(e.started)
                             .Bind(e.finished)
                             .Bind(Dump(e.notes))
                             .Bind(e.error_code)
                             .Bind(e.error_message)
                             .Bind(e.id)
                             .Run());
      if (e.finished == 0) return Status();
      return Statement(db_, "DELETE FROM checkpoints WHERE edit = ?").Bind(e.id).Run();
    });
  }

  Status Forget(const std::string& id) override {
    const std::lock_guard lock(mutex_);
    return InTransaction([&] { return Delete(id); });
  }

  Status AddImage(const std::string& id, const StoredImage& image) override {
    const std::lock_guard lock(mutex_);
    return InTransaction([&] {
      KX_RETURN_IF_ERROR(
          Statement(db_, "INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?, ?, ?)")
              .Bind(id)
              .Bind(int64_t{image.index})
              .Bind(image.hash)
              .Bind(std::to_string(image.seed))
              .Bind(int64_t{image.width})
              .Bind(int64_t{image.height})
              .Bind(image.seconds)
              .Run());
      KX_RETURN_IF_ERROR(
          Statement(db_, "INSERT INTO uses VALUES (?, ?)").Bind(id).Bind(image.hash).Run());
      return PutCheckpoint(id, {image.index + 1, 0, {}});
    });
  }

  Status SaveCheckpoint(const std::string& id, const ResumePoint& checkpoint) override {
    const std::lock_guard lock(mutex_);
    return PutCheckpoint(id, checkpoint);
  }

  Result<std::optional<ResumePoint>> LoadCheckpoint(const std::string& id) override {
    const std::lock_guard lock(mutex_);
    Statement select(db_, "SELECT picture, step, latents FROM checkpoints WHERE edit = ?");
    if (!select.Bind(id).Row()) {
      KX_RETURN_IF_ERROR(select.status());
      return std::optional<ResumePoint>();
    }
    ResumePoint c{static_cast<int>(select.Int(0)), static_cast<int>(select.Int(1)), {}};
    const std::string bytes = select.Text(2);
    c.latents.resize(bytes.size() / sizeof(float));
    if (!bytes.empty())
      std::memcpy(c.latents.data(), bytes.data(), c.latents.size() * sizeof(float));
    return std::optional<ResumePoint>(std::move(c));
  }

  Status Requeue() override {
    const std::lock_guard lock(mutex_);
    return Execute("UPDATE edits SET state = 'queued' WHERE state = 'running'");
  }

  Status Trim(int64_t bytes) override {
    const std::lock_guard lock(mutex_);
    while (true) {
      Statement sum(db_, "SELECT COALESCE(SUM(LENGTH(bytes)), 0) FROM pictures");
      if (!sum.Row()) return sum.status();
      if (sum.Int(0) <= bytes) return Status();
      Statement oldest(db_, "SELECT id FROM edits WHERE finished > 0 ORDER BY finished LIMIT 1");
      if (!oldest.Row()) return oldest.status();
      const std::string id = oldest.Text(0);
      KX_RETURN_IF_ERROR(InTransaction([&] { return Delete(id); }));
    }
  }

 private:
  template <class F>
  Status InTransaction(const F& work) {
    KX_RETURN_IF_ERROR(Execute("BEGIN IMMEDIATE"));
    Status status = work();
    if (status.ok()) status = Execute("COMMIT");
    if (!status.ok()) sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
    return status;
  }

  Status Insert(StoredEdit& e) {
    KX_RETURN_IF_ERROR(
        Statement(db_,
                  "INSERT INTO edits (id, owner, state, created, started, finished, request, "
                  "inputs, mask, steps, notes, error_code, error_message, idempotency_key, "
                  "body_hash) VALUES (?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
            .Bind(e.id)
            .Bind(e.owner)
            .Bind(e.state)
            .Bind(e.created)
            .Bind(e.finished)
            .Bind(Dump(e.request))
            .Bind(Dump(e.inputs))
            .Bind(e.mask)
            .Bind(int64_t{e.steps})
            .Bind(Dump(e.notes))
            .Bind(e.error_code)
            .Bind(e.error_message)
            .Bind(e.idempotency_key)
            .Bind(e.body_hash)
            .Run());
    e.number = sqlite3_last_insert_rowid(db_);
    std::vector<std::string> used = e.inputs;
    if (!e.mask.empty()) used.push_back(e.mask);
    for (const std::string& hash : used) {
      KX_RETURN_IF_ERROR(
          Statement(db_, "INSERT INTO uses VALUES (?, ?)").Bind(e.id).Bind(hash).Run());
    }
    return Status();
  }

  Status PutCheckpoint(const std::string& id, const ResumePoint& c) {
    return Statement(db_, "INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?, ?)")
        .Bind(id)
        .Bind(int64_t{c.picture})
        .Bind(int64_t{c.step})
        .BindBlob(c.latents.data(), c.latents.size() * sizeof(float))
        .Run();
  }

  Status Delete(const std::string& id) {
    for (const char* sql :
         {"DELETE FROM pictures WHERE hash IN (SELECT hash FROM uses WHERE edit = ?1) AND NOT "
          "EXISTS (SELECT 1 FROM uses u WHERE u.hash = pictures.hash AND u.edit <> ?1)",
          "DELETE FROM uses WHERE edit = ?1", "DELETE FROM images WHERE edit = ?1",
          "DELETE FROM checkpoints WHERE edit = ?1", "DELETE FROM edits WHERE id = ?1"}) {
      KX_RETURN_IF_ERROR(Statement(db_, sql).Bind(id).Run());
    }
    return Status();
  }

  Result<std::optional<StoredEdit>> One(Statement& select) {
    KX_ASSIGN_OR_RETURN(std::vector<StoredEdit> found, All(select));
    if (found.empty()) return std::optional<StoredEdit>();
    return std::optional<StoredEdit>(std::move(found.front()));
  }

  Result<std::vector<StoredEdit>> All(Statement& select) {
    std::vector<StoredEdit> edits;
    while (select.Row()) {
      StoredEdit e;
      e.id = select.Text(0);
      e.number = select.Int(1);
      e.owner = select.Text(2);
      e.state = select.Text(3);
      e.created = select.Real(4);
      e.started = select.Real(5);
      e.finished = select.Real(6);
      KX_ASSIGN_OR_RETURN(e.request, ParseJson(select.Text(7), "the store's request"));
      KX_ASSIGN_OR_RETURN(const Json inputs, ParseJson(select.Text(8), "the store's inputs"));
      e.inputs = inputs.get<std::vector<std::string>>();
      e.mask = select.Text(9);
      e.steps = static_cast<int>(select.Int(10));
      KX_ASSIGN_OR_RETURN(e.notes, ParseJson(select.Text(11), "the store's notes"));
      e.error_code = select.Text(12);
      e.error_message = select.Text(13);
      e.idempotency_key = select.Text(14);
      e.body_hash = select.Text(15);
      KX_RETURN_IF_ERROR(ReadImages(e));
      edits.push_back(std::move(e));
    }
    KX_RETURN_IF_ERROR(select.status());
    return edits;
  }

  Status ReadImages(StoredEdit& e) {
    Statement select(db_,
                     "SELECT picture, hash, seed, width, height, seconds FROM images WHERE edit = "
                     "? ORDER BY picture");
    select.Bind(e.id);
    while (select.Row()) {
      e.images.push_back({static_cast<int>(select.Int(0)), select.Text(1),
                          std::strtoull(select.Text(2).c_str(), nullptr, 10),
                          static_cast<int>(select.Int(3)), static_cast<int>(select.Int(4)),
                          select.Real(5)});
    }
    return select.status();
  }

  std::mutex mutex_;
  sqlite3* db_;
};

}  // namespace

std::string HashOf(const std::string& bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1)
    return "";
  std::string text;
  for (unsigned int i = 0; i < size; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

std::string RandomHex(size_t digits) {
  std::random_device device;
  std::string text;
  while (text.size() < digits) text += fmt::format("{:08x}", device());
  return text.substr(0, digits);
}

Result<std::unique_ptr<Store>> OpenSqliteStore(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return BadInput("{}: {}", folder, error.message());
  std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
  const std::string path = folder + "/edits.sqlite";
  sqlite3* db = nullptr;
  const int code = sqlite3_open(path.c_str(), &db);
  auto store = std::make_unique<SqliteStore>(db);
  if (code != SQLITE_OK) return BadInput("{}: {}", path, sqlite3_errmsg(db));
  KX_RETURN_IF_ERROR(store->Execute(kSchema));
  return std::unique_ptr<Store>(std::move(store));
}

}  // namespace kontext::serve
