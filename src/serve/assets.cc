#include "serve/assets.h"

namespace kontext::serve {

const std::vector<Asset>& Assets() {
  static const std::vector<Asset> assets = {
      {"index.html", "text/html; charset=utf-8",
       "<!doctype html><html lang=\"en\"><title>kontext</title><h1>kontext serve</h1><p>The API is "
       "described by <a href=\"/v1/openapi.json\">/v1/openapi.json</a>.</p></html>\n"}};
  return assets;
}

}  // namespace kontext::serve
