// A tree of edits in one file, FILE.kontext: turns, their pictures, latents and recipes
// (docs/tree.md). The command's `--tree` and the studio's project are this file.
//
//   auto tree = kontext::Tree::OpenOrCreate("cat.kontext");
//   auto root = tree->AddRoot("photo", photo.pixels);
//   auto request = tree->Continue(*root);          // its picture, and latents if it has any
//   request->prompt = "make it night";
//   auto edits = engine.Edit(*request);
//   auto night = tree->AddEdit(*root, "night", *request, (*edits)[0]);
//
// One Tree is used from one thread at a time; several may have the same file open. Each change is a
// transaction: after a crash the file holds all of it or nothing.
#ifndef KONTEXT_TREE_H_
#define KONTEXT_TREE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kontext/kontext.h"
#include "kontext/recipe.h"

namespace kontext {

// How far a picture has gone from an earlier one where no edit was meant (docs/drift.md).
struct Drift {
  double share = 0;         // of the picture that was compared, 0..1; the rest was edited
  double psnr_db = 0;       // infinity if equal
  double colour_shift = 0;  // distance of the mean colours in CIELAB (CIE 1976)
  double sharpness = 1;     // mean absolute Laplacian of the luma, now / then
};
// Over the pixels where `edited` is 0. Nothing if the sizes differ or no pixel is left.
std::optional<Drift> MeasureDrift(const Pixels& then, const Pixels& now, const Mask& edited);
// The 8 x 8 blocks in which two pictures of one size differ by more than a decoder's noise, and
// their neighbours: where an edit without a mask did something.
Mask EditedBlocks(const Pixels& before, const Pixels& after);

struct Turn {
  int64_t id = 0;
  int64_t parent = 0;  // 0: a root, a picture from elsewhere
  std::string name;
  std::string recipe;  // JSON; empty for a root without one
  std::string pixels_sha256;
  bool has_latents = false;
  std::optional<Drift> drift;  // from its root, outside all that was edited on the way
  int64_t deletion = 0;        // which Delete() hid it; 0: none
};

struct Replayed {
  int64_t id = 0;
  Comparison comparison;
  std::vector<std::string> differences;  // of the runs
  bool matches = false;
};

class Tree {
 public:
  // kBadInput for a file that is no tree, is damaged or was written by a later version.
  static Result<Tree> Open(const std::string& path);
  static Result<Tree> OpenOrCreate(const std::string& path);
  ~Tree();
  Tree(Tree&&) noexcept;
  Tree& operator=(Tree&&) noexcept;

  Result<std::vector<Turn>> Turns() const;    // parents before children, without deleted ones
  Result<std::vector<Turn>> Deleted() const;  // those, the last deletion first
  Result<Turn> Get(int64_t id) const;
  // The turn's picture, recipe and latents, checked against their sums.
  Result<Edited> Load(int64_t id) const;

  Result<int64_t> AddRoot(const std::string& name, const Pixels& picture,
                          const std::string& recipe = "");
  // `request` as it was run: its first image the parent's picture; further ones and the mask are
  // kept too, once each.
  Result<int64_t> AddEdit(int64_t parent, const std::string& name, const EditRequest& request,
                          const Edited& edited);
  Status Rename(int64_t id, const std::string& name);

  // Hides the turn and all that follow from it; the number given is what Restore() takes. An edit
  // that is added to a hidden turn is hidden with it.
  Result<int64_t> Delete(int64_t id);
  // Brings back all that one Delete() hid, and the turns they follow from.
  Status Restore(int64_t deletion);
  Status Purge();  // removes what is hidden for good, and makes the file smaller

  // A request whose only reference is that turn, as latents too if it has them and `latents`.
  Result<EditRequest> Continue(int64_t id, bool latents = true) const;
  // The request that made the turn, with all its pictures.
  Result<EditRequest> RequestOf(int64_t id) const;

 private:
  struct Impl;
  explicit Tree(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Runs each edit of the tree again from its stored parent, and compares.
Result<std::vector<Replayed>> Replay(const Tree& tree, Engine& engine,
                                     EditListener* listener = nullptr);
// The edits on the way to turn `id`, one after the other, on another picture. Masks must suit its
// size.
Result<Edited> ApplyChain(const Tree& tree, int64_t id, const Pixels& picture, Engine& engine,
                          EditListener* listener = nullptr);

}  // namespace kontext

#endif  // KONTEXT_TREE_H_
