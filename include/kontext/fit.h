// Fit: which sizes and encodings of a model a machine can run, and how fast, before anything is
// downloaded or bought; docs/memory.md.
#ifndef KONTEXT_FIT_H_
#define KONTEXT_FIT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kontext/kontext.h"

namespace kontext {

struct FitOptions {
  // The model, and how it would be run; without one FLUX.1 Kontext [dev], of which no file is
  // needed.
  EngineOptions engine;
  std::optional<Size> size;  // one more row of the table
  int64_t memory = 0;        // bytes of the machine meant; 0: what is free here
  int cores = 0;             // of the machine meant; 0: this one
  // "avx2", "avx512", "avx512_vnni", "avx512_bf16", "amx"; empty: this one's.
  std::string isa = {};
};

struct FitRow {
  std::string mode;      // "exact", or "default": products in 8 bits
  std::string encoding;  // of the transformer and T5: "as it is (Q4_K)", "bf16", "int8 (convert)"
  Size size;             // of the picture and its one reference
  int64_t anonymous_bytes = 0;  // that only swap could free: planned, and kept to
  int64_t weight_bytes = 0;     // mapped: the transformer's blocks
  int64_t disk_bytes = 0;       // all files
  // "fits": weights stay in memory; "streams": they are read again in every step; "no".
  std::string verdict;
  int64_t read_bytes_per_step = 0;  // when it streams
  double seconds_per_step = 0;      // reading not included
  double seconds_per_edit = 0;      // text, reference, 28 steps, picture
};

struct Fit {
  std::string model;
  bool computed = false;  // for another machine: not measured
  std::string machine;    // what the times are for
  std::string source;     // where its rates come from
  int64_t memory_bytes = 0;
  double linear_rate = 0, int8_rate = 0;  // operations a second
  double attention_rate = 0, int8_attention_rate = 0;
  double error = 0;    // of a step's predicted time, as a part of it
  double seconds = 0;  // that the calibration took
  int steps = 28;
  std::vector<FitRow> rows;
};
Result<Fit> FitMachine(const FitOptions& options);
// One object, for `kontext fit --json` and /v1/fit: docs/openapi.json describes it.
std::string FitJson(const Fit& fit);

}  // namespace kontext

#endif  // KONTEXT_FIT_H_
