// Edits that are asked for in a project: from a turn, from words alone, or a turn once more.
#include "base/status.h"
#include "serve/project_routes.h"

namespace kontext::serve {
namespace {

// Checks that the project and the turn are there, and notes them in the draft.
bool Place(Exchange& x, std::optional<int64_t> turn, Draft& draft) {
  const auto opened = x.queue.projects().Open(x.owner, x.path[2]);
  if (!Sound(x, opened.status())) return false;
  draft.fields["project"] = x.path[2];
  if (!turn) return true;
  const auto found = opened->tree.Get(*turn);
  if (!Sound(x, found.status())) return false;
  draft.fields["turn"] = *turn;
  return true;
}

// The fields of a recipe that a request has too.
Json FieldsOf(const Json& recipe) {
  Json fields = Json::object();
  for (const char* name : {"prompt", "steps", "guidance", "like", "mode", "keep_reference_size"}) {
    if (recipe.contains(name)) fields[name] = recipe[name];
  }
  if (fields.value("like", Json()) == "kontext") fields["like"] = "ours";  // docs/recipe.md
  if (recipe.contains("negative")) {
    fields["negative"] = recipe["negative"];
    fields["true_cfg"] = recipe.value("true_cfg", 1.0);
  }
  if (const auto size = recipe.find("asked_size");
      size != recipe.end() && size->is_array() && size->size() == 2) {
    fields["width"] = (*size)[0];
    fields["height"] = (*size)[1];
  }
  if (const auto mask = recipe.find("mask"); mask != recipe.end() && mask->is_object())
    fields["feather"] = mask->value("feather_px", 0);
  return fields;
}

}  // namespace

void EditFrom(Exchange& x, bool from_turn) {
  const auto turn = from_turn ? TurnIn(x) : std::nullopt;
  Json body;
  Draft draft;
  if ((from_turn && !turn) || !x.ReadJson(body)) return;
  if (!Place(x, turn, draft)) return;
  std::vector<FieldError> errors;
  if (const auto it = body.find("from_pixels"); body.is_object() && it != body.end()) {
    if (!it->is_boolean()) errors.push_back({"from_pixels", "must be true or false"});
    draft.fields["from_pixels"] = *it;
    body.erase(it);
  }
  EditLimits limits = x.queue.engine().limits();
  if (turn) --limits.max_images;  // the turn's picture is one
  for (FieldError& e : ReadFields(body, limits, x.queue.options(), draft))
    errors.push_back(std::move(e));
  Accept(x, draft, std::move(errors));
}

void EditAgain(Exchange& x) {
  const auto id = TurnIn(x);
  Json body;
  if (!id || !x.ReadJson(body)) return;
  const auto made = [&]() -> Result<std::pair<Turn, EditRequest>> {
    KX_ASSIGN_OR_RETURN(const Projects::Opened opened, x.queue.projects().Open(x.owner, x.path[2]));
    KX_ASSIGN_OR_RETURN(const Turn turn, opened.tree.Get(*id));
    if (turn.parent == 0) return std::pair(turn, EditRequest());
    KX_ASSIGN_OR_RETURN(EditRequest request, opened.tree.RequestOf(*id));
    return std::pair(turn, std::move(request));
  }();
  if (!Sound(x, made.status())) return;
  const auto& [turn, request] = *made;
  const auto recipe = ParseJson(turn.recipe, "the recipe");
  if (!recipe.ok() || !recipe->is_object())
    return x.Fail(400, "bad_request", "this turn was not made by an edit");
  Json fields = FieldsOf(*recipe);
  Draft draft;
  if (!Place(x, turn.parent == 0 ? std::nullopt : std::optional(turn.parent), draft)) return;
  if (turn.parent != 0 && request.latents.empty()) draft.fields["from_pixels"] = true;
  for (size_t i = 1; i < request.images.size(); ++i) {
    const auto png = EncodePictureBytes({request.images[i], 0, "", 0}, ".png");
    if (!Sound(x, png.status())) return;
    draft.pictures.push_back(*png);
  }
  if (request.mask) {
    const auto png = EncodePictureBytes(GreyPicture(*request.mask), ".png");
    if (!Sound(x, png.status())) return;
    draft.mask = *png;
  }
  std::vector<FieldError> errors;
  if (!body.is_object()) errors.push_back({"", "the body must be a JSON object"});
  for (const auto& [name, value] : body.items()) {
    if (name != "n" && name != "seed")
      errors.push_back({name.substr(0, 100), "is no field of this request"});
    fields[name] = value;
  }
  for (FieldError& e : ReadFields(fields, x.queue.engine().limits(), x.queue.options(), draft))
    errors.push_back(std::move(e));
  Accept(x, draft, std::move(errors));
}

}  // namespace kontext::serve
