// OpenAI's images API: edits and generations, answered when done or streamed, and the models' list.
#include <algorithm>
#include <array>

#include "base/status.h"
#include "serve/base64.h"
#include "serve/exchange.h"
#include "serve/samples.h"

namespace kontext::serve {
namespace {

// A form says all in text; these mean a number or a truth. The last three are ours.
constexpr std::array<std::string_view, 7> kNotText = {
    "n", "partial_images", "stream", "output_compression", "seed", "steps", "guidance"};

constexpr double kStreamSeconds = 15;  // at most between two signs of life

constexpr int64_t kUrlSeconds = 3600;  // as long as OpenAI's own

constexpr const char* kModerated = "moderation_blocked";  // as OpenAI's API calls it

void Refuse(Exchange& x, int status, const std::string& param, const std::string& message,
            const Json& code = nullptr) {
  x.Send(status, {{"error",
                   {{"message", message},
                    {"type", status < 500 ? "invalid_request_error" : "server_error"},
                    {"param", param.empty() ? Json() : Json(param)},
                    {"code", code}}}});
}

struct Wish {
  Json fields = Json::object();  // of OpenAI's request
  Draft draft;
  std::string kind;  // "image_edit" or "image_generation"
  bool stream = false, urls = false, bytes = true;
  int partials = 0;
};

bool ReadForm(Exchange& x, Wish& wish) {
  std::vector<Part> parts;
  if (!x.ReadParts(parts)) return false;
  for (const Part& p : parts) {
    if (p.name == "image" || p.name == "image[]") {
      wish.draft.pictures.push_back(p.bytes);
    } else if (p.name == "mask") {
      wish.draft.mask = p.bytes;
    } else if (std::find(kNotText.begin(), kNotText.end(), p.name) != kNotText.end()) {
      const auto value = x.ParseBody(p.bytes, p.name);
      wish.fields[p.name] = value.ok() ? *value : Json(p.bytes);
    } else {
      wish.fields[p.name] = p.bytes;
    }
  }
  return true;
}

// What is wrong with the references of a JSON body, {"image_url": URL}; nothing fills in ours.
std::vector<FieldError> ReadReferences(const Json& fields, Json& ours) {
  const auto url = [](const Json& reference) {
    return reference.is_object() ? reference.value("image_url", Json()) : Json();
  };
  const std::string expected =
      "must be an object with image_url, a data: URL or a URL; there are no files here";
  if (fields.contains("images") && !fields["images"].is_array())
    return {{"images", "must be a list of objects with image_url"}};
  for (const Json& reference : fields.value("images", Json::array())) {
    if (!url(reference).is_string()) return {{"images", "each " + expected}};
    ours["images"].push_back(url(reference));
  }
  const Json mask = fields.value("mask", Json());
  if (mask.is_null()) return {};
  if (!url(mask).is_string()) return {{"mask", expected}};
  ours["mask"] = url(mask);
  return {};
}

// How the answer shall be; what is wrong with it, or nothing.
std::vector<FieldError> ReadAnswer(Wish& wish) {
  const Json& f = wish.fields;
  const Json format = f.contains("output_format") ? f["output_format"] : Json("png");
  if (format != "png" && format != "jpeg" && format != "webp" && !format.is_null())
    return {{"output_format", "must be png, jpeg or webp"}};
  const Json response = f.value("response_format", Json());
  if (!response.is_null() && response != "b64_json" && response != "url")
    return {{"response_format", "must be url or b64_json"}};
  // At OpenAI dall-e's answers are URLs unless asked otherwise. Clients that send such a name to
  // whatever server, and read no URLs, find the bytes beside it.
  const Json model = f.value("model", Json());
  const bool dall_e =
      model.is_string() && model.get_ref<const std::string&>().starts_with("dall-e-");
  wish.urls = response == "url" || (response.is_null() && dall_e);
  wish.bytes = response != "url";
  const Json stream = f.value("stream", Json());
  if (!stream.is_null() && !stream.is_boolean()) return {{"stream", "must be true or false"}};
  wish.stream = stream == true;
  if (f.contains("partial_images") && !f["partial_images"].is_null()) {
    const Json& partials = f["partial_images"];
    if (!partials.is_number_integer() || partials < 0 || partials > 3)
      return {{"partial_images", "must be an integer from 0 to 3"}};
    wish.partials = partials.get<int>();
  }
  return {};
}

// OpenAI's fields -> ours; what is wrong, or nothing.
std::vector<FieldError> Translate(Wish& wish, const EditLimits& limits,
                                  const ServeOptions& options) {
  Json ours = Json::object();
  const Json& f = wish.fields;
  if (!f.is_object()) return {{"", "the body must be a JSON object"}};
  for (const char* same : {"prompt", "n", "seed", "steps", "guidance"}) {
    if (f.contains(same)) ours[same] = f[same];
  }
  const Json size = f.contains("size") && !f["size"].is_null() ? f["size"] : Json("auto");
  if (!size.is_string()) return {{"size", "must be a string"}};
  if (size != "auto") {
    const std::string text = size.get<std::string>();
    char* end = nullptr;
    const int64_t width = std::strtoll(text.c_str(), &end, 10);
    if (*end != 'x') return {{"size", "must be WIDTHxHEIGHT or auto"}};
    ours["width"] = width;
    ours["height"] = std::strtoll(end + 1, &end, 10);
    if (*end != '\0') return {{"size", "must be WIDTHxHEIGHT or auto"}};
  }
  if (const auto errors = ReadAnswer(wish); !errors.empty()) return errors;
  if (wish.kind == "image_edit") {
    const std::vector<FieldError> errors = ReadReferences(f, ours);
    if (!errors.empty()) return errors;
    if (wish.draft.pictures.empty() && !ours.contains("images")) return {{"image", "is missing"}};
  }
  std::vector<FieldError> errors = ReadFields(ours, limits, options, wish.draft);
  if (errors.empty()) errors = CheckPictures(wish.draft, limits);
  return errors;
}

// The picture in the format asked for.
Result<std::string> Encoded(Exchange& x, const Wish& wish, const StoredImage& image) {
  const Json format = wish.fields.contains("output_format") ? wish.fields["output_format"] : Json();
  const char* extension = format == "jpeg" ? ".jpg" : format == "webp" ? ".webp" : ".png";
  KX_ASSIGN_OR_RETURN(const std::string bytes, PictureAs(x.queue.store(), image, extension));
  return ToBase64(bytes);
}

Json Described(const Wish& wish, const StoredEdit& edit) {
  const Json format = wish.fields.contains("output_format") ? wish.fields["output_format"] : Json();
  const StoredImage first = edit.images.empty() ? StoredImage() : edit.images.front();
  return {{"background", "opaque"},
          {"output_format", format.is_string() ? format : Json("png")},
          {"quality", "high"},
          {"size", fmt::format("{}x{}", first.width, first.height)}};
}

int64_t TokensOf(const Json& width, const Json& height) {  // of 16 x 16 pixels each
  return width.is_number_integer() && height.is_number_integer()
             ? width.get<int64_t>() / 16 * (height.get<int64_t>() / 16)
             : 0;
}

// T5's tokens of the prompt, the transformer's of the references as they were used, and of `images`
// pictures; the references are in the recipe of each picture.
Result<Json> Usage(Exchange& x, const StoredEdit& edit, int64_t images) {
  const StoredImage& first = edit.images.front();
  KX_ASSIGN_OR_RETURN(const TokenCounts text,
                      x.queue.engine().CountTokens(edit.request.value("prompt", "")));
  KX_ASSIGN_OR_RETURN(const std::string png, x.queue.store().GetPicture(first.hash));
  KX_ASSIGN_OR_RETURN(const LoadedPicture picture, DecodePictureBytes(png, "the result"));
  KX_ASSIGN_OR_RETURN(const Json recipe, ParseJson(picture.recipe, "the recipe"));
  int64_t references = 0;
  for (const Json& r : recipe.value("references", Json::array())) {
    references += TokensOf(r.value("used_width", Json()), r.value("used_height", Json()));
  }
  const int64_t out = images * TokensOf(first.width, first.height);
  return Json{{"input_tokens", text.t5 + references},
              {"output_tokens", out},
              {"total_tokens", text.t5 + references + out},
              {"input_tokens_details", {{"image_tokens", references}, {"text_tokens", text.t5}}}};
}

void AnswerWhole(Exchange& x, const Wish& wish, const StoredEdit& edit) {
  const auto done = x.queue.WaitForEnd(edit.id, [&] { return x.ClientLeft(); });
  if (!done.ok()) x.response.set("x-should-retry", "false");  // the edit is kept: no second one
  if (!done.ok()) return Refuse(x, 503, "", done.message());
  if (done->state == "moderated") return Refuse(x, 400, "", done->error_message, kModerated);
  if (done->state != "ready") return Refuse(x, 500, "", done->error_message, done->state);
  Json answer = Described(wish, *done);
  answer["created"] = static_cast<int64_t>(done->finished);
  auto usage = Usage(x, *done, std::ssize(done->images));
  if (!usage.ok()) return Refuse(x, 500, "", usage.message());
  answer["usage"] = *std::move(usage);
  answer["data"] = Json::array();
  for (const StoredImage& image : done->images) {
    Json one = Json::object();
    if (wish.bytes) {
      const auto picture = Encoded(x, wish, image);
      if (!picture.ok()) return Refuse(x, 500, "", picture.message());
      one["b64_json"] = *picture;
    }
    if (wish.urls) {
      const auto format = answer["output_format"].get<std::string>();
      one["url"] = SampleUrl(x.queue, x.Base(), done->id, image.index, format, kUrlSeconds);
    }
    answer["data"].push_back(std::move(one));
  }
  x.Send(200, answer);
}

void AnswerStream(Exchange& x, const Wish& wish, StoredEdit edit) {
  std::ostream& out = x.Stream();
  const auto event = [&](const std::string& type, Json data) {
    data["type"] = type;
    out << "event: " << type
        << "\ndata: " << data.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n\n"
        << std::flush;
  };
  int sent = 0;
  double told = Now();
  while (out.good()) {
    const auto now = x.queue.Get(edit.id);
    if (!now.ok() || !*now) return;
    edit = **now;
    if (edit.finished > 0) break;
    const Live live = x.queue.Look(edit);
    const bool drawing = live.progress.is_object() && !live.preview.empty();
    // Partial picture k of p when (k+1)/(p+1) of the steps are done.
    if (drawing && sent < wish.partials &&
        live.progress.value("step", 0) * (wish.partials + 1) >=
            live.progress.value("steps", 1) * (sent + 1)) {
      Json partial = {{"b64_json", ToBase64(live.preview)},
                      {"partial_image_index", sent++},
                      {"created_at", static_cast<int64_t>(Now())},
                      {"background", "opaque"},
                      {"output_format", "png"},
                      {"quality", "low"},
                      {"size", "auto"}};
      event(wish.kind + ".partial_image", std::move(partial));
    }
    if (Now() - told > kStreamSeconds) {  // so that a client that left is noticed
      out << ": still here\n\n" << std::flush;
      told = Now();
    }
    x.queue.WaitForChange(edit.id, live.version, 1);
  }
  if (edit.state != "ready")
    return event("error", {{"error",
                            {{"message", edit.error_message},
                             {"code", edit.state == "moderated" ? kModerated : edit.state}}}});
  const auto usage = Usage(x, edit, 1);
  if (!usage.ok()) return;
  for (const StoredImage& image : edit.images) {
    const auto picture = Encoded(x, wish, image);
    if (!picture.ok()) return;
    Json done = Described(wish, edit);
    done["b64_json"] = *picture;
    done["created_at"] = static_cast<int64_t>(edit.finished);
    done["usage"] = *usage;
    event(wish.kind + ".completed", std::move(done));
  }
}

void Make(Exchange& x, const char* kind) {
  Wish wish;
  wish.kind = kind;
  if (x.IsMultipart() ? !ReadForm(x, wish) : !x.ReadJson(wish.fields)) return;
  const auto errors = Translate(wish, x.queue.engine().limits(), x.queue.options());
  if (!errors.empty()) return Refuse(x, 400, errors[0].field, errors[0].Told());
  wish.draft.body_hash = BodyHash(wish.draft);
  StoredEdit edit;
  if (!x.Stay() || !x.Submit(wish.draft, edit)) return;
  wish.stream ? AnswerStream(x, wish, edit) : AnswerWhole(x, wish, edit);
}

}  // namespace

bool IsOpenAiRoute(const Exchange& x) {
  return x.path.size() >= 2 && x.path[0] == "v1" &&
         (x.path[1] == "images" || x.path[1] == "models");
}

Json OpenAiError(const std::string& code, const std::string& message) {
  const bool ours = code == "store";
  const std::string type = ours             ? "server_error"
                           : code == "busy" ? "rate_limit_error"
                                            : "invalid_request_error";
  const std::string name = code == "unauthorized" ? "invalid_api_key"
                           : code == "busy"       ? "rate_limit_exceeded"
                           : code == "conflict"   ? "idempotency_key_reused"
                                                  : code;
  return {{"error", {{"message", message}, {"type", type}, {"param", nullptr}, {"code", name}}}};
}

bool OpenAi(Exchange& x) {
  const ModelInfo model = x.queue.engine().model();
  const Json entry = {
      {"id", model.name}, {"object", "model"}, {"created", 0}, {"owned_by", "kontext"}};
  if (x.Is("POST", "v1/images/edits")) {
    Make(x, "image_edit");
  } else if (x.Is("POST", "v1/images/generations")) {
    Make(x, "image_generation");
  } else if (x.Is("GET", "v1/models")) {
    x.Send(200, {{"object", "list"}, {"data", Json::array({entry})}});
  } else if (x.Is("GET", "v1/models/*")) {
    if (x.path[2] == model.name) {
      x.Send(200, entry);
    } else {
      Refuse(x, 404, "model", "there is one model here, " + model.name, "model_not_found");
    }
  } else {
    return false;
  }
  return true;
}

}  // namespace kontext::serve
