// Writes one packed file as its plan says; kontext/convert.h has the whole conversion.
#ifndef KONTEXT_MODEL_CONVERT_H_
#define KONTEXT_MODEL_CONVERT_H_

#include <functional>
#include <string>

#include "base/status.h"
#include "model/convert_plan.h"

namespace kontext {

struct PackWatch {
  std::function<void(int64_t bytes_done)> progress;  // of this file, resumed ones included
  std::function<bool()> cancelled;
};

// Writes to `path` by way of path.partial (io/resumable_file.h), going on with what a try before
// this one has left. Returns the bytes that were found finished. Needs about 40 MiB and 1 MiB a
// thread of memory, whatever the size of the model.
Result<int64_t> WritePacked(const ConvertPlan& plan, const std::string& path,
                            const PackWatch& watch);

}  // namespace kontext

#endif  // KONTEXT_MODEL_CONVERT_H_
