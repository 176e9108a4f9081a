// kontext.cpp: edits pictures from plain-English instructions with FLUX.1 Kontext [dev].
//
//   #include <kontext/kontext.h>
//
//   int main() {
//     auto engine = kontext::Engine::Open({.model = "models/mini"});
//     auto photo = kontext::LoadPicture("in.png");
//     if (!engine.ok() || !photo.ok()) return 1;
//     kontext::EditRequest request;
//     request.images = {photo->pixels};
//     request.prompt = "put the cat in the city";
//     auto edits = engine->Edit(request);
//     return edits.ok() && kontext::SavePicture("out.png", (*edits)[0]).ok() ? 0 : 1;
//   }
//
// Nothing here throws, prints or exits; every failure is a Status (kontext/status.h). Nothing is
// downloaded or sent. An Engine may be used from one thread at a time; several engines are
// independent.
#ifndef KONTEXT_KONTEXT_H_
#define KONTEXT_KONTEXT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kontext/request.h"
#include "kontext/status.h"

namespace kontext {

std::string Version();  // "0.1.0"

// ---- Pictures
// --------------------------------------------------------------------------------------

struct LoadedPicture {
  Pixels pixels;  // 3 channels, or 4 if the file has alpha and it was asked for
  std::vector<std::string>
      notes;           // what was applied: EXIF rotation, colour profile, alpha over white
  std::string recipe;  // our recipe, if the file carries one
};
// PNG, JPEG or WebP, told by content.
Result<LoadedPicture> LoadPicture(const std::string& path, bool keep_alpha = false);
// A mask from a picture (docs/masks.md): of a file without transparent pixels, white may change and
// black stays; of one with some, transparent may change and opaque stays, and colours do not count.
// kBadInput where both readings make sense: the visible part white, the rest transparent.
Result<Mask> MaskFromPixels(const Pixels& pixels);
Result<Mask> LoadMask(const std::string& path);
// By extension: .png .jpg .jpeg .webp. The recipe goes into the file. An existing file is replaced
// only by a complete new one.
Status SavePicture(const std::string& path, const Edited& edited);
// The same without a file. `what` names the bytes in messages; `extension` is ".png", ".jpg",
// ".webp". Files of more than `max_pixels` are refused before they are decoded; 0: the limit of
// LoadPicture.
Result<LoadedPicture> DecodePictureBytes(std::string_view bytes, const std::string& what,
                                         bool keep_alpha = false, int64_t max_pixels = 0);
Result<std::string> EncodePictureBytes(const Edited& edited, const std::string& extension);
// By Lanczos, as Pillow does it.
Result<Pixels> ScalePicture(const Pixels& picture, Size size);

// ---- The engine
// ------------------------------------------------------------------------------------

struct EngineOptions {
  // A model directory in Diffusers layout, or one file: a transformer alone or an all-in-one
  // checkpoint; empty if the four files below make the model.
  std::string model = {};
  std::string transformer = {};  // files that replace or complete its parts
  std::string vae = {};
  std::string clip = {};
  std::string t5 = {};
  // For a model that is no directory: a folder with tokenizer/ and tokenizer_2/, as
  // models/flux1-tokenizers; its config files, if any, say what shapes of tensors cannot tell.
  std::string tokenizers = {};
  std::vector<LoraChoice> loras = {};  // adapters, all at once; see docs/lora.md
  bool merge_loras = false;  // true: into the weights as they are used; false: beside the products
  std::string backend = {};  // "cpu", "reference"; empty: $KONTEXT_BACKEND, else the best here
  std::string dtype = {};    // "bf16", "f32"; empty: what suits the processor
  int threads = 0;           // 0: all this process may use
  // Bytes of anonymous and pinned memory that this process may hold, 0 for what is free; pages of
  // mapped weights get what is left of them, and are streamed where they do not fit
  // (docs/memory.md).
  int64_t memory_limit = 0;
  std::string cache = {};  // folder for embeddings of prompts; empty: they are kept in memory only
};

struct ModelInfo {
  std::string name;
  std::string license;
  std::string fingerprint;  // tells two models apart; see docs/recipe.md
  std::string variant;      // "Kontext [dev], by ...": which FLUX.1 it is, and who says so
  std::vector<Size> preferred_sizes;
  int default_steps = 28;
  float default_guidance = 2.5f;
  int t5_tokens = 512;
};

// What calls of one kind of op took: of all runs since Engine::StartTrace(), or of one size in a
// bench's steps.
struct OpTime {
  std::string op;
  std::string result;  // shape, as "[2560,3072]"; empty where sizes are added up
  int64_t calls = 0;
  double seconds = 0;
  double operations = 0;  // 2 x multiply-adds
  double bytes = 0;       // of activations read and written, every operand once
};

// How long a prompt is for the two text encoders, marks included, and how much of it is read.
struct TokenCounts {
  int64_t t5 = 0, t5_limit = 0;
  int64_t clip = 0, clip_limit = 0;
};

class Engine {
 public:
  static Result<Engine> Open(const EngineOptions& options);
  ~Engine();
  Engine(Engine&&) noexcept;
  Engine& operator=(Engine&&) noexcept;

  // Runs the request; `listener` may be null. All pictures, in the order of their seeds.
  Result<std::vector<Edited>> Edit(const EditRequest& request, EditListener* listener = nullptr);

  ModelInfo model() const;
  // May be asked while another thread is in Edit().
  Result<TokenCounts> CountTokens(const std::string& prompt) const;
  EditLimits limits() const;
  void StartTrace();
  std::vector<OpTime> trace() const;

 private:
  struct Impl;
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// ---- Looking at files
// ------------------------------------------------------------------------------

struct Inspection {
  std::string kind;     // "safetensors file", "model directory", "picture", ...
  std::string family;   // "FLUX.1 transformer", "CLIP text encoder", ...
  std::string variant;  // "Kontext [dev]", and how that was decided
  std::string layout;   // "BFL", "Diffusers", ...
  int64_t tensors = 0;
  int64_t parameters = 0;
  int64_t bytes = 0;
  struct DTypeRow {
    std::string dtype;
    int64_t tensors = 0;
    int64_t parameters = 0;
    int64_t bytes = 0;
  };
  std::vector<DTypeRow> dtypes;
  std::vector<std::string> problems;  // what is wrong, each with what to do
  std::vector<Inspection> parts;      // of a model directory
  std::string path;
  std::string recipe;     // of a picture that carries one
  std::string sha256;     // if it was asked for, or the size is that of a published file
  std::string published;  // which published file has that sum, or that none has
};
struct InspectOptions {
  bool sha256 = false;  // of every weight file: about a second per GB
};
// What a file or folder is, by its content. A thing that cannot be read is an error; a thing that
// can be read but not used is an Inspection with problems.
Result<Inspection> Inspect(const std::string& path, const InspectOptions& options = {});

// What was found in a folder of models: of ComfyUI, of Hugging Face's cache, of downloads.
struct Diagnosis {
  struct File {
    std::string path;
    std::string what;                   // family, variant, encoding, size
    bool usable = false;                // a model can be made with it
    std::vector<std::string> problems;  // each with what to do
  };
  std::string folder;
  std::vector<File> files;           // weight files, and what stands in the place of one
  std::vector<std::string> notes;    // what was not looked at, and why
  std::vector<std::string> missing;  // parts that no file has, with what to get
  std::vector<std::string> command;  // arguments of the kontext that would edit; empty if none
  std::string command_line;          // the same, quoted for a shell
};
// Walks `folder` within bounds, classifies each file by its content and finds the parts that make
// a model.
Result<Diagnosis> Doctor(const std::string& folder);

// ---- Measuring
// -------------------------------------------------------------------------------------

struct StepBenchOptions {
  int double_blocks = 2;
  int single_blocks = 4;
  Size size{512, 512};  // of target and reference alike; 0 reference tokens if !edit
  bool edit = true;
  int text_tokens = 512;
  int repeats = 3;
  Mode mode = Mode::kExact;
  std::string backend, dtype;  // as in EngineOptions
  int threads = 0;
};
struct StepBench {
  double seconds = 0;  // median of one step
  std::vector<double> all_seconds;
  double operations = 0;  // of one step
  double bare_f32 = 0, bare_bf16 = 0, bare_s8 = 0,
         bare_u8s8 = 0;  // op/s of a bare matmul 2560x3072x12288;
                         // 0 where the machine refuses it
  std::string isa;
  std::string dtype;
  int threads = 0;
  int64_t tokens = 0;
  std::vector<OpTime> trace;
};
// One edit step of full-width FLUX (D 3072) with that many blocks and random weights, and the bare
// matrix product beside it in the same run.
Result<StepBench> BenchStep(const StepBenchOptions& options);

struct DecodeBenchOptions {
  Size size{512, 512};
  int repeats = 3;
  std::string backend, dtype;  // as in EngineOptions
  int threads = 0;
};
struct TextBenchOptions {
  int layers = 24;
  int tokens = 512;
  int repeats = 3;
  std::string backend, dtype;  // as in EngineOptions
  int threads = 0;
};
struct PartBench {
  double seconds = 0;  // median of one run
  std::vector<double> all_seconds;
  double operations = 0;  // of one run
  int64_t memory = 0;     // activations and workspace, bytes; weights are apart
  std::string isa;
  std::vector<OpTime> trace;
};
// FLUX.1's autoencoder with random weights: latents to a picture.
Result<PartBench> BenchDecode(const DecodeBenchOptions& options);
// T5-XXL's encoder with random weights in bf16, 0.4 GB a layer: a prompt's tokens to its states.
Result<PartBench> BenchText(const TextBenchOptions& options);

}  // namespace kontext

#endif  // KONTEXT_KONTEXT_H_
