// The weight table contract: each network names its tensors once, in one Visit function, and every
// user of that list (load, check, random initialisation, counting) is a WeightVisitor.
//
// Names are BFL's (double_blocks.0.img_attn.qkv.weight) for FLUX and the VAE, Hugging Face's for
// the text encoders; other dialects are tables in weights/dialect.cc.
#ifndef KONTEXT_WEIGHTS_TABLE_H_
#define KONTEXT_WEIGHTS_TABLE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "compute/ops.h"
#include "tensor/arena.h"
#include "tensor/weight_rows.h"

namespace kontext {

// The members of a network's weight struct.
using LinearPtr = std::unique_ptr<LinearWeights>;
using ConvPtr = std::unique_ptr<ConvWeights>;
struct VectorWeights {  // norm weights and biases, as F32
  Tensor values;
  ConstTensorView view() const { return values.view(); }  // [n]
};
struct TableWeights {  // an embedding table, left in the file's encoding and memory
  WeightRows table;    // [rows, cols]
};

enum class Bias { kNo, kYes };
struct RowRange {
  int64_t begin = 0, end = 0;
};

// How often a run uses weights: once before its steps, or in every one.
enum class Use { kOnce, kEveryStep };

// Told by a running network which section of its weights it is about to use, so that weights can be
// brought in and let go. Networks number their sections in the order of use as they visit them.
class SectionWatch {
 public:
  virtual ~SectionWatch() = default;
  virtual void Enter(int section) = 0;
  virtual void Leave() = 0;  // done with the weights for now: nothing is read ahead any more
};

// Called once per entry of a weight table, in the order of the network's data flow. A visitor may
// keep the addresses it is given until Visit has returned, so Visit sizes its vectors before it
// calls.
class WeightVisitor {
 public:
  virtual ~WeightVisitor() = default;
  // What is visited from here on belongs to this section of the run. All kOnce sections come before
  // the others.
  virtual void Section(int section, Use use) {
    (void)section;
    (void)use;
  }
  // What is visited from here on may be multiplied in this precision, if it is asked for; exactly
  // until then.
  virtual void Coarsest(Precision precision) { (void)precision; }
  // `name`.weight [out, in] (a file may have [out, in, 1, 1]) and, with kYes, `name`.bias [out].
  void Linear(const std::string& name, LinearPtr& w, int64_t out, int64_t in, Bias bias) {
    LinearRows(name, w, {0, out}, out, in, bias);
  }
  // The same tensors, of which `w` gets the rows [begin, end) only: a product that the network runs
  // in parts is still one tensor of the file. The ranges of one name are visited from row 0 on,
  // without gaps or overlaps.
  virtual void LinearRows(const std::string& name, LinearPtr& w, RowRange rows, int64_t out,
                          int64_t in, Bias bias) = 0;
  // `name`.weight [out, in, kernel, kernel] and `name`.bias [out].
  virtual void Conv(const std::string& name, ConvPtr& w, int64_t out, int64_t in,
                    int64_t kernel) = 0;
  // The tensor `name` itself (its full name, with .weight, .bias or .scale), [n].
  virtual void Vector(const std::string& name, VectorWeights& w, int64_t n) = 0;
  // The tensor `name` itself, [rows, cols].
  virtual void Table(const std::string& name, TableWeights& w, int64_t rows, int64_t cols) = 0;
};

// Whether pieces, as TensorSource::Find gives them, stacked by rows have `shape`. Brings a 1x1
// convolution [n, in, 1, 1] into the form of a matrix [n, in].
bool Stack(std::vector<WeightRows>& pieces, const Shape& shape);

// Where tensors come from: a checkpoint through its dialect, a random generator, a test's own rule.
class TensorSource {
 public:
  virtual ~TensorSource() = default;
  // The tensor under its canonical name, as pieces stacked by rows (one piece nearly always); empty
  // if there is none. `shape` is what the network expects, for sources that make tensors up. The
  // memory stays valid as long as the source. A failure's message is one entry of the loader's
  // list: it names the tensor, but not the source.
  virtual Result<std::vector<WeightRows>> Find(const std::string& name, const Shape& shape) = 0;
  // Low-rank branches beside the product with the weight `name`, nearly always none. They refer to
  // memory that lives as long as the weights.
  virtual std::vector<LowRank> Branches(const std::string& name) {
    (void)name;
    return {};
  }
  // What the source holds that nobody has asked for (names as in the file); empty for generators.
  virtual std::vector<std::string> Unasked() const = 0;
  // For messages: the file's name, or "random".
  virtual std::string description() const = 0;
  // For messages: what the tensor `name` is called in this source.
  virtual std::string NameInSource(const std::string& name) const { return name; }
  // For messages about a source that does not fit: what it looks like; empty if nothing can be
  // said.
  virtual std::string Guess() const { return {}; }
};

}  // namespace kontext

#endif  // KONTEXT_WEIGHTS_TABLE_H_
