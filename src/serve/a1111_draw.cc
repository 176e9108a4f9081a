// A1111's txt2img and img2img: their fields to a Draft, the edit to their answer. What is offered,
// ignored and refused: docs/api.md.
#include <algorithm>
#include <cstdlib>

#include "base/status.h"
#include "serve/a1111.h"
#include "serve/base64.h"
#include "serve/picture_reader.h"

namespace kontext::serve {
namespace {

struct Order {
  bool img2img = false;
  Json body;
  Json fields = Json::object();  // of the native API
  Draft draft;
  std::string format = "png";
  std::string negative;
  bool send_images = true, include_init_images = false;
  std::vector<std::string> notes;  // what was ignored, for `info`
};

// The picture in a field, or nothing and an error.
std::string Bytes(A1111Fields& in, const std::string& name, const std::string& base64) {
  const auto bytes = FromBase64(base64);
  if (!bytes || bytes->empty()) in.Wrong(name, "Invalid encoded image", "value_error.image");
  return bytes ? *bytes : "";
}

// A1111 paints where the mask is white, or opaque if it has transparency; ours is a picture in
// white and black.
void ReadMask(A1111Fields& in, Order& order) {
  const int64_t invert = in.Integer("inpainting_mask_invert", 0, 1, 0);
  const int64_t blur = in.Integer("mask_blur", 0, 4096, 4);
  const int64_t blur_x = in.Integer("mask_blur_x", 0, 4096, blur);
  const int64_t blur_y = in.Integer("mask_blur_y", 0, 4096, blur);
  const std::string text = in.Text("mask", SIZE_MAX);
  if (text.empty()) return;
  const std::string bytes = Bytes(in, "mask", text);
  const PictureReader reader;
  auto mask = reader.Read(bytes, "mask", true);
  if (!mask.ok()) return in.Wrong("mask", mask.message(), "value_error.image");
  Pixels& p = mask->pixels;
  const auto channels = static_cast<size_t>(p.channels);
  bool transparent = false;
  for (size_t i = 3; channels == 4 && i < p.data.size(); i += 4)
    transparent = transparent || p.data[i] != 255;
  Pixels drawn{p.width, p.height, 3, {}};
  drawn.data.reserve(p.data.size() / channels * 3);
  for (size_t i = 0; i + channels <= p.data.size(); i += channels) {
    for (size_t c = 0; c < 3; ++c) {
      const int value = transparent ? (p.data[i + 3] > 128 ? 255 : 0) : p.data[i + c];
      drawn.data.push_back(static_cast<uint8_t>(invert == 1 ? 255 - value : value));
    }
  }
  const auto png = EncodePictureBytes({std::move(drawn), 0, "", 0}, ".png");
  if (!png.ok()) return in.Wrong("mask", png.message(), "value_error.image");
  order.draft.mask = *png;
  order.fields["feather"] = std::max({blur_x, blur_y});
}

// init_images are what is edited: references. More of them, and stable-diffusion.cpp's
// extra_images, are further references.
void ReadPictures(A1111Fields& in, Order& order, const EditLimits& limits) {
  const auto most = static_cast<size_t>(limits.max_images);
  std::vector<std::pair<std::string, std::string>> named;
  if (order.img2img) {
    for (std::string& text : in.Texts("init_images", most))
      named.emplace_back("init_images", std::move(text));
    if (named.empty() && in.sound())
      in.Wrong("init_images", "field required", "value_error.missing");
  }
  for (std::string& text : in.Texts("extra_images", most))
    named.emplace_back("extra_images", std::move(text));
  if (named.size() > most)
    return in.Wrong("extra_images", fmt::format("at most {} pictures in all", most),
                    "value_error.list.max_items");
  for (const auto& [name, text] : named) {
    order.draft.pictures.push_back(Bytes(in, name, text));
    const auto picture = PictureReader().Read(order.draft.pictures.back(), name);
    if (!picture.ok()) in.Wrong(name, picture.message(), "value_error.image");
  }
}

void ReadSampler(A1111Fields& in, Order& order) {
  std::string name = in.Text("sampler_name", 100);
  const std::string index = in.Text("sampler_index", 100);
  if (name.empty()) name = index;
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (name == "euler a" || name == "k_euler_a") {
    order.notes.emplace_back(
        "sampler_name: Euler a adds noise, which this model's schedule does "
        "not; drawn with Euler");
  } else if (!name.empty() && name != "euler" && name != "k_euler" && name != "automatic") {
    in.NotOffered("sampler_name", "Sampler not found; this model is sampled with Euler");
  }
  std::string scheduler = in.Text("scheduler", 100);
  std::transform(scheduler.begin(), scheduler.end(), scheduler.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (scheduler == "normal") {
    order.notes.emplace_back("scheduler: Normal is taken as Simple");
  } else if (!scheduler.empty() && scheduler != "automatic" && scheduler != "simple") {
    in.NotOffered("scheduler", "this model has one schedule, Simple (or Automatic)");
  }
}

// Forge's distilled_cfg_scale is the model's guidance, and cfg_scale that of true CFG. A client
// that knows only cfg_scale means how closely the prompt is followed: guidance again. 1 is "no CFG"
// to both.
void ReadGuidance(A1111Fields& in, Order& order, const EditLimits& limits) {
  const bool forge = in.Find("distilled_cfg_scale") != nullptr;
  const double distilled =
      in.Number("distilled_cfg_scale", 0, static_cast<double>(limits.max_guidance), 0);
  const double cfg = in.Number("cfg_scale", 0, static_cast<double>(limits.max_guidance), 1);
  order.negative = in.Text("negative_prompt", static_cast<size_t>(limits.max_prompt_bytes));
  if (forge) order.fields["guidance"] = distilled;
  if (!forge && cfg > 1) order.fields["guidance"] = cfg;
  if (forge && cfg > 1) {
    order.fields["true_cfg"] = std::min(cfg, static_cast<double>(limits.max_true_cfg));
    order.fields["negative"] = order.negative;
  } else if (!order.negative.empty()) {
    order.notes.emplace_back(
        "negative_prompt: ignored; it acts with distilled_cfg_scale and a cfg_scale above 1");
  }
}

// A1111 cuts sides to what its model can do; so do we.
void ReadSize(A1111Fields& in, Order& order, const EditLimits& limits) {
  const bool given = in.Find("width") != nullptr || in.Find("height") != nullptr;
  const int64_t width = in.Integer("width", limits.min_side, limits.max_side, 512);
  const int64_t height = in.Integer("height", limits.min_side, limits.max_side, 512);
  if (!given) return;
  if (!order.draft.mask.empty()) {
    order.notes.emplace_back(
        "width, height: ignored; with a mask the result has the size of init_images[0]");
    return;
  }
  const int64_t w = width / limits.multiple * limits.multiple;
  const int64_t h = height / limits.multiple * limits.multiple;
  if (w * h > limits.max_pixels)
    in.Wrong("width", fmt::format("ensure width x height is at most {} pixels", limits.max_pixels),
             "value_error.number.not_le");
  if (w != width || h != height)
    order.notes.push_back(fmt::format("width, height: cut to {} x {}", w, h));
  order.fields["width"] = w;
  order.fields["height"] = h;
}

void ReadSeeds(A1111Fields& in, Order& order) {
  const int64_t seed = in.Integer("seed", -1, INT64_MAX, -1);
  if (seed >= 0) order.fields["seed"] = seed;
  const int64_t batch = in.Integer("batch_size", 1, kMostPictures, 1);
  const int64_t rounds = in.Integer("n_iter", 1, kMostPictures, 1);
  if (batch * rounds > kMostPictures)
    in.Wrong("n_iter", fmt::format("ensure batch_size x n_iter is at most {}", kMostPictures),
             "value_error.number.not_le");
  order.fields["n"] = batch * rounds;
}

void ReadSettings(Exchange& x, A1111Fields& in, Order& order) {
  const Json* settings = in.Find("override_settings");
  if (settings == nullptr) return;
  if (!settings->is_object())
    return in.Wrong("override_settings", "value is not a valid dict", "type_error.dict");
  const std::string wrong = A1111CheckOptions(x, *settings, order.notes);
  if (!wrong.empty()) in.NotOffered("override_settings", wrong);
  const Json format = settings->value("samples_format", Json("png"));
  if (format == "png" || format == "jpg" || format == "jpeg" || format == "webp") {
    order.format = format.get<std::string>();
  } else {
    in.NotOffered("override_settings", "samples_format: png, jpg or webp");
  }
}

// False after the mistakes were sent.
bool Read(Exchange& x, Order& order) {
  const EditLimits limits = x.queue.engine().limits();
  A1111Fields in(order.body);
  if (!order.body.is_object()) {
    in.Wrong("", "value is not a valid dict", "type_error.dict");
    x.Send(422, {{"detail", in.detail()}});
    return false;
  }
  const std::string prompt = in.Text("prompt", static_cast<size_t>(limits.max_prompt_bytes));
  order.fields["prompt"] = prompt;
  for (const char* tag : {"<lora:", "<lyco:", "<hypernet:"}) {
    if (prompt.find(tag) != std::string::npos)
      in.NotOffered("prompt", std::string(tag) +
                                  "...>: adapters are chosen when the server "
                                  "starts, with --lora");
  }
  if (order.img2img) ReadMask(in, order);
  ReadPictures(in, order, limits);
  ReadSize(in, order, limits);
  ReadSampler(in, order);
  ReadGuidance(in, order, limits);
  ReadSeeds(in, order);
  if (const int64_t steps = in.Integer("steps", 1, limits.max_steps, 0); steps > 0)
    order.fields["steps"] = steps;
  order.send_images = in.Flag("send_images", true);
  order.include_init_images = in.Flag("include_init_images", false);
  ReadSettings(x, in, order);
  A1111RefuseOthers(in);
  A1111NoteIgnored(in, order.img2img, !order.draft.mask.empty(), order.notes);
  if (in.sound()) {
    for (const FieldError& e : ReadFields(order.fields, limits, x.queue.options(), order.draft))
      in.Wrong(e.field, e.message, "value_error");
    for (const FieldError& e : CheckPictures(order.draft, limits))
      in.Wrong(e.field == "mask" ? "mask" : "init_images", e.message, "value_error.image");
  }
  if (in.sound()) return true;
  x.Send(422, {{"detail", in.detail()}});
  return false;
}

Json Info(Exchange& x, const Order& order, const StoredEdit& edit) {
  const ModelInfo model = x.queue.engine().model();
  const Json& f = edit.request;
  const StoredImage first = edit.images.empty() ? StoredImage() : edit.images.front();
  const Json guidance = f.value("guidance", Json(model.default_guidance));
  const int steps = f.value("steps", model.default_steps);
  const std::string prompt = f.value("prompt", "");
  Json info = {{"prompt", prompt},
               {"negative_prompt", order.negative},
               {"seed", f["seed"]},
               {"subseed", f["seed"]},
               {"subseed_strength", 0},
               {"width", first.width},
               {"height", first.height},
               {"sampler_name", "Euler"},
               {"cfg_scale", f.contains("true_cfg") ? f["true_cfg"] : guidance},
               {"distilled_cfg_scale", guidance},
               {"steps", steps},
               {"batch_size", edit.images.size()},
               {"restore_faces", false},
               {"sd_model_name", model.name},
               {"sd_model_hash", A1111Hash(model)},
               {"sd_vae_name", nullptr},
               {"sd_vae_hash", nullptr},
               {"face_restoration_model", nullptr},
               {"seed_resize_from_w", -1},
               {"seed_resize_from_h", -1},
               {"denoising_strength", order.img2img ? Json(1.0) : Json()},
               {"extra_generation_params", Json::object()},
               {"index_of_first_image", 0},
               {"styles", Json::array()},
               {"job_timestamp", std::to_string(static_cast<int64_t>(edit.created))},
               {"clip_skip", 1},
               {"is_using_inpainting_conditioning", false},
               {"version", "kontext " + Version()},
               {"edit", edit.id}};
  for (const char* list :
       {"all_prompts", "all_negative_prompts", "all_seeds", "all_subseeds", "infotexts"})
    info[list] = Json::array();
  for (const StoredImage& image : edit.images) {
    info["all_prompts"].push_back(prompt);
    info["all_negative_prompts"].push_back(order.negative);
    info["all_seeds"].push_back(image.seed);
    info["all_subseeds"].push_back(image.seed);
    info["infotexts"].push_back(A1111Infotext({{"prompt", prompt},
                                               {"negative", f.value("negative", "")},
                                               {"steps", steps},
                                               {"guidance", guidance},
                                               {"true_cfg", f.value("true_cfg", Json())},
                                               {"seed", image.seed},
                                               {"width", image.width},
                                               {"height", image.height}},
                                              model.name));
  }
  Json notes = order.notes;
  for (const Json& note : edit.notes) notes.push_back(note);
  if (edit.state == "cancelled") notes.push_back("interrupted: finished pictures only");
  info["notes"] = std::move(notes);
  return info;
}

}  // namespace

void A1111Draw(Exchange& x, bool img2img) {
  Order order;
  order.img2img = img2img;
  if (!x.ReadJson(order.body) || !Read(x, order)) return;
  order.draft.body_hash = HashOf(order.body.dump(-1, ' ', true, Json::error_handler_t::replace));
  StoredEdit edit;
  if (!x.Stay() || !x.Submit(order.draft, edit)) return;
  const auto done = x.queue.WaitForEnd(edit.id, [&] { return x.ClientLeft(); });
  if (!done.ok()) return x.Fail(503, "RuntimeError", done.message());
  // A1111 answers an interrupted request with what it has.
  if (done->state != "ready" && done->state != "cancelled")
    return x.Fail(done->state == "moderated" ? 400 : 500, done->state, done->error_message);
  Json images = Json::array();
  for (const StoredImage& image : done->images) {
    const auto picture = PictureAs(x.queue.store(), image, "." + order.format);
    if (!picture.ok()) return x.FailStore(picture.status());
    if (order.send_images) images.push_back(ToBase64(*picture));
  }
  Json parameters = order.body;
  for (const char* pictures : {"init_images", "extra_images", "mask"}) {
    if (parameters.contains(pictures) && !order.include_init_images) parameters[pictures] = nullptr;
  }
  const std::string info =
      Info(x, order, *done).dump(-1, ' ', false, Json::error_handler_t::replace);
  x.Send(200, {{"images", images}, {"parameters", parameters}, {"info", info}});
}

}  // namespace kontext::serve
