// The recipe stored in every picture: all that is needed to make it again (docs/recipe.md).
#ifndef KONTEXT_EDIT_RECIPE_H_
#define KONTEXT_EDIT_RECIPE_H_

#include <string>

#include "compute/ops.h"
#include "edit/plan.h"
#include "model/model.h"

namespace kontext {

// `picture`: the size of the finished picture.
Result<std::string> MakeRecipe(const EditRequest& request, const EditPlan& plan, Size picture,
                               uint64_t seed, const Model& model, const Ops& ops, int threads);

}  // namespace kontext

#endif  // KONTEXT_EDIT_RECIPE_H_
