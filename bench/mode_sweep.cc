// mode_sweep MODEL CASES OUT PLAN...: runs every case with every step plan, through the engine.
//
// CASES holds a line a case: seed, picture and instruction, with tabs between. PLAN is a step plan
// as recipes have it ("FFF-R-F", src/edit/step_plan.h). OUT/<plan>-<case>.png are the pictures, by
// number from 0. tools/mini/modes judges them and writes the tables of docs/modes.md.
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/threads.h"
#include "compute/registry.h"
#include "edit/edit.h"
#include "io/picture.h"
#include "kontext/kontext.h"
#include "model/model.h"

namespace kontext {
namespace {

Result<std::vector<EditRequest>> ReadCases(const std::string& path) {
  std::vector<EditRequest> cases;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    std::string seed, picture;
    EditRequest request;
    if (!std::getline(fields, seed, '\t') || !std::getline(fields, picture, '\t') ||
        !std::getline(fields, request.prompt)) {
      return Usage("{}, line {}: expected SEED, PICTURE and INSTRUCTION with tabs between", path,
                   cases.size() + 1);
    }
    request.seed = std::strtoull(seed.c_str(), nullptr, 10);
    KX_ASSIGN_OR_RETURN(DecodedPicture decoded, ReadPicture(picture, false));
    request.images.push_back(std::move(decoded.pixels));
    cases.push_back(std::move(request));
  }
  if (cases.empty()) return BadInput("{}: no cases", path);
  return cases;
}

Status Sweep(const std::string& model_path, const std::string& cases_path,
             const std::filesystem::path& out, const std::vector<std::string>& plans) {
  KX_ASSIGN_OR_RETURN(const std::vector<EditRequest> cases, ReadCases(cases_path));
  KX_ASSIGN_OR_RETURN(const auto ops, MakeOps({}));
  KX_ASSIGN_OR_RETURN(const auto model, OpenModel({.model = model_path}, *ops));
  constexpr int kThreads = 1;  // many sweeps side by side use a machine best
  const ThreadScope threads(kThreads);
  for (size_t p = 0; p < plans.size(); ++p) {
    KX_ASSIGN_OR_RETURN(const StepPlan plan, ParseStepPlan(plans[p]));
    for (size_t c = 0; c < cases.size(); ++c) {
      EditRequest request = cases[c];
      request.steps = static_cast<int>(plan.size());
      KX_ASSIGN_OR_RETURN(const auto edited,
                          RunEdit(*model, *ops, request, 0, kThreads, {}, nullptr, &plan));
      KX_RETURN_IF_ERROR(SavePicture(out / fmt::format("{}-{}.png", p, c), edited.front()));
    }
    std::fprintf(stderr, "%zu of %zu plans\n", p + 1, plans.size());
  }
  return Status();
}

}  // namespace
}  // namespace kontext

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr, "usage: mode_sweep MODEL CASES OUT PLAN...\n");
    return 2;
  }
  const std::vector<std::string> plans(argv + 4, argv + argc);
  const kontext::Status status = kontext::Sweep(argv[1], argv[2], argv[3], plans);
  if (!status.ok()) std::fprintf(stderr, "mode_sweep: %s\n", status.message().c_str());
  return status.ok() ? 0 : 1;
}
