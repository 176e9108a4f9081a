// The rest of Ops that is not an op: weights, the kept failure, the trace, scratch memory.
#include <algorithm>
#include <utility>

#include "compute/ops.h"
#include "compute/ops_check.h"
#include "compute/ops_guard.h"

namespace kontext {

Result<std::unique_ptr<LinearWeights>> Ops::PrepareLinear(const LinearSource& source) {
  OpCheck c("PrepareLinear");
  c.That(!source.weight.empty(), "no weight, expected at least one part [n,K]");
  c.That(source.bias.empty() || source.bias.size() == source.weight.size(),
         "{} bias parts, expected none or {}", source.bias.size(), source.weight.size());
  for (size_t i = 0; i < source.weight.size() && c.status().ok(); ++i) {
    c.Size('n', -1).Weight(fmt::format("weight part {}", i), source.weight[i], "nK");
    if (!source.bias.empty()) {
      c.Arg(fmt::format("bias part {}", i), source.bias[i], "n", Kind::kWeight);
    }
  }
  int64_t features = 0;
  for (const WeightRows& part : source.weight) features += part.empty() ? 0 : part.dim(0);
  for (const LowRank& branch : source.low_rank) {
    c.Size('n', -1).Size('R', -1);
    c.Arg("down", branch.down, "RK", Kind::kWeight).Arg("up", branch.up, "nR", Kind::kWeight);
    c.That(branch.first_row >= 0 && branch.first_row <= features - c.size('n'),
           "a low-rank branch of rows [{},{}), expected inside [0,{})", branch.first_row,
           branch.first_row + c.size('n'), features);
  }
  KX_RETURN_IF_ERROR(c.status());
  return WithoutExceptions("PrepareLinear", [&] { return DoPrepareLinear(source); });
}

Result<std::unique_ptr<ConvWeights>> Ops::PrepareConv(ConstTensorView weight,
                                                      ConstTensorView bias) {
  OpCheck c("PrepareConv");
  c.Arg("weight", weight, "NCkk", Kind::kWeight).Arg("bias", bias, "N", Kind::kWeight);
  KX_RETURN_IF_ERROR(c.status());
  return WithoutExceptions("PrepareConv", [&] { return DoPrepareConv(weight, bias); });
}

Status Ops::TakeStatus() { return std::exchange(first_failure_, Status()); }

void Ops::Fail(Status status) {
  if (first_failure_.ok()) first_failure_ = std::move(status);
}

void Ops::StartTrace() {
  tracing_ = true;
  trace_.clear();
}

void Ops::Record(OpTrace one) {
  const auto entry = std::find_if(trace_.begin(), trace_.end(), [&](const OpTrace& t) {
    return t.op == one.op && t.result == one.result &&
           t.operations == one.operations * static_cast<double>(t.calls);
  });
  if (entry == trace_.end()) return trace_.push_back(std::move(one));
  entry->calls += one.calls;
  entry->seconds += one.seconds;
  entry->operations += one.operations;
  entry->bytes += one.bytes;
}

std::vector<OpTrace> Ops::trace() const {
  std::vector<OpTrace> sorted = trace_;
  std::sort(sorted.begin(), sorted.end(),
            [](const OpTrace& a, const OpTrace& b) { return a.seconds > b.seconds; });
  return sorted;
}

// Of the default bodies of the fused ops: a product's result, two normed copies of an operand, one
// of the heads.
int64_t Ops::ScratchBytes(std::span<const OpSizes> groups) const {
  int64_t values = 0;
  for (const OpSizes& s : groups) {
    values = std::max({values, s.results, 2 * s.rows * s.in, s.heads * s.queries * s.channels});
  }
  return values * SizeOf(DType::kF32);
}

TensorView Ops::Scratch(DType dtype, const Shape& shape) {
  const int64_t bytes = shape.NumElements() * SizeOf(dtype);
  if (bytes > scratch_.bytes()) {
    scratch_ = Buffer();  // the old block first, so that the two never add up
    Result<Buffer> larger = Buffer::Allocate(bytes);
    if (!larger.ok()) {
      Fail(larger.status());
      return TensorView();
    }
    scratch_ = std::move(*larger);
  }
  return TensorView(scratch_.data(), dtype, shape);
}

}  // namespace kontext
