// The weight table contract: each network names its tensors once, in one Visit function, and every
// user of that list (load, check, random initialisation, counting) is a WeightVisitor.
//
// Names are BFL's (double_blocks.0.img_attn.qkv.weight) for FLUX and the VAE, Hugging Face's for the
// text encoders; other dialects are tables in weights/dialect.cc.
#ifndef KONTEXT_WEIGHTS_TABLE_H_
#define KONTEXT_WEIGHTS_TABLE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "compute/ops.h"
#include "tensor/arena.h"
#include "tensor/view.h"

namespace kontext {

// The members of a network's weight struct.
using LinearPtr = std::unique_ptr<LinearWeights>;
using ConvPtr = std::unique_ptr<ConvWeights>;
struct VectorWeights {  // norm weights and biases, as F32
  Tensor values;
  ConstTensorView view() const { return values.view(); }  // [n]
};
struct TableWeights {  // an embedding table, left in the file's dtype and memory
  ConstTensorView view;  // [rows, cols]
};

enum class Bias { kNo, kYes };

// Called once per entry of a weight table, in the order of the network's data flow.
class WeightVisitor {
 public:
  virtual ~WeightVisitor() = default;
  // `name`.weight [out, in] (a file may have [out, in, 1, 1]) and, with kYes, `name`.bias [out].
  virtual void Linear(const std::string& name, LinearPtr& w, int64_t out, int64_t in, Bias bias) = 0;
  // `name`.weight [out, in, kernel, kernel] and `name`.bias [out].
  virtual void Conv(const std::string& name, ConvPtr& w, int64_t out, int64_t in, int64_t kernel) = 0;
  // The tensor `name` itself (its full name, with .weight, .bias or .scale), [n].
  virtual void Vector(const std::string& name, VectorWeights& w, int64_t n) = 0;
  // The tensor `name` itself, [rows, cols].
  virtual void Table(const std::string& name, TableWeights& w, int64_t rows, int64_t cols) = 0;
};

// Where tensors come from: a checkpoint through its dialect, a random generator, a test's own rule.
class TensorSource {
 public:
  virtual ~TensorSource() = default;
  // The tensor under its canonical name, as pieces stacked by rows (one piece nearly always); empty if
  // there is none. `shape` is what the network expects, for sources that make tensors up. The memory
  // stays valid as long as the source.
  virtual Result<std::vector<ConstTensorView>> Find(const std::string& name, const Shape& shape) = 0;
  // What the source holds that nobody has asked for (names as in the file); empty for generators.
  virtual std::vector<std::string> Unasked() const = 0;
  // For messages: the file's name, or "random".
  virtual std::string description() const = 0;
};

}  // namespace kontext

#endif  // KONTEXT_WEIGHTS_TABLE_H_
