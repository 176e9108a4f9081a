// The ops that op_bench times, at the sizes FLUX.1 Kontext really has.
#ifndef KONTEXT_BENCH_OP_CASES_H_
#define KONTEXT_BENCH_OP_CASES_H_

#include <functional>
#include <string>
#include <vector>

#include "compute/ops.h"

namespace kontext::bench {

struct Case {
  std::string op;
  std::string shape;
  double operations = 0;  // 2 x multiply-adds; 0 for ops that only move memory
  double bytes = 0;       // read and written once each
  std::function<void()> run;
};

// All cases on `ops`; their tensors live in the closures.
Result<std::vector<Case>> MakeCases(Ops& ops);

}  // namespace kontext::bench

#endif  // KONTEXT_BENCH_OP_CASES_H_
