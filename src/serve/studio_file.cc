#include "serve/studio_file.h"

#include <Poco/DeflatingStream.h>

#include <sstream>

#include "serve/assets.h"

namespace kontext::serve {
namespace {

constexpr int kBestCompression = 9;

struct Packed {
  const Asset* asset;
  std::string compressed;  // gzip; empty where it saves nothing, as of fonts and pictures
  std::string tag;         // RFC 9110, 8.8.3: weak, for both forms have it
};

std::vector<Packed> Pack() {
  std::vector<Packed> all;
  for (const Asset& asset : Assets()) {
    std::ostringstream gzip;
    Poco::DeflatingOutputStream deflating(gzip, Poco::DeflatingStreamBuf::STREAM_GZIP,
                                          kBestCompression);
    deflating << asset.bytes;
    deflating.close();
    all.push_back({&asset, gzip.str(), "W/\"" + HashOf(asset.bytes) + '"'});
    if (all.back().compressed.size() >= asset.bytes.size()) all.back().compressed.clear();
  }
  return all;
}

void Send(Exchange& x, const Packed& file) {
  x.response.set("Content-Security-Policy",
                 "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; "
                 "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action "
                 "'none'; frame-ancestors 'none'");
  x.response.set("Referrer-Policy", "no-referrer");
  x.response.set("Cache-Control", "no-cache");
  x.response.add("Vary", "Accept-Encoding");
  x.response.set("ETag", file.tag);
  if (x.request.get("If-None-Match", "") == file.tag) {
    x.response.setStatusAndReason(Poco::Net::HTTPResponse::HTTP_NOT_MODIFIED);
    x.response.send();
    return;
  }
  const std::string accepted = x.request.get("Accept-Encoding", "");
  const size_t at = accepted.find("gzip");
  const bool packed = !file.compressed.empty() && at != std::string::npos &&
                      accepted.compare(at, 8, "gzip;q=0") != 0;
  if (packed) x.response.set("Content-Encoding", "gzip");
  x.SendBytes(file.asset->type, packed ? file.compressed : file.asset->bytes);
}

}  // namespace

bool StudioFile(Exchange& x) {
  if (x.method != "GET") return false;
  std::string path;
  for (const std::string& part : x.path) path += (path.empty() ? "" : "/") + part;
  if (path.empty() || path == "review") path = "index.html";
  static const std::vector<Packed> files = Pack();
  for (const Packed& file : files) {
    if (file.asset->path != path) continue;
    Send(x, file);
    return true;
  }
  return false;
}

}  // namespace kontext::serve
