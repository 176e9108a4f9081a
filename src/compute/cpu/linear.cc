// Linear, LinearGatedAdd, ModulatedLinear and ModulatedMlp. Products in 8 bits run on our own
// kernels everywhere; else, where the processor multiplies bf16 natively but has no AMX, oneDNN
// works on weights prepacked in its layout; everywhere else our own kernel converts the
// checkpoint's rows as it packs them, and preparing a weight copies nothing.
#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "compute/cpu/branches.h"
#include "compute/cpu/cpu_ops.h"
#include "compute/cpu/elementwise.h"
#include "compute/cpu/int8_mlp.h"
#include "compute/cpu/int8_product.h"
#include "compute/cpu/parallel.h"
#include "compute/cpu/product.h"
#include "tensor/arena.h"

namespace kontext::cpu {
namespace {

Status CopyRows(const ConstTensorView& from, const TensorView& to) {
  CopyAll(from, to);
  return Status();
}

Status CopyRows(const WeightRows& from, const TensorView& to) {
  if (!from.is_encoded()) return CopyRows(from.dense(), to);
  KX_ASSIGN_OR_RETURN(Tensor row, Tensor::Allocate(DType::kF32, {1, from.dim(1)}));
  for (int64_t i = 0; i < from.dim(0); ++i) {
    from.Decode(i, 0, from.dim(1), row.view().As<float>());
    CopyAll(row.view(), to.Rows(i, i + 1));
  }
  return Status();
}

// The rows one below the other in one tensor.
template <class Part>
Result<Tensor> Stack(const std::vector<Part>& parts, DType dtype) {
  Shape shape = parts.front().shape();
  for (size_t i = 1; i < parts.size(); ++i) shape[0] += parts[i].dim(0);
  KX_ASSIGN_OR_RETURN(Tensor all, Tensor::Allocate(dtype, shape));
  int64_t row = 0;
  for (const Part& part : parts) {
    KX_RETURN_IF_ERROR(CopyRows(part, all.view().Rows(row, row + part.dim(0))));
    row += part.dim(0);
  }
  return all;
}

RowNorm NormOf(const RowModulation& m) {
  return {.eps = m.eps,
          .weight = m.scale.As<float>(),
          .bias = m.shift.As<float>(),
          .weight_plus_one = true};
}

// Token count for which oneDNN chooses the layout of packed weights; others use the same one.
constexpr int64_t kTypicalRows = 1024;

}  // namespace

class CpuLinearWeights : public LinearWeights {
 public:
  CpuLinearWeights(int64_t out, int64_t in, const LinearSource& source)
      : LinearWeights(out, in, !source.bias.empty()),
        copies(source.copies),
        branches(source.low_rank, out) {
    if (source.coarsest == Precision::kInt8) int8.emplace(source.weight);
  }

  const Copies copies;
  std::optional<StackedRows> rows;  // where they are: for kWiden, and to make the other forms of
  Tensor bias;                      // [N] F32
  const Branches branches;
  std::optional<Int8Weights> int8;  // if the product may run in 8 bits

  // Forms that are made when they are needed for the first time, and kept.
  mutable std::optional<onednn::Weights> packed;  // kLibrary; new layouts may be added in use
  mutable Buffer encoded;
  mutable std::vector<Int8Weights::Part> int8_parts;

  // In 8 bits there is no memory for a copy: encoded anew in each use.
  bool EncodedAnew() const { return copies == Copies::kNone && int8->encoded_bytes() > 0; }
  const float* bias_data() const { return has_bias ? bias.view().As<float>() : nullptr; }
};

Result<std::unique_ptr<LinearWeights>> CpuOps::DoPrepareLinear(const LinearSource& source) {
  int64_t out = 0;
  for (const WeightRows& p : source.weight) out += p.dim(0);
  const int64_t in = source.weight.front().dim(1);
  auto w = std::make_unique<CpuLinearWeights>(out, in, source);
  if (w->has_bias) {
    KX_ASSIGN_OR_RETURN(w->bias, Stack(source.bias, DType::kF32));
  }
  w->rows.emplace(source.weight);
  largest_rank_ = std::max(largest_rank_, w->branches.rank());
  if (w->int8 && w->copies != Copies::kNone) pending_int8_bytes_ += w->int8->encoded_bytes();
  // What may run in 8 bits is packed when it is used, in the form that is asked for then.
  if (ByLibrary(*w) && !w->int8) {
    KX_RETURN_IF_ERROR(PackForLibrary(*w));
  }
  return std::unique_ptr<LinearWeights>(std::move(w));
}

bool CpuOps::RunsInInt8(const CpuLinearWeights& w) const {
  return w.int8 && precision() == Precision::kInt8;
}

bool CpuOps::ByLibrary(const CpuLinearWeights& w) const {
  return plan_.path == ProductPath::kLibrary && w.copies == Copies::kAll;
}

Status CpuOps::PackForLibrary(const CpuLinearWeights& w) {
  const onednn::Type type = onednn::TypeOf(activation_dtype());
  KX_ASSIGN_OR_RETURN(const Tensor dense, Stack(w.rows->parts(), activation_dtype()));
  const onednn::MatMulSpec spec{.m = kTypicalRows,
                                .k = w.in_features,
                                .n = w.out_features,
                                .src = type,
                                .weights = type,
                                .dst = type,
                                .src_stride = w.in_features,
                                .dst_stride = w.out_features,
                                .bias = w.has_bias,
                                .threads = omp_get_max_threads()};
  KX_ASSIGN_OR_RETURN(w.packed, library_.PackMatrix(spec, dense.view().data()));
  return Status();
}

// Encoded when they are needed for the first time, unless they are in 8 bits where they lie.
Result<const std::vector<Int8Weights::Part>*> CpuOps::KeptParts(const CpuLinearWeights& w) {
  if (w.int8_parts.empty()) {
    const int64_t bytes = w.int8->encoded_bytes();
    if (bytes > 0) {
      KX_ASSIGN_OR_RETURN(w.encoded, Buffer::Allocate(bytes));
    }
    KX_ASSIGN_OR_RETURN(w.int8_parts, w.int8->Encode(w.encoded.data()));
    if (w.copies != Copies::kNone) pending_int8_bytes_ -= bytes;
  }
  return &w.int8_parts;
}

Result<ConstTensorView> CpuOps::Normed(const ConstTensorView& src, const RowNorm& norm) {
  const int64_t bytes = src.shape().NumElements() * SizeOf(activation_dtype());
  KX_ASSIGN_OR_RETURN(std::byte * memory, space_.Bytes(Slot::kOperand, bytes));
  const TensorView normed(memory, activation_dtype(), src.shape());
  NormalizeRows(src, norm, normed);
  return ConstTensorView(normed);
}

Status CpuOps::Int8(const ConstTensorView& src, const RowNorm* norm, const CpuLinearWeights& w,
                    const Epilogue& epilogue, const TensorView& dst) {
  std::vector<Int8Weights::Part> passing;
  const std::vector<Int8Weights::Part>* parts = &passing;
  if (w.EncodedAnew()) {
    KX_ASSIGN_OR_RETURN(std::byte * memory,
                        space_.Bytes(Slot::kColumnPanels, w.int8->encoded_bytes()));
    KX_ASSIGN_OR_RETURN(passing, w.int8->Encode(memory));
  } else {
    KX_ASSIGN_OR_RETURN(parts, KeptParts(w));
  }
  const int64_t T = src.dim(0);
  const int64_t step = w.branches.empty() ? T : kBranchedRows;
  for (int64_t row = 0; row < T; row += step) {
    const auto cut = [&](const auto& v) { return v.Rows(row, std::min(row + step, T)); };
    Int8Product p{.src = cut(src),
                  .norm = norm,
                  .weight = *parts,
                  .branches = {},
                  .epilogue = epilogue,
                  .dst = cut(dst)};
    p.epilogue.bias = w.bias_data();
    if (!epilogue.addend.empty()) p.epilogue.addend = cut(epilogue.addend);
    if (!w.branches.empty()) {  // which read the rows, too
      if (norm != nullptr) {
        KX_ASSIGN_OR_RETURN(p.src, Normed(p.src, *norm));
        p.norm = nullptr;
      }
      KX_ASSIGN_OR_RETURN(const ConstTensorView narrowed, w.branches.Narrowed(p.src, space_));
      const Shape shape{p.src.dim(0), w.out_features};
      KX_ASSIGN_OR_RETURN(float* memory, space_.Floats(Slot::kResult, shape.NumElements()));
      const TensorView sum = ViewOf(memory, shape);
      KX_RETURN_IF_ERROR(cpu::Multiply(
          F32Panels(), {{LeftRows::Matrix(narrowed), w.branches.ups()}}, Epilogue{}, sum, space_));
      p.branches = sum;
    }
    KX_RETURN_IF_ERROR(MultiplyInt8(plan_.int8, p, space_));
  }
  return Status();
}

Status CpuOps::LibraryProduct(ConstTensorView src, const CpuLinearWeights& w,
                              const Epilogue& epilogue, const TensorView& dst) {
  if (src.dtype() != activation_dtype()) {
    KX_ASSIGN_OR_RETURN(src, As(activation_dtype(), src));
  }
  TensorView result = dst;
  if (!epilogue.addend.empty() || !w.branches.empty()) {
    KX_ASSIGN_OR_RETURN(float* memory, space_.Floats(Slot::kResult, dst.shape().NumElements()));
    result = ViewOf(memory, dst.shape());
  }
  const onednn::MatMulSpec spec{.m = src.dim(0),
                                .k = w.in_features,
                                .n = w.out_features,
                                .src = onednn::TypeOf(src.dtype()),
                                .weights = onednn::TypeOf(src.dtype()),
                                .dst = onednn::TypeOf(result.dtype()),
                                .src_stride = src.stride(0),
                                .dst_stride = result.stride(0),
                                .bias = w.has_bias,
                                .act = w.branches.empty() ? epilogue.act : Activation::kNone,
                                .threads = omp_get_max_threads()};
  KX_RETURN_IF_ERROR(
      library_.MatMul(spec, src.data(), *w.packed, w.bias_data(), result.data(), space_));
  return FinishResult(src, w, epilogue, result, dst);
}

Status CpuOps::FinishResult(const ConstTensorView& src, const CpuLinearWeights& w,
                            const Epilogue& epilogue, const TensorView& result,
                            const TensorView& dst) {
  if (!w.branches.empty()) {
    KX_ASSIGN_OR_RETURN(const ConstTensorView narrowed, w.branches.Narrowed(src, space_));
    KX_RETURN_IF_ERROR(cpu::Multiply(F32Panels(), {{LeftRows::Matrix(narrowed), w.branches.ups()}},
                                     {.addend = result}, result, space_));
    if (epilogue.addend.empty()) ActivateAll(result, epilogue.act, dst);
  }
  if (!epilogue.addend.empty()) AddGated(result, epilogue.gate, dst);
  return Status();
}

Status CpuOps::Product(const ConstTensorView& src, const LinearWeights& weights,
                       const Epilogue& epilogue, const TensorView& dst) {
  const auto& w = static_cast<const CpuLinearWeights&>(weights);
  if (RunsInInt8(w)) return Int8(src, nullptr, w, epilogue, dst);
  if (ByLibrary(w)) {
    if (!w.packed) KX_RETURN_IF_ERROR(PackForLibrary(w));
    return LibraryProduct(src, w, epilogue, dst);
  }
  Epilogue e = epilogue;
  e.bias = w.bias_data();
  const ProductTerm product{LeftRows::Matrix(src), *w.rows};
  if (w.branches.empty()) {
    return cpu::Multiply(PanelsFor(plan_.path), {product}, e, dst, space_);
  }
  if (plan_.path == ProductPath::kAmx) {  // which would round what the branches narrow to
    KX_ASSIGN_OR_RETURN(float* memory, space_.Floats(Slot::kResult, dst.shape().NumElements()));
    const TensorView result = ViewOf(memory, dst.shape());
    KX_RETURN_IF_ERROR(cpu::Multiply(AmxPanels(), {product}, {.bias = e.bias}, result, space_));
    return FinishResult(src, w, epilogue, result, dst);
  }
  KX_ASSIGN_OR_RETURN(const ConstTensorView narrowed, w.branches.Narrowed(src, space_));
  return cpu::Multiply(F32Panels(), {product, {LeftRows::Matrix(narrowed), w.branches.ups()}}, e,
                       dst, space_);
}

void CpuOps::DoLinear(ConstTensorView src, const LinearWeights& w, Activation act, TensorView dst) {
  Keep(Product(src, w, {.act = act}, dst));
}

// In 8 bits a row is normed while it is packed. Elsewhere rows are packed several times, once for
// each piece of the weight, so they are normed before; as many at a time as are packed together.
void CpuOps::DoModulatedLinear(ConstTensorView src, const RowModulation& m,
                               const LinearWeights& weights, Activation act, TensorView dst) {
  const RowNorm norm = NormOf(m);
  const auto& w = static_cast<const CpuLinearWeights&>(weights);
  if (RunsInInt8(w)) return Keep(Int8(src, &norm, w, {.act = act}, dst));
  const int64_t T = src.dim(0);
  for (int64_t row = 0; row < T; row += kChunkRows) {
    const auto cut = [&](const auto& v) { return v.Rows(row, std::min(row + kChunkRows, T)); };
    const Result<ConstTensorView> normed = Normed(cut(src), norm);
    Status status = normed.ok() ? Product(*normed, w, {.act = act}, cut(dst)) : normed.status();
    if (!status.ok()) return Fail(std::move(status));
  }
}

void CpuOps::DoModulatedMlp(TensorView operand, const RowModulation& m, const LinearWeights& in,
                            const LinearWeights& out, ConstTensorView gate, TensorView dst) {
  const auto& a = static_cast<const CpuLinearWeights&>(in);
  const auto& b = static_cast<const CpuLinearWeights&>(out);
  const int64_t beside = operand.dim(1) - in.out_features;
  const auto fits = [&](const CpuLinearWeights& w) {
    return RunsInInt8(w) && w.branches.empty() && !w.EncodedAnew();
  };
  if (!fits(a) || !fits(b) || !Int8MlpTakes(plan_.int8, beside, std::ssize(a.rows->parts()))) {
    DoModulatedLinear(dst, m, in, Activation::kGeluTanh,
                      operand.Cols(beside, operand.dim(1)));  // [T,F]
    return DoLinearGatedAdd(operand, out, gate, dst);
  }
  const auto in_parts = KeptParts(a), out_parts = KeptParts(b);
  if (!in_parts.ok()) return Fail(in_parts.status());
  if (!out_parts.ok()) return Fail(out_parts.status());
  Keep(MultiplyInt8Mlp(
      plan_.int8,
      {.norm = NormOf(m),
       .beside = operand.Cols(0, beside),
       .in = **in_parts,
       .in_epilogue = {.bias = a.bias_data(), .act = Activation::kGeluTanh},
       .out = **out_parts,
       .out_epilogue = {.bias = b.bias_data(), .gate = gate.As<float>(), .addend = dst},
       .dst = dst},
      space_));
}

void CpuOps::DoLinearGatedAdd(ConstTensorView src, const LinearWeights& w, ConstTensorView gate,
                              TensorView dst) {
  const float* factors = gate.empty() ? nullptr : gate.As<float>();
  Keep(Product(src, w, {.gate = factors, .addend = dst}, dst));
}

}  // namespace kontext::cpu
