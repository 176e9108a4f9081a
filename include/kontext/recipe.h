// Recipes read back: what a picture says it was made from, and whether that is so.
#ifndef KONTEXT_RECIPE_H_
#define KONTEXT_RECIPE_H_

#include <optional>
#include <string>
#include <vector>

#include "kontext/kontext.h"
#include "kontext/request.h"
#include "kontext/status.h"

namespace kontext {

// 64 hexadecimal digits that two pictures share only if they show the same (docs/recipe.md).
Result<std::string> PixelsSha256(const Pixels& pixels);
Result<std::string> MaskSha256(const Mask& mask);

// docs/recipe.md, as a structure.
struct Recipe {
  EditRequest request;  // all but the pictures, the mask and the latents
  struct Picture {
    std::string file;  // as it was named; may be empty
    std::string pixels_sha256;
    bool alpha = false;
    bool latents = false;  // of the picture it was, its latents were used
  };
  std::vector<Picture> references;
  std::optional<Picture> mask;
  Size size;  // of the finished picture

  std::string model_name, fingerprint;
  struct Lora {
    std::string file;  // without folders
    std::string sha256;
    float strength = 1;
  };
  std::vector<Lora> loras;
  bool loras_merged = false;

  // What computed it. Equal pixels are promised where all of these are equal.
  std::string version, build, isa, backend, activations, mode;
  int threads = 0;
};
// kBadInput naming the field that is missing or wrong.
Result<Recipe> ReadRecipe(const std::string& json);

// How near two pictures of one size are, over all their bytes; 0 dB if the sizes differ.
struct Comparison {
  bool equal = false;
  double psnr_db = 0;  // infinity if equal
};
Comparison Compare(const Pixels& a, const Pixels& b);
inline constexpr double kSamePictureDb = 40;  // at least, across machines, builds and threads

// What kept the two runs from being the same one: "threads: 2, here 1". Empty: equal pixels are
// due.
std::vector<std::string> RunDifferences(const Recipe& made, const Recipe& again);
// Whether a picture made again matches: equal, or near enough where the runs differ.
bool Matches(const Comparison& comparison, const std::vector<std::string>& differences);

struct VerifyOptions {
  EngineOptions engine;  // its backend, dtype and threads, if left open, are the recipe's
  std::vector<std::string> inputs;  // instead of the recipe's files, in their order
  std::string mask;                 // instead of the recipe's
};
struct Verification {
  Comparison comparison;
  std::vector<std::string> differences;  // of the two runs
  bool matches = false;
  Edited again;
};
// Runs the recipe in the picture at `path` again. Input files are looked for where the recipe says,
// from the current folder and from the picture's, and beside the picture; their pixels decide.
// kBadInput if the recipe, an input, the mask, an adapter or the model is missing or another one.
Result<Verification> Verify(const std::string& path, const VerifyOptions& options,
                            EditListener* listener = nullptr);

}  // namespace kontext

#endif  // KONTEXT_RECIPE_H_
