#include "serve/picture_source.h"

#include <atomic>
#include <chrono>

#include "serve/base64.h"
#include "serve/outbound.h"
#include "serve/slot.h"

namespace kontext::serve {
namespace {

constexpr double kFetchSeconds = 20;  // all pictures of a request
constexpr int kMostFetches = 16;      // at once: each holds a thread
std::atomic<int> fetches = 0;

bool IsUrl(const std::string& text) {
  return text.starts_with("http://") || text.starts_with("https://");
}

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Result<std::string> Fetch(const Target& target, size_t most, double seconds) {
  const Slot slot(fetches);
  if (slot.number() > kMostFetches)
    return BadInput("{} pictures are being fetched; send it again later", kMostFetches);
  return GetBytes(target, most, seconds);
}

}  // namespace

PictureSource::PictureSource(const ServeOptions& options)
    : hosts_(options.image_hosts),
      left_bytes_(static_cast<size_t>(options.max_body_bytes)),
      until_(Seconds() + kFetchSeconds) {}

Result<std::optional<std::string>> PictureSource::Read(const Json& value, bool fetch) {
  const Status wrong = BadInput("must be base64 of a picture, or a data: URL");
  if (!value.is_string()) return wrong;
  const auto& text = value.get_ref<const std::string&>();
  if (!IsUrl(text)) {
    auto bytes = FromBase64(text);
    if (!bytes) return wrong;
    return bytes;
  }
  if (hosts_.empty()) return BadInput("this server fetches no URL; send the picture in base64");
  KX_ASSIGN_OR_RETURN(const Target target, ParseTarget(text, hosts_, "--image-host"));
  if (!fetch) return std::optional<std::string>();
  auto bytes = Fetch(target, left_bytes_, until_ - Seconds());
  if (!bytes.ok()) return BadInput("cannot be fetched: {}", bytes.message());
  left_bytes_ -= bytes->size();
  return std::optional(*std::move(bytes));
}

}  // namespace kontext::serve
