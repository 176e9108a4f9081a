// The body of BFL's API.
#include <algorithm>
#include <array>
#include <cstdlib>

#include "serve/bfl.h"
#include "serve/outbound.h"
#include "serve/picture_reader.h"
#include "serve/picture_source.h"

namespace kontext::serve {
namespace {

constexpr std::array<const char*, 4> kPictures = {"input_image", "input_image_2", "input_image_3",
                                                  "input_image_4"};
constexpr std::array<const char*, 8> kOthers = {"prompt",      "seed",          "steps",
                                                "guidance",    "aspect_ratio",  "output_format",
                                                "webhook_url", "webhook_secret"};
constexpr size_t kMostUrl = 2083, kMostSecret = 1024;
constexpr int kMostTolerance = 6;

const Json* Find(const Json& body, const char* name) {
  const auto it = body.find(name);
  return it == body.end() || it->is_null() ? nullptr : &*it;
}

void ReadPictures(const Exchange& x, const Json& body, Draft& draft,
                  std::vector<FieldError>& errors) {
  PictureSource source(x.queue.options());
  for (const char* name : kPictures) {
    const Json* value = Find(body, name);
    if (value == nullptr) continue;
    auto bytes = source.Read(*value, errors.empty());
    if (bytes.ok() && !*bytes) continue;  // of a request that is refused anyway
    const auto picture =
        bytes.ok() ? PictureReader().Read(**bytes, name) : Result<LoadedPicture>(bytes.status());
    if (!picture.ok()) errors.push_back({name, picture.message()});
    if (picture.ok()) draft.pictures.push_back(**std::move(bytes));
  }
}

// BFL's seed is any integer, and ComfyUI's nodes for BFL send up to 2^64 - 1; ours has 63 bits. The
// result tells the one that was used.
Json SeedOf(const Json& seed) {
  if (!seed.is_number_integer()) return seed;  // told by whom it is read
  const uint64_t bits =
      seed.is_number_unsigned() ? seed.get<uint64_t>() : static_cast<uint64_t>(seed.get<int64_t>());
  return static_cast<int64_t>(bits & INT64_MAX);
}

// "16:9" -> the model's size of nearest aspect.
void ReadAspect(const Json& body, const std::vector<Size>& sizes, Json& ours,
                std::vector<FieldError>& errors) {
  const Json* value = Find(body, "aspect_ratio");
  if (value == nullptr || sizes.empty()) return;
  const std::string text = value->is_string() ? value->get<std::string>() : "";
  const size_t colon = text.find(':');
  const auto digits = [](const std::string& t) {
    return !t.empty() && t.size() <= 5 && t.find_first_not_of("0123456789") == std::string::npos;
  };
  const bool sound =
      colon != std::string::npos && digits(text.substr(0, colon)) && digits(text.substr(colon + 1));
  const int w = sound ? std::atoi(text.c_str()) : 0;
  const int h = sound ? std::atoi(text.c_str() + colon + 1) : 0;
  if (w == 0 || h == 0 || 3 * w > 7 * h || 3 * h > 7 * w) {
    errors.push_back({"aspect_ratio", "must be WIDTH:HEIGHT between 21:9 and 9:21"});
    return;
  }
  const auto off = [&](const Size& s) {
    return std::abs(double{1} * w / h - double{1} * s.width / s.height);
  };
  const Size best = *std::min_element(
      sizes.begin(), sizes.end(), [&](const Size& a, const Size& b) { return off(a) < off(b); });
  ours["width"] = best.width;
  ours["height"] = best.height;
}

void ReadWebhook(const Exchange& x, const Json& body, Draft& draft,
                 std::vector<FieldError>& errors) {
  const Json* secret = Find(body, "webhook_secret");
  if (secret != nullptr &&
      (!secret->is_string() || secret->get_ref<const std::string&>().size() > kMostSecret)) {
    errors.push_back(
        {"webhook_secret", fmt::format("must be text of at most {} bytes", kMostSecret)});
    return;
  }
  const Json* url = Find(body, "webhook_url");
  if (url == nullptr) return;
  const std::string text = url->is_string() ? url->get<std::string>() : "";
  if (text.empty() || text.size() > kMostUrl) {
    errors.push_back({"webhook_url", fmt::format("must be a URL of 1 to {} bytes", kMostUrl)});
    return;
  }
  const auto target = ParseTarget(text, x.queue.options().webhook_hosts, "--webhook-host");
  if (!target.ok()) {
    errors.push_back({"webhook_url", target.message()});
    return;
  }
  draft.webhook = Webhook();
  draft.webhook->url = text;
  draft.webhook->base = x.Base();
  if (secret != nullptr) draft.webhook->secret = secret->get<std::string>();
}

// What BFL's service does and this one does not: taken, and told.
Json Ignored(const Json& body, std::vector<FieldError>& errors) {
  Json notes = Json::array();
  if (const Json* up = Find(body, "prompt_upsampling"); up != nullptr) {
    if (!up->is_boolean()) errors.push_back({"prompt_upsampling", "must be true or false"});
    if (*up == true) notes.push_back("prompt_upsampling: ignored, the prompt is used as it is");
  }
  if (const Json* safety = Find(body, "safety_tolerance"); safety != nullptr) {
    const bool sound = safety->is_number_integer() && *safety >= 0 && *safety <= kMostTolerance;
    if (!sound)
      errors.push_back(
          {"safety_tolerance", fmt::format("must be an integer from 0 to {}", kMostTolerance)});
    notes.push_back("safety_tolerance: ignored, the operator's filters decide");
  }
  for (const auto& field : body.items()) {
    const std::string& name = field.key();
    const auto same = [&](const char* known) { return name == known; };
    if (std::any_of(kPictures.begin(), kPictures.end(), same) ||
        std::any_of(kOthers.begin(), kOthers.end(), same) || name == "prompt_upsampling" ||
        name == "safety_tolerance" || notes.size() > 20)
      continue;
    notes.push_back(name.substr(0, 100) + ": ignored, no field of this request");
  }
  return notes;
}

}  // namespace

std::vector<FieldError> ReadBflFields(const Exchange& x, const Json& body, Draft& draft) {
  if (!body.is_object()) return {{"", "the body must be a JSON object"}};
  std::vector<FieldError> errors;
  Json ours = Json::object();
  for (const char* same : {"prompt", "seed", "steps", "guidance"}) {
    if (const Json* value = Find(body, same); value != nullptr) ours[same] = *value;
  }
  if (ours.contains("seed")) ours["seed"] = SeedOf(ours["seed"]);
  ReadAspect(body, x.queue.engine().model().preferred_sizes, ours, errors);
  const Json* format = Find(body, "output_format");
  const bool jpeg = format != nullptr && *format == "jpeg";
  if (format != nullptr && !jpeg && *format != "png")
    errors.push_back({"output_format", "must be jpeg or png"});
  ReadWebhook(x, body, draft, errors);
  const Json notes = Ignored(body, errors);
  const auto more = ReadFields(ours, x.queue.engine().limits(), x.queue.options(), draft);
  errors.insert(errors.end(), more.begin(), more.end());
  ReadPictures(x, body, draft, errors);
  draft.fields["bfl"] = {{"output_format", jpeg ? "jpeg" : "png"}, {"notes", notes}};
  return errors;
}

}  // namespace kontext::serve
