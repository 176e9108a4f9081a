// The pictures beside the turns: further references and masks, each once, under its own sum.
#ifndef KONTEXT_TREE_INPUTS_H_
#define KONTEXT_TREE_INPUTS_H_

#include <string>

#include "io/database.h"
#include "kontext/tree.h"

namespace kontext {

// The picture in `png`; BadInput, which says `what` it is, if its pixels do not have that sum.
Result<Pixels> DecodeUnchanged(const Database& db, const std::string& png, const std::string& what,
                               const std::string& sha256);

Result<Pixels> LoadInput(const Database& db, const std::string& sha256);
// A mask is kept as a grey picture, under the mask's sum.
Result<Mask> LoadMask(const Database& db, const std::string& sha256);
// Inside the caller's transaction: the references of `request` but its first, and its mask.
Status KeepInputs(const Database& db, const EditRequest& request);

Pixels AsPicture(const Mask& mask);
Mask AsMask(const Pixels& picture);

}  // namespace kontext

#endif  // KONTEXT_TREE_INPUTS_H_
