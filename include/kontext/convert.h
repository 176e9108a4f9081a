// Converting weight files into the packed form that this engine maps and uses as it lies on the
// disk; docs/convert.md.
#ifndef KONTEXT_CONVERT_H_
#define KONTEXT_CONVERT_H_

#include <cstdint>
#include <string>

#include "kontext/status.h"

namespace kontext {

enum class Packing {
  kBf16,  // every weight in 16 bits
  kInt8,  // the large matrices of the transformer's and T5's blocks in 8, all else as kBf16
};

struct ConvertOptions {
  std::string in;   // a weight file of any kind the engine reads, or a model directory
  std::string out;  // NAME.safetensors, or a new directory
  Packing packing = Packing::kInt8;
  int threads = 0;  // 0: all this process may use
};

struct ConvertProgress {
  std::string part;        // what is being written: "transformer"
  int64_t bytes_done = 0;  // of all parts
  int64_t bytes_total = 0;
  double seconds_left = 0;  // 0 while unknown
};

// Watches a conversion; called from the threads at work, one at a time.
class ConvertListener {
 public:
  virtual ~ConvertListener() = default;
  virtual void OnProgress(const ConvertProgress& progress) { (void)progress; }
  virtual void OnNote(const std::string& note) { (void)note; }
  // Asked several times a second; true ends the conversion with Code::kCancelled, to be resumed.
  virtual bool Cancelled() { return false; }
};

struct ConvertReport {
  int64_t tensors = 0;
  int64_t bytes_in = 0, bytes_out = 0;
  int64_t bytes_resumed = 0;  // of bytes_out: found finished
  double seconds = 0;
};
// In one pass and bounded memory. What is begun stays beside `out` when it is interrupted or the
// disk is full, and the same call goes on from there; `out` appears only when it is complete.
Result<ConvertReport> Convert(const ConvertOptions& options, ConvertListener* listener = nullptr);

struct VerifyReport {
  int64_t tensors = 0;
  int64_t bytes = 0;
};
// Reads a packed file (or all parts of a directory of them) and compares every tensor with its
// checksum; kBadInput names all that differ.
Result<VerifyReport> VerifyPacked(const std::string& path, ConvertListener* listener = nullptr);

}  // namespace kontext

#endif  // KONTEXT_CONVERT_H_
