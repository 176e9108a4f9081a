// The public side of Ops: every call is checked against its line in ops.h before a backend sees it.
#include "compute/ops.h"

#include <chrono>
#include <cmath>

#include "compute/ops_check.h"
#include "compute/ops_guard.h"

namespace kontext {
namespace {

constexpr std::string_view kEps = "eps is {}, expected a finite number above 0";

bool GoodEps(float eps) { return std::isfinite(eps) && eps > 0; }

double Double(int64_t n) { return static_cast<double>(n); }

OpCheck CheckLinear(std::string_view op, const ConstTensorView& src, const LinearWeights& w,
                    const ConstTensorView& dst) {
  OpCheck c(op);
  c.Size('K', w.in_features).Size('N', w.out_features);
  c.Arg("src", src, "TK", Kind::kActivation).Arg("dst", dst, "TN", Kind::kActivation);
  c.Apart("src", src, dst);
  return c;
}

double LinearOperations(const ConstTensorView& dst, const LinearWeights& w) {
  return 2.0 * Double(dst.dim(0)) * Double(w.in_features) * Double(w.out_features);
}

// Rows or columns of the result: floor((in + pads - k) / stride) + 1.
int64_t ConvOut(int64_t in, int64_t kernel, const ConvOptions& o) {
  const int64_t room = in + o.pad_begin + o.pad_end - kernel;
  return room < 0 ? 0 : room / o.stride + 1;
}

OpCheck CheckConv(std::string_view op, const ConstTensorView& src, const ConvWeights& w,
                  const ConvOptions& o, const ConstTensorView& dst) {
  OpCheck c(op);
  c.Size('C', w.in_channels).Size('N', w.out_channels);
  c.That(o.stride >= 1, "stride is {}, expected at least 1", o.stride);
  c.That(o.pad_begin >= 0 && o.pad_begin < w.kernel && o.pad_end >= 0 && o.pad_end < w.kernel,
         "pads are {} and {}, expected 0 to {} for a {}x{} kernel", o.pad_begin, o.pad_end,
         w.kernel - 1, w.kernel, w.kernel);
  c.Arg("src", src, "hwC", Kind::kPicture);
  if (!c.status().ok()) return c;
  c.Size('y', ConvOut(c.size('h'), w.kernel, o)).Size('x', ConvOut(c.size('w'), w.kernel, o));
  c.That(c.size('y') > 0 && c.size('x') > 0, "src {} with pads {} and {} is smaller than {}x{}",
         src.shape().Str(), o.pad_begin, o.pad_end, w.kernel, w.kernel);
  c.Arg("dst", dst, "yxN", Kind::kPicture).Apart("src", src, dst);
  return c;
}

double ConvOperations(const ConstTensorView& dst, const ConvWeights& w) {
  return 2.0 * Double(dst.dim(0)) * Double(dst.dim(1)) * Double(w.out_channels) *
         Double(w.in_channels) * Double(w.kernel) * Double(w.kernel);
}

OpCheck CheckPair(std::string_view op, const ConstTensorView& a, const ConstTensorView& b,
                  const ConstTensorView& dst) {
  OpCheck c(op);
  c.AnyShape("a", a, Kind::kActivation);
  c.SameShape("b", b, a, Kind::kActivation).SameShape("dst", dst, a, Kind::kActivation);
  c.InPlaceOrApart(a, dst).InPlaceOrApart(b, dst);
  return c;
}

// The last dimension as letter D, at least 1.
void LastSize(OpCheck& c, const ConstTensorView& src) {
  if (!c.status().ok()) return;
  c.That(src.shape().back() > 0, "src is {}, expected a last size above 0", src.shape().Str());
  c.Size('D', src.shape().back());
}

void CheckIds(OpCheck& c, const ConstTensorView& ids, int64_t rows) {
  for (int64_t t = 0; t < ids.dim(0); ++t) {
    const int32_t id = ids.As<int32_t>()[t];
    c.That(id >= 0 && id < rows, "ids[{}] is {}, expected 0 to {}", t, id, rows - 1);
  }
}

}  // namespace

template <class Body>
void Ops::Run(const OpCheck& checked, const ConstTensorView& dst, double operations, Body body) {
  if (!first_failure_.ok()) return;
  if (!checked.status().ok()) return Fail(checked.status());
  if (dst.shape().NumElements() == 0) return;
  const auto begin = std::chrono::steady_clock::now();
  Status thrown = WithoutExceptions(checked.op(), [&] {
    body();
    return Status();
  });
  if (!thrown.ok()) Fail(std::move(thrown));
  if (!tracing_) return;
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
  Record({std::string(checked.op()), dst.shape(), 1, time.count(), operations, checked.bytes()});
}

void Ops::Linear(ConstTensorView src, const LinearWeights& w, Activation act, TensorView dst) {
  const OpCheck c = CheckLinear("Linear", src, w, dst);
  Run(c, dst, LinearOperations(dst, w), [&] { DoLinear(src, w, act, dst); });
}

void Ops::LinearGatedAdd(ConstTensorView src, const LinearWeights& w, ConstTensorView gate,
                         TensorView dst) {
  OpCheck c = CheckLinear("LinearGatedAdd", src, w, dst);
  c.Optional("gate", gate, "N", Kind::kVector);
  Run(c, dst, LinearOperations(dst, w), [&] { DoLinearGatedAdd(src, w, gate, dst); });
}

void Ops::ModulatedLinear(ConstTensorView src, const RowModulation& m, const LinearWeights& w,
                          Activation act, TensorView dst) {
  OpCheck c = CheckLinear("ModulatedLinear", src, w, dst);
  c.Arg("shift", m.shift, "K", Kind::kVector).Arg("scale", m.scale, "K", Kind::kVector);
  c.That(GoodEps(m.eps), kEps, m.eps);
  Run(c, dst, LinearOperations(dst, w), [&] { DoModulatedLinear(src, m, w, act, dst); });
}

void Ops::ModulatedMlp(TensorView operand, const RowModulation& m, const LinearWeights& in,
                       const LinearWeights& out, ConstTensorView gate, TensorView dst) {
  OpCheck c("ModulatedMlp");
  c.Size('D', in.in_features).Size('O', out.in_features);
  c.That(out.out_features == in.in_features && out.in_features >= in.out_features,
         "weights are [{},{}] and [{},{}], expected [F,D] and [D,A+F]", in.out_features,
         in.in_features, out.out_features, out.in_features);
  c.Arg("dst", dst, "TD", Kind::kActivation).Arg("operand", operand, "TO", Kind::kActivation);
  c.Arg("shift", m.shift, "D", Kind::kVector).Arg("scale", m.scale, "D", Kind::kVector);
  c.Arg("gate", gate, "D", Kind::kVector);
  c.That(GoodEps(m.eps), kEps, m.eps).Apart("operand", operand, dst);
  const double features = Double(in.out_features) + Double(out.in_features);
  Run(c, dst, 2.0 * Double(dst.dim(0)) * Double(dst.dim(1)) * features,
      [&] { DoModulatedMlp(operand, m, in, out, gate, dst); });
}

void Ops::Attention(ConstTensorView q, ConstTensorView k, ConstTensorView v,
                    const AttentionOptions& o, TensorView dst) {
  OpCheck c("Attention");  // T queries, S keys, E = Dh
  c.Arg("q", q, "HTE", Kind::kActivation).Arg("k", k, "HSE", Kind::kActivation);
  c.Arg("v", v, "HSE", Kind::kActivation).Size('D', c.size('H') * c.size('E'));
  c.Arg("dst", dst, "TD", Kind::kActivation);
  c.That(std::isfinite(o.scale), "scale is {}, expected a finite number", o.scale);
  c.That(!o.causal || c.size('T') == c.size('S'), "causal with {} queries and {} keys", c.size('T'),
         c.size('S'));
  c.That(o.coarsest == Precision::kExact || (!o.causal && o.relative_bias.empty() && o.scale > 0),
         "8 bits with a mask, a bias or scale {}", o.scale);
  c.Size('R', c.size('T') + c.size('S') - 1);
  c.Optional("relative_bias", o.relative_bias, "HR", Kind::kVector);
  c.Apart("q", q, dst).Apart("k", k, dst).Apart("v", v, dst);
  const double pairs = Double(q.dim(1)) * Double(k.dim(1)) * (o.causal ? 0.5 : 1.0);
  Run(c, dst, 4.0 * pairs * Double(dst.dim(1)), [&] { DoAttention(q, k, v, o, dst); });
}

void Ops::LayerNorm(ConstTensorView src, ConstTensorView weight, ConstTensorView bias, float eps,
                    TensorView dst) {
  OpCheck c("LayerNorm");
  c.Arg("src", src, "TD", Kind::kActivation).Arg("dst", dst, "TD", Kind::kActivation);
  c.Optional("weight", weight, "D", Kind::kVector).Optional("bias", bias, "D", Kind::kVector);
  c.That(weight.empty() == bias.empty(), "one of weight and bias is empty, expected both or none");
  c.That(GoodEps(eps), kEps, eps).Apart("src", src, dst);
  Run(c, dst, 0, [&] { DoLayerNorm(src, weight, bias, eps, dst); });
}

void Ops::RmsNorm(ConstTensorView src, ConstTensorView weight, float eps, TensorView dst) {
  OpCheck c("RmsNorm");
  c.AnyShape("src", src, Kind::kActivation).SameShape("dst", dst, src, Kind::kActivation);
  LastSize(c, src);
  c.Arg("weight", weight, "D", Kind::kVector);
  c.That(GoodEps(eps), kEps, eps).Apart("src", src, dst);
  Run(c, dst, 0, [&] { DoRmsNorm(src, weight, eps, dst); });
}

void Ops::GroupNorm(ConstTensorView src, ConstTensorView weight, ConstTensorView bias, int groups,
                    float eps, Activation act, TensorView dst) {
  OpCheck c("GroupNorm");
  c.Arg("src", src, "hwC", Kind::kPicture).Arg("dst", dst, "hwC", Kind::kPicture);
  c.Arg("weight", weight, "C", Kind::kVector).Arg("bias", bias, "C", Kind::kVector);
  c.That(groups >= 1 && c.size('C') % groups == 0, "{} groups, expected a divisor of {} channels",
         groups, c.size('C'));
  c.That(GoodEps(eps), kEps, eps).Apart("src", src, dst);
  Run(c, dst, 0, [&] { DoGroupNorm(src, weight, bias, groups, eps, act, dst); });
}

void Ops::Rope(ConstTensorView src, ConstTensorView rope, TensorView dst) {
  OpCheck c("Rope");
  c.Arg("src", src, "HTE", Kind::kActivation).Arg("dst", dst, "HTE", Kind::kActivation);
  c.That(c.size('E') % 2 == 0, "heads have {} channels, expected an even number", c.size('E'));
  c.Size('P', c.size('E') / 2).Arg("rope", rope, "TP2", Kind::kVector).InPlaceOrApart(src, dst);
  Run(c, dst, 0, [&] { DoRope(src, rope, dst); });
}

void Ops::SplitHeadsNormRope(ConstTensorView src, ConstTensorView norm, float eps,
                             ConstTensorView rope, TensorView dst) {
  OpCheck c("SplitHeadsNormRope");
  c.Arg("dst", dst, "HTE", Kind::kActivation).Size('D', c.size('H') * c.size('E'));
  c.Arg("src", src, "TD", Kind::kActivation).Optional("norm", norm, "E", Kind::kVector);
  c.That(norm.empty() || GoodEps(eps), kEps, eps);
  c.That(rope.empty() || c.size('E') % 2 == 0, "heads have {} channels, expected an even number",
         c.size('E'));
  c.Size('P', c.size('E') / 2).Optional("rope", rope, "TP2", Kind::kVector);
  c.Apart("src", src, dst);
  Run(c, dst, 0, [&] { DoSplitHeadsNormRope(src, norm, eps, rope, dst); });
}

void Ops::Conv2d(ConstTensorView src, const ConvWeights& w, const ConvOptions& o, TensorView dst) {
  const OpCheck c = CheckConv("Conv2d", src, w, o, dst);
  Run(c, dst, ConvOperations(dst, w), [&] { DoConv2d(src, w, o, dst); });
}

void Ops::Conv2dAdd(ConstTensorView src, const ConvWeights& w, const ConvOptions& o,
                    ConstTensorView residual, TensorView dst) {
  OpCheck c = CheckConv("Conv2dAdd", src, w, o, dst);
  c.Arg("residual", residual, "yxN", Kind::kPicture).InPlaceOrApart(residual, dst);
  Run(c, dst, ConvOperations(dst, w), [&] { DoConv2dAdd(src, w, o, residual, dst); });
}

void Ops::NormConv2d(ConstTensorView src, const PictureNorm& norm, const ConvWeights& w,
                     ConstTensorView residual, TensorView dst) {
  OpCheck c("NormConv2d");
  c.Size('C', w.in_channels).Size('N', w.out_channels);
  c.That(w.kernel == 3, "the kernel is {0}x{0}, expected 3x3", w.kernel);
  c.Arg("src", src, "hwC", Kind::kPicture).Arg("dst", dst, "hwN", Kind::kPicture);
  c.Arg("weight", norm.weight, "C", Kind::kVector).Arg("bias", norm.bias, "C", Kind::kVector);
  c.That(norm.groups >= 1 && c.size('C') % norm.groups == 0,
         "{} groups, expected a divisor of {} channels", norm.groups, c.size('C'));
  c.That(GoodEps(norm.eps), kEps, norm.eps).Apart("src", src, dst);
  c.Optional("residual", residual, "hwN", Kind::kPicture);
  if (!residual.empty()) c.InPlaceOrApart(residual, dst);
  Run(c, dst, ConvOperations(dst, w), [&] { DoNormConv2d(src, norm, w, residual, dst); });
}

void Ops::Upsample2x(ConstTensorView src, TensorView dst) {
  OpCheck c("Upsample2x");
  c.Arg("src", src, "hwC", Kind::kPicture);
  c.Size('y', 2 * c.size('h')).Size('x', 2 * c.size('w'));
  c.Arg("dst", dst, "yxC", Kind::kPicture).Apart("src", src, dst);
  Run(c, dst, 0, [&] { DoUpsample2x(src, dst); });
}

// Each pixel of dst sees four of src: 2x2 multiply-adds a channel are needed, however a backend
// does it.
void Ops::UpsampleConv2d(ConstTensorView src, const ConvWeights& w, TensorView dst) {
  OpCheck c("UpsampleConv2d");
  c.Size('C', w.in_channels).Size('N', w.out_channels);
  c.That(w.kernel == 3, "the kernel is {0}x{0}, expected 3x3", w.kernel);
  c.Arg("src", src, "hwC", Kind::kPicture);
  c.Size('y', 2 * c.size('h')).Size('x', 2 * c.size('w'));
  c.Arg("dst", dst, "yxN", Kind::kPicture).Apart("src", src, dst);
  Run(c, dst, ConvOperations(dst, w) * 4 / 9, [&] { DoUpsampleConv2d(src, w, dst); });
}

void Ops::Activate(ConstTensorView src, Activation act, TensorView dst) {
  OpCheck c("Activate");
  c.AnyShape("src", src, Kind::kActivation).SameShape("dst", dst, src, Kind::kActivation);
  c.InPlaceOrApart(src, dst);
  Run(c, dst, 0, [&] { DoActivate(src, act, dst); });
}

void Ops::Add(ConstTensorView a, ConstTensorView b, TensorView dst) {
  Run(CheckPair("Add", a, b, dst), dst, 0, [&] { DoAdd(a, b, dst); });
}

void Ops::Multiply(ConstTensorView a, ConstTensorView b, TensorView dst) {
  Run(CheckPair("Multiply", a, b, dst), dst, 0, [&] { DoMultiply(a, b, dst); });
}

void Ops::GatedAdd(ConstTensorView src, ConstTensorView gate, TensorView dst) {
  OpCheck c("GatedAdd");
  c.Arg("src", src, "TD", Kind::kActivation).Arg("dst", dst, "TD", Kind::kActivation);
  c.Optional("gate", gate, "D", Kind::kVector).Apart("src", src, dst);
  Run(c, dst, 0, [&] { DoGatedAdd(src, gate, dst); });
}

void Ops::Copy(ConstTensorView src, TensorView dst) {
  OpCheck c("Copy");
  c.AnyShape("src", src, Kind::kCopySource).SameShape("dst", dst, src, Kind::kCopyTarget);
  c.Apart("src", src, dst);
  Run(c, dst, 0, [&] { DoCopy(src, dst); });
}

void Ops::GatherRows(const WeightRows& table, ConstTensorView ids, TensorView dst) {
  OpCheck c("GatherRows");
  c.Weight("table", table, "VD").Arg("ids", ids, "T", Kind::kIds);
  c.Arg("dst", dst, "TD", Kind::kActivation).Apart("table", table.dense(), dst);
  if (c.status().ok()) CheckIds(c, ids, table.dim(0));
  Run(c, dst, 0, [&] {
    if (!table.is_encoded()) return DoGatherRows(table.dense(), ids, dst);
    const TensorView row = Scratch(DType::kF32, {1, table.dim(1)});
    if (row.empty()) return;
    for (int64_t t = 0; t < dst.dim(0); ++t) {
      table.Decode(ids.As<int32_t>()[t], 0, table.dim(1), row.As<float>());
      DoCopy(row, dst.Rows(t, t + 1));
    }
  });
}

}  // namespace kontext
