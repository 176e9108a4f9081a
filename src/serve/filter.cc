#include "serve/filter.h"

#include <Poco/Pipe.h>
#include <Poco/PipeStream.h>
#include <Poco/Process.h>

#include "base/status.h"
#include "serve/base64.h"

namespace kontext::serve {

std::string FilterInput(const StoredEdit& edit, const char* stage, const std::string& png) {
  const Json input = {{"stage", stage},
                      {"id", edit.id},
                      {"prompt", edit.request.value("prompt", "")},
                      {"picture", ToBase64(png)}};
  return input.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Status RunFilter(const std::string& program, const std::string& input, StoredEdit& edit) {
  if (program.empty()) return Status();
  try {
    Poco::Pipe in, out;
    const Poco::ProcessHandle process = Poco::Process::launch(program, {}, &in, &out, nullptr);
    {
      Poco::PipeOutputStream to(in);
      to << input;
    }
    std::string said(200, '\0');
    Poco::PipeInputStream from(out);
    from.read(said.data(), static_cast<std::streamsize>(said.size()));
    said.resize(static_cast<size_t>(from.gcount()));
    from.ignore(1 << 20);
    const int code = process.wait();
    if (code == 0) return Status();
    if (code != 1) return Internal("the filter {} ended with code {}", program, code);
    edit.error_code = "moderated";
    edit.error_message = said.empty() ? "refused by the filter" : said;
    return Usage("{}", edit.error_message);
  } catch (const std::exception& error) {
    return Internal("the filter {}: {}", program, error.what());
  }
}

}  // namespace kontext::serve
