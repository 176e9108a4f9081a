#include "serve/samples.h"

#include <algorithm>
#include <cstdlib>

#include "base/status.h"
#include "serve/signature.h"

namespace kontext::serve {
namespace {

std::string Signed(const Queue& queue, const std::string& file, int64_t expires) {
  return HmacHex(queue.secret(), fmt::format("bfl sample {} {}", file, expires));
}

// `file` was written here: EDIT.FORMAT or EDIT_INDEX.FORMAT.
void SendSample(Exchange& x, const std::string& file) {
  const size_t dot = file.rfind('.');
  const size_t bar = std::min(file.find('_'), dot);
  const int index = bar == dot ? 0 : std::atoi(file.c_str() + bar + 1);
  const std::string format = file.substr(dot + 1);
  const auto edit = x.queue.Get(file.substr(0, bar));
  if (!edit.ok()) return x.FailStore(edit.status());
  if (!*edit || (**edit).state != "ready" || index >= std::ssize((**edit).images))
    return x.Fail(404, "not_found", "the picture is not kept any more");
  const auto picture = PictureAs(x.queue.store(), (**edit).images[static_cast<size_t>(index)],
                                 format == "jpeg" ? ".jpg" : "." + format);
  if (!picture.ok()) return x.FailStore(picture.status());
  x.response.set("Cache-Control", "private, no-store");
  x.SendBytes("image/" + format, *picture);
}

}  // namespace

std::string SampleUrl(const Queue& queue, const std::string& base, const std::string& edit,
                      int index, const std::string& format, int64_t seconds) {
  const std::string file = index == 0 ? fmt::format("{}.{}", edit, format)
                                      : fmt::format("{}_{}.{}", edit, index, format);
  const int64_t expires = static_cast<int64_t>(Now()) + seconds;
  return fmt::format("{}/v1/samples/{}?expires={}&signature={}", base, file, expires,
                     Signed(queue, file, expires));
}

bool Samples(Exchange& x) {
  if (!x.Is("GET", "v1/samples/*")) return false;
  const std::string& file = x.path[2];
  const int64_t expires = x.Number("expires", 0);
  if (!SameText(Signed(x.queue, file, expires), x.Query("signature"))) {
    x.Fail(403, "bad_signature", "this URL was not made by this server");
  } else if (static_cast<int64_t>(Now()) > expires) {
    x.Fail(403, "expired", "this URL has expired; ask for the result again");
  } else {
    SendSample(x, file);
  }
  return true;
}

}  // namespace kontext::serve
