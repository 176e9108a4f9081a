// The reference pictures of an edit, as the transformer sees them.
#ifndef KONTEXT_EDIT_REFERENCES_H_
#define KONTEXT_EDIT_REFERENCES_H_

#include <vector>

#include "base/status.h"
#include "compute/ops.h"
#include "edit/plan.h"
#include "edit/tokens.h"
#include "model/model.h"
#include "tensor/arena.h"

namespace kontext {

class Reporter;

struct References {
  std::vector<Tensor> tokens;  // each [rows*cols, 64] F32
  std::vector<Grid> grids;

  int64_t count() const;              // Tr, of all together
  void CopyTo(TensorView dst) const;  // [Tr, 64]
};

// Each picture: fitted to its planned size, encoded (the posterior's mean), packed.
Result<References> EncodeReferences(const Model& model, Ops& ops, const EditRequest& request,
                                    const EditPlan& plan, Reporter& report);

}  // namespace kontext

#endif  // KONTEXT_EDIT_REFERENCES_H_
