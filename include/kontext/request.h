// What an edit is asked for and what comes back: plain data, shared by the engine and its users.
#ifndef KONTEXT_REQUEST_H_
#define KONTEXT_REQUEST_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace kontext {

// 8-bit sRGB, rows top to bottom, [height, width, channels]; channels 3, or 4 with straight alpha.
struct Pixels {
  int width = 0;
  int height = 0;
  int channels = 3;
  std::vector<uint8_t> data;
};

// Which parts of a picture an edit may change: 255 may, 0 stays, between them in part. Rows top to
// bottom, [height, width].
struct Mask {
  int width = 0;
  int height = 0;
  std::vector<uint8_t> data;
};

// What the transformer works on: a picture of width x height pixels as [height / 8, width / 8, 16].
struct Latents {
  int width = 0;  // of the picture, pixels; multiples of 16
  int height = 0;
  std::vector<float> data;
};

struct Size {
  int width = 0;  // pixels
  int height = 0;
  friend bool operator==(const Size&, const Size&) = default;
};

// Whose habits to follow where programs differ (size, T5 length, schedule, noise); docs/likes.md.
enum class Like { kOurs, kBfl, kDiffusers, kComfyUi, kSdCpp };

// How exactly an edit is computed; docs/modes.md.
enum class Mode {
  kExact,     // no approximation
  kDefault,   // the transformer's blocks multiply in 8 bits, in all below as well
  kBalanced,  // fewer passes of the transformer: about twice as fast
  kFast,      // about four times as fast
};
inline constexpr std::array kModes = {Mode::kExact, Mode::kDefault, Mode::kBalanced, Mode::kFast};
std::string NameOf(Mode mode);  // "exact", "default", "balanced", "fast"

// An adapter to put on the model: a LoRA, LoHa, LoKr or difference file, under any of the names in
// docs/lora.md.
struct LoraChoice {
  std::string path;
  // 1: as it was trained; 0: not at all; below 0: the other way. None: 1, or what the makers of a
  // distillation for few steps say.
  std::optional<float> strength = {};
};

// Where a run stands after a finished step: enough to go on from there, in another process too,
// with the result it would have had. Only for the same request, seed included, on the same model,
// backend and dtype.
struct ResumePoint {
  int picture = 0;             // which of the request's, from 0; those before it are finished
  int step = 0;                // steps finished of that picture
  std::vector<float> latents;  // [Ti, 64] target tokens at that step's noise level
};

struct EditRequest {
  std::string prompt;          // the instruction; may be empty
  std::vector<Pixels> images;  // references, in order; none means text to image
  // Of images[i], if latents[i] has data: used in the place of encoding it, at their own size. The
  // latents that a picture was decoded from have lost nothing to 8 bits (docs/drift.md). May be
  // shorter than `images`.
  std::vector<Latents> latents;
  std::optional<Size> size;  // of the output; none: by the first reference, or the model's first
  std::optional<uint64_t> seed;         // none: drawn, and told in the result
  int count = 1;                        // pictures, of seeds seed .. seed + count - 1
  std::optional<int> steps;             // none: --like's, the model's, 28
  std::optional<float> guidance;        // none: --like's, the model's, 2.5
  float true_cfg = 1.0f;                // above 1, and with a negative prompt: two passes a step
  std::optional<std::string> negative;  // "" counts as given
  Like like = Like::kOurs;
  Mode mode = Mode::kDefault;
  bool keep_reference_size = false;  // use references as they are (sides cut to multiples of 16)
  // Keeps a part of the first reference: the output then has that picture's own size, and where the
  // mask is 0 its own bytes (docs/masks.md). Of the picture's size, or of its aspect.
  std::optional<Mask> mask;
  int feather_px = 0;     // over how many pixels the edit fades out, inside the mask's edge
  bool previews = false;  // hand a small picture to the listener after every step
  std::optional<ResumePoint> resume =
      {};  // go on from here; needs the seed; gives pictures from here
  // Files that `images` and `mask` came from, for the recipe only; may be empty or shorter.
  std::vector<std::string> image_files;
  std::string mask_file;
};

// Every bound on a request, once; command line, server and studio read them from here.
struct EditLimits {
  int multiple = 16;  // sides of the output are multiples of this
  int min_side = 16;
  int max_side = 4096;
  int64_t max_pixels = 4096 * 2048;
  int max_steps = 1000;
  float max_guidance = 100.0f;
  float max_true_cfg = 100.0f;
  int max_count = 1000;
  int max_images = 8;
  int max_feather_px = 4096;
  int max_mask_side = 65535;
  int64_t max_prompt_bytes = 64 << 10;
};

enum class Stage { kPrompt, kReferences, kSteps, kDecode, kDone };

struct Progress {
  Stage stage = Stage::kPrompt;
  int picture = 0;  // which of `pictures`, from 0
  int pictures = 1;
  int step = 0;  // steps finished
  int steps = 0;
  double seconds_per_step = 0;      // mean over the finished ones; 0 before the first
  double seconds_left = 0;          // of all pictures; 0 while unknown
  const Pixels* preview = nullptr;  // after a step, if asked for
};

// One finished picture.
struct Edited {
  Pixels picture;
  uint64_t seed = 0;
  std::string recipe;  // JSON: everything needed to make it again
  double seconds = 0;
  Latents latents = {};  // that the picture was decoded from; a mask's pixels are put in later
};

// Watches a run. The engine calls from the thread that called Edit().
class EditListener {
 public:
  virtual ~EditListener() = default;
  virtual void OnProgress(const Progress& progress) { (void)progress; }
  // Once per remark worth a user's reading: a prompt that was cut, a picture that was scaled.
  virtual void OnNote(const std::string& note) { (void)note; }
  // After every step, if the listener wants them: what it takes to go on from there. In modes that
  // forecast only after a picture's last step: a run inside of it begins that picture anew.
  virtual bool WantsCheckpoints() { return false; }
  virtual void OnCheckpoint(const ResumePoint& checkpoint) { (void)checkpoint; }
  // As each picture is done, before the next begins; so nothing finished is lost by a later
  // failure.
  virtual void OnPicture(const Edited& edited) { (void)edited; }
  // Asked about once per transformer block; true ends the run with Code::kCancelled.
  virtual bool Cancelled() { return false; }
};

}  // namespace kontext

#endif  // KONTEXT_REQUEST_H_
