// What --json prints: one JSON object a line on stdout.
#ifndef KONTEXT_APPS_CLI_EVENTS_H_
#define KONTEXT_APPS_CLI_EVENTS_H_

#include <nlohmann/json.hpp>
#include <string>

namespace kontext::cli {

using Json = nlohmann::ordered_json;

// On one line; text that is no UTF-8 (a file's name may be anything) has its bytes replaced.
std::string Dump(const Json& json);
// JSON has no infinity.
Json NumberOrNull(double v);
void PrintEvent(const Json& event);

}  // namespace kontext::cli

#endif  // KONTEXT_APPS_CLI_EVENTS_H_
