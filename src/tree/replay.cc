// kontext/tree.h: the tree's edits made again, and made on other pictures.
#include "base/status.h"
#include "kontext/tree.h"

namespace kontext {
namespace {

Status SameModel(const Recipe& recipe, const Engine& engine, int64_t id) {
  const ModelInfo model = engine.model();
  if (model.fingerprint == recipe.fingerprint) return Status();
  return BadInput("turn {} was made with the model {} ({}), this is {} ({}); name that model", id,
                  recipe.model_name, recipe.fingerprint, model.name, model.fingerprint);
}

Result<Edited> First(Result<std::vector<Edited>> edits) {
  if (!edits.ok()) return edits.status();
  return std::move(edits->front());
}

}  // namespace

Result<std::vector<Replayed>> Replay(const Tree& tree, Engine& engine, EditListener* listener) {
  KX_ASSIGN_OR_RETURN(const std::vector<Turn> turns, tree.Turns());
  std::vector<Replayed> all;
  for (const Turn& turn : turns) {
    if (turn.parent == 0) continue;
    KX_ASSIGN_OR_RETURN(const Recipe made, ReadRecipe(turn.recipe));
    KX_RETURN_IF_ERROR(SameModel(made, engine, turn.id));
    KX_ASSIGN_OR_RETURN(const Edited before, tree.Load(turn.id));
    KX_ASSIGN_OR_RETURN(const EditRequest request, tree.RequestOf(turn.id));
    KX_ASSIGN_OR_RETURN(const Edited after, First(engine.Edit(request, listener)));
    KX_ASSIGN_OR_RETURN(const Recipe again, ReadRecipe(after.recipe));
    Replayed r;
    r.id = turn.id;
    r.comparison = Compare(before.picture, after.picture);
    r.differences = RunDifferences(made, again);
    r.matches = Matches(r.comparison, r.differences);
    all.push_back(std::move(r));
  }
  return all;
}

Result<Edited> ApplyChain(const Tree& tree, int64_t id, const Pixels& picture, Engine& engine,
                          EditListener* listener) {
  std::vector<int64_t> chain;
  KX_ASSIGN_OR_RETURN(Turn turn, tree.Get(id));
  while (turn.parent != 0) {
    chain.push_back(turn.id);
    KX_ASSIGN_OR_RETURN(turn, tree.Get(turn.parent));
  }
  if (chain.empty()) return Usage("turn {} is a root: there is no edit to apply", id);
  Edited now;
  now.picture = picture;
  for (auto next = chain.rbegin(); next != chain.rend(); ++next) {
    KX_ASSIGN_OR_RETURN(EditRequest request, tree.RequestOf(*next));
    request.images[0] = std::move(now.picture);
    if (!request.latents.empty()) request.latents[0] = std::move(now.latents);
    KX_ASSIGN_OR_RETURN(now, First(engine.Edit(request, listener)));
  }
  return now;
}

}  // namespace kontext
