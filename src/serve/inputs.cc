#include "serve/inputs.h"

#include "base/status.h"

namespace kontext::serve {
namespace {

bool HasTurn(const StoredEdit& edit) { return edit.request.contains("turn"); }

}  // namespace

size_t CountInputs(const StoredEdit& edit) { return edit.inputs.size() + (HasTurn(edit) ? 1 : 0); }

Result<std::string> InputOf(const StoredEdit& edit, size_t index, Store& store,
                            Projects& projects) {
  if (index >= CountInputs(edit)) return BadInput("there is no such picture");
  if (!HasTurn(edit)) return store.GetPicture(edit.inputs[index]);
  if (index > 0) return store.GetPicture(edit.inputs[index - 1]);
  KX_ASSIGN_OR_RETURN(const Projects::Opened opened,
                      projects.Open(edit.owner, edit.request.value("project", ""), true));
  KX_ASSIGN_OR_RETURN(const Edited turn, opened.tree.Load(edit.request["turn"].get<int64_t>()));
  return EncodePictureBytes(turn, ".png");
}

}  // namespace kontext::serve
