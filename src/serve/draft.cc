#include "serve/draft.h"

#include <algorithm>
#include <array>

#include "base/status.h"
#include "serve/picture_reader.h"
#include "serve/picture_source.h"

namespace kontext::serve {
namespace {

constexpr std::array<std::pair<std::string_view, Like>, 5> kLikes = {
    {{"ours", Like::kOurs},
     {"bfl", Like::kBfl},
     {"diffusers", Like::kDiffusers},
     {"comfyui", Like::kComfyUi},
     {"sdcpp", Like::kSdCpp}}};

// Of a form it may be otherwise; JSON that was read is.
bool IsUtf8(const Json& text) {
  try {
    (void)text.dump();
    return true;
  } catch (const Json::exception&) {
    return false;
  }
}

// Reads one object's fields, remembers what is wrong with them.
class Reader {
 public:
  Reader(const Json& body, Json& fields, std::vector<FieldError>& errors)
      : body_(body), fields_(fields), errors_(errors) {}

  void Wrong(const std::string& field, std::string message) {
    errors_.push_back({field, std::move(message)});
  }
  void Text(const char* name, size_t most) {
    const Json* value = Find(name);
    if (value == nullptr) return;
    if (!value->is_string()) return Wrong(name, "must be a string");
    if (value->get_ref<const std::string&>().size() > most)
      return Wrong(name, fmt::format("must have at most {} bytes", most));
    if (!IsUtf8(*value)) return Wrong(name, "must be UTF-8");
    fields_[name] = *value;
  }
  void Integer(const char* name, int64_t low, int64_t high, int64_t multiple = 1) {
    const Json* value = Find(name);
    if (value == nullptr) return;
    const bool fits = value->is_number_integer() &&
                      !(value->is_number_unsigned() && value->get<uint64_t>() > INT64_MAX);
    const int64_t number = fits ? value->get<int64_t>() : 0;
    if (!fits || number < low || number > high || number % multiple != 0) {
      return Wrong(name,
                   fmt::format("must be an integer from {} to {}{}", low, high,
                               multiple > 1 ? fmt::format(", a multiple of {}", multiple) : ""));
    }
    fields_[name] = number;
  }
  void Number(const char* name, double low, double high) {
    const Json* value = Find(name);
    if (value == nullptr) return;
    if (!value->is_number() || value->get<double>() < low || value->get<double>() > high)
      return Wrong(name, fmt::format("must be a number from {} to {}", low, high));
    fields_[name] = *value;
  }
  void Flag(const char* name) {
    const Json* value = Find(name);
    if (value == nullptr) return;
    if (!value->is_boolean()) return Wrong(name, "must be true or false");
    fields_[name] = *value;
  }
  bool sound() const { return errors_.empty(); }
  void Know(const char* name) { known_.emplace_back(name); }
  // Absent and null are the same.
  const Json* Find(const char* name) {
    Know(name);
    const auto it = body_.find(name);
    return it == body_.end() || it->is_null() ? nullptr : &*it;
  }
  void RefuseOthers() {
    for (const auto& [name, value] : body_.items()) {
      bool known = false;
      for (const std::string& k : known_) known = known || k == name;
      if (!known) Wrong(name.substr(0, 100), "is no field of this request");
    }
  }

 private:
  const Json& body_;
  Json& fields_;
  std::vector<FieldError>& errors_;
  std::vector<std::string> known_;
};

void ReadImages(Reader& reader, const EditLimits& limits, const ServeOptions& options,
                Draft& draft) {
  PictureSource source(options);
  const Json* images = reader.Find("images");
  if (images != nullptr && (!images->is_array() || std::ssize(*images) > limits.max_images))
    return reader.Wrong("images", fmt::format("must be a list of at most {} pictures in base64",
                                              limits.max_images));
  for (size_t i = 0; images != nullptr && i < images->size(); ++i) {
    auto bytes = source.Read((*images)[i], reader.sound());
    if (!bytes.ok()) reader.Wrong(fmt::format("images[{}]", i), bytes.message());
    if (bytes.ok() && *bytes) draft.pictures.push_back(**std::move(bytes));
  }
  const Json* mask = reader.Find("mask");
  if (mask == nullptr) return;
  auto bytes = source.Read(*mask, reader.sound());
  if (!bytes.ok()) return reader.Wrong("mask", bytes.message());
  if (*bytes && (**bytes).empty()) return reader.Wrong("mask", "is empty");
  draft.mask = (*std::move(bytes)).value_or("");
}

}  // namespace

std::vector<FieldError> ReadFields(const Json& body, const EditLimits& limits,
                                   const ServeOptions& options, Draft& draft) {
  std::vector<FieldError> errors;
  if (!body.is_object()) return {{"", "the body must be a JSON object"}};
  Reader reader(body, draft.fields, errors);
  const auto most = static_cast<size_t>(limits.max_prompt_bytes);
  reader.Text("prompt", most);
  if (!body.contains("prompt") || body["prompt"].is_null()) reader.Wrong("prompt", "is missing");
  reader.Text("negative", most);
  reader.Integer("width", limits.min_side, limits.max_side, limits.multiple);
  reader.Integer("height", limits.min_side, limits.max_side, limits.multiple);
  if (draft.fields.contains("width") != draft.fields.contains("height"))
    reader.Wrong("width", "width and height come together");
  reader.Integer("seed", 0, INT64_MAX);
  reader.Integer("n", 1, kMostPictures);
  reader.Integer("steps", 1, limits.max_steps);
  reader.Number("guidance", 0, static_cast<double>(limits.max_guidance));
  reader.Number("true_cfg", 0, static_cast<double>(limits.max_true_cfg));
  reader.Integer("feather", 0, 4096);
  reader.Flag("keep_reference_size");
  reader.Flag("previews");
  if (const Json* like = reader.Find("like"); like != nullptr) {
    bool known = false;
    for (const auto& [name, value] : kLikes) known = known || *like == Json(name);
    if (known) draft.fields["like"] = *like;
    if (!known) reader.Wrong("like", "must be ours, bfl, diffusers, comfyui or sdcpp");
  }
  if (const Json* mode = reader.Find("mode"); mode != nullptr) {
    bool known = false;
    for (const Mode m : kModes) known = known || *mode == Json(NameOf(m));
    if (known) draft.fields["mode"] = *mode;
    if (!known) reader.Wrong("mode", "must be exact, default, balanced or fast");
  }
  reader.Know("images");
  reader.Know("mask");
  reader.RefuseOthers();
  ReadImages(reader, limits, options, draft);
  return errors;
}

// What the engine would say when its turn comes (src/edit/mask.cc), told while the client still
// listens. Of a turn of a project the picture's size is not known here.
std::string MaskProblem(const Mask& mask, const Size& picture) {
  if (std::all_of(mask.data.begin(), mask.data.end(), [](uint8_t v) { return v == 0; }))
    return "nothing in it may change; white is what may, black is kept";
  if (picture.width == 0) return "";
  const double aspects =
      double{1} * mask.width * picture.height / (double{1} * mask.height * picture.width);
  if (aspects >= 0.99 && aspects <= 1.01) return "";
  return fmt::format("is {}x{}, the picture {}x{}; expected that size, or one of its aspect",
                     mask.width, mask.height, picture.width, picture.height);
}

std::vector<FieldError> CheckPictures(const Draft& draft, const EditLimits& limits) {
  std::vector<FieldError> errors;
  Size first;
  if (std::ssize(draft.pictures) > limits.max_images)
    return {{"images", fmt::format("at most {} pictures", limits.max_images)}};
  const PictureReader reader;
  for (size_t i = 0; i < draft.pictures.size(); ++i) {
    const std::string name = fmt::format("images[{}]", i);
    const auto picture = reader.Read(draft.pictures[i], name);
    if (!picture.ok()) errors.push_back({name, picture.message()});
    if (picture.ok() && i == 0) first = {picture->pixels.width, picture->pixels.height};
  }
  if (draft.mask.empty()) return errors;
  if (draft.pictures.empty() && !draft.fields.contains("turn"))
    errors.push_back({"mask", "needs a picture"});
  const auto picture = reader.Read(draft.mask, "mask", true);
  const auto mask = picture.ok() ? MaskFromPixels(picture->pixels) : Result<Mask>(picture.status());
  if (!mask.ok()) {
    errors.push_back({"mask", mask.message()});
  } else if (const std::string problem = MaskProblem(*mask, first); !problem.empty()) {
    errors.push_back({"mask", problem});
  }
  return errors;
}

Result<EditRequest> RequestOf(const StoredEdit& edit, Store& store) {
  const Json& f = edit.request;
  EditRequest r;
  r.prompt = f.value("prompt", "");
  if (f.contains("negative")) r.negative = f["negative"].get<std::string>();
  if (f.contains("width")) r.size = Size{f["width"].get<int>(), f["height"].get<int>()};
  r.seed = f["seed"].get<uint64_t>();
  r.count = f.value("n", 1);
  if (f.contains("steps")) r.steps = f["steps"].get<int>();
  if (f.contains("guidance")) r.guidance = f["guidance"].get<float>();
  r.true_cfg = f.value("true_cfg", 1.0f);
  r.keep_reference_size = f.value("keep_reference_size", false);
  r.previews = f.value("previews", true);
  r.feather_px = f.value("feather", 0);
  for (const auto& [name, like] : kLikes) {
    if (f.value("like", "ours") == name) r.like = like;
  }
  for (const Mode mode : kModes) {
    if (f.value("mode", "default") == NameOf(mode)) r.mode = mode;
  }
  for (const std::string& hash : edit.inputs) {
    KX_ASSIGN_OR_RETURN(const std::string bytes, store.GetPicture(hash));
    KX_ASSIGN_OR_RETURN(LoadedPicture picture, DecodePictureBytes(bytes, "the reference"));
    r.images.push_back(std::move(picture.pixels));
  }
  if (!edit.mask.empty()) {
    KX_ASSIGN_OR_RETURN(const std::string bytes, store.GetPicture(edit.mask));
    KX_ASSIGN_OR_RETURN(const LoadedPicture picture, DecodePictureBytes(bytes, "the mask", true));
    KX_ASSIGN_OR_RETURN(r.mask, MaskFromPixels(picture.pixels));
  }
  return r;
}

}  // namespace kontext::serve
