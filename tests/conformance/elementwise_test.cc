// Activate, Add, Multiply, GatedAdd, Copy and GatherRows. Those that round once are equal to the
// reference bit for bit: a sum or product of two floats is the same from f32 and from double.
#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <utility>

#include "conformance/harness.h"

namespace kontext::conformance {
namespace {

class ElementwiseTest : public Conformance {};

const Shape kShapes[] = {{1},     {3},        {1, 7},   {17, 3}, {3, 33},
                         {5, 63}, {2, 3, 65}, {2, 129}, {255, 4}};

TEST_P(ElementwiseTest, Activate) {
  for (const Shape& shape : kShapes) {
    for (Activation act : kActivations) {
      for (DType in : kActivationDtypes) {
        for (DType out : kActivationDtypes) {
          Draw draw(7);
          Values x = draw(in, shape.NumElements());
          for (double& v : x) v *= 16;  // exact; far enough for both tails
          HostTensor src(in, shape, x, 3), dst(out, shape, 1), want(DType::kF32, shape);
          oracle->Activate(src.view(), act, want.view());
          Values bound = x;
          for (double& b : bound) b = ActivationBound(act, b, 0);
          const std::string what = fmt::format("{} {} -> {} act {}", shape.Str(), Name(in),
                                               Name(out), static_cast<int>(act));
          ops->Activate(src.view(), act, dst.view());
          Compare("Activate", what, dst, want.values(), bound);
          ops->Activate(src.view(), act, src.view());
          Compare("Activate", what + " in place", src, want.values(), bound);
        }
      }
    }
  }
}

// Far out, the exponentials overflow and vanish; the functions do not.
TEST_P(ElementwiseTest, ActivateAtExtremes) {
  const Values x = {-1e30, -1000, -100, -88.5, 0, 88.5, 100, 1000, 1e30};
  for (Activation act : kActivations) {
    const HostTensor src(DType::kF32, {9}, x);
    HostTensor dst(DType::kF32, {9}), want(DType::kF32, {9});
    ops->Activate(src.view(), act, dst.view());
    oracle->Activate(src.view(), act, want.view());
    Values bound = src.values();
    for (double& b : bound) {
      // -1e30 times a sigmoid that is 0 in any arithmetic; elsewhere the usual bound.
      b = b < -1000 ? 0 : ActivationBound(act, b, 0);
    }
    Compare("Activate", fmt::format("extremes, act {}", static_cast<int>(act)), dst, want.values(),
            bound);
  }
}

TEST_P(ElementwiseTest, AddAndMultiply) {
  for (const Shape& shape : kShapes) {
    for (DType a_dtype : kActivationDtypes) {
      for (DType b_dtype : kActivationDtypes) {
        for (DType out : kActivationDtypes) {
          Draw draw(11);
          HostTensor a = draw.Tensor(a_dtype, shape, 2), b = draw.Tensor(b_dtype, shape);
          HostTensor dst(out, shape, 1), want(out, shape);
          const std::string what =
              fmt::format("{} {} {} -> {}", shape.Str(), Name(a_dtype), Name(b_dtype), Name(out));
          ops->Multiply(a.view(), b.view(), dst.view());
          oracle->Multiply(a.view(), b.view(), want.view());
          CompareExactly("Multiply", what, dst, want);
          ops->Add(a.view(), b.view(), dst.view());
          oracle->Add(a.view(), b.view(), want.view());
          CompareExactly("Add", what, dst, want);
          if (a_dtype != out) continue;
          ops->Add(a.view(), b.view(), a.view());
          CompareExactly("Add", what + " in place of a", a, want);
          if (b_dtype != out) continue;
          HostTensor twice(out, shape);
          oracle->Add(b.view(), b.view(), twice.view());
          ops->Add(b.view(), b.view(), b.view());
          CompareExactly("Add", what + " all in place", b, twice);
        }
      }
    }
  }
}

// One rounding of gate * src (none with a fused multiply-add), one of the sum.
TEST_P(ElementwiseTest, GatedAdd) {
  for (const Shape& shape : kShapes) {
    if (shape.rank() != 2) continue;
    for (DType in : kActivationDtypes) {
      for (DType out : kActivationDtypes) {
        for (bool gated : {false, true}) {
          Draw draw(13);
          const HostTensor src = draw.Tensor(in, shape, 2),
                           gate = draw.Tensor(DType::kF32, {shape[1]});
          const Values before = draw(out, shape.NumElements());
          const ConstTensorView gate_view = gated ? gate.view() : ConstTensorView();
          HostTensor dst(out, shape, before, 1), want(DType::kF32, shape, before);
          ops->GatedAdd(src.view(), gate_view, dst.view());
          oracle->GatedAdd(src.view(), gate_view, want.view());
          Values bound = want.values();
          const Values x = src.values(), g = gate.values();
          for (size_t i = 0; i < bound.size(); ++i) {
            const double product = (gated ? g[i % g.size()] : 0) * x[i];  // without a gate: exact
            bound[i] = kU32 * (std::abs(product) + std::abs(bound[i]));
          }
          Compare("GatedAdd", fmt::format("{} {} -> {}", shape.Str(), Name(in), Name(out)), dst,
                  want.values(), bound);
        }
      }
    }
  }
}

TEST_P(ElementwiseTest, Copy) {
  for (const Shape& shape : kShapes) {
    for (DType in : kWeightDtypes) {
      for (DType out : kWeightDtypes) {
        Draw draw(17);
        const HostTensor src = draw.Tensor(in, shape, 3);
        HostTensor dst(out, shape, 2), want(out, shape);
        ops->Copy(src.view(), dst.view());
        oracle->Copy(src.view(), want.view());
        CompareExactly("Copy", fmt::format("{} {} -> {}", shape.Str(), Name(in), Name(out)), dst,
                       want);
      }
    }
  }
}

// Transposes into a strided dst, and a row repeated by a stride of 0.
TEST_P(ElementwiseTest, CopyOfAnyStrides) {
  for (DType in : kWeightDtypes) {
    for (DType out : kWeightDtypes) {
      Draw draw(19);
      const HostTensor src = draw.Tensor(in, {3, 5, 7}), row = draw.Tensor(in, {7});
      ConstTensorView turned(src.view().data(), in, {7, 3, 5});  // [c,y,x] of [y,x,c]
      turned.SetStride(0, 1);
      turned.SetStride(1, 35);
      turned.SetStride(2, 7);
      HostTensor dst(out, {7, 3, 5}, 2), want(out, {7, 3, 5});
      ops->Copy(turned, dst.view());
      oracle->Copy(turned, want.view());
      CompareExactly("Copy", fmt::format("transposed {} -> {}", Name(in), Name(out)), dst, want);
      ConstTensorView repeated(row.view().data(), in, {4, 7});
      repeated.SetStride(0, 0);
      HostTensor rows(out, {4, 7}, 1), want_rows(out, {4, 7});
      ops->Copy(repeated, rows.view());
      oracle->Copy(repeated, want_rows.view());
      CompareExactly("Copy", fmt::format("repeated {} -> {}", Name(in), Name(out)), rows,
                     want_rows);
      // Into the columns of a transposed dst: [7,4] seen as [4,7].
      HostTensor columns(out, {7, 4}), want_columns(out, {7, 4});
      for (auto [o, t] : {std::pair{ops.get(), &columns}, std::pair{oracle.get(), &want_columns}}) {
        TensorView view(t->view().data(), out, {4, 7});
        view.SetStride(0, 1);
        view.SetStride(1, 4);
        o->Copy(repeated, view);
      }
      CompareExactly("Copy", fmt::format("into columns {} -> {}", Name(in), Name(out)), columns,
                     want_columns);
    }
  }
}

// Stores round to nearest, ties to even, and keep infinities, signed zeros and the smallest
// numbers.
TEST_P(ElementwiseTest, CopyRoundsToNearestEven) {
  const double inf = std::numeric_limits<double>::infinity();
  const Values x = {1.00390625, 1.01171875, -1.00390625,  1.0000001,    3.3895314e38,
                    65519.99,   65520,      6.1035156e-5, 5.9604645e-8, 2.9802322e-8,
                    0,          inf,        -inf,         1 + 0x1p-11,  1 + 0x3p-11};
  const auto n = static_cast<int64_t>(x.size());
  for (DType out : kWeightDtypes) {
    const HostTensor src(DType::kF32, {n}, x);
    HostTensor dst(out, {n}), want(out, {n});
    ops->Copy(src.view(), dst.view());
    oracle->Copy(src.view(), want.view());
    CompareExactly("Copy", fmt::format("ties -> {}", Name(out)), dst, want);
  }
}

TEST_P(ElementwiseTest, GatherRows) {
  for (DType in : kWeightDtypes) {
    for (DType out : kActivationDtypes) {
      for (int64_t width : {1, 7, 33, 129}) {
        Draw draw(23);
        const HostTensor table = draw.Tensor(in, {17, width});
        const std::vector<int32_t> ids = {0, 16, 5, 5, 1};
        HostTensor dst(out, {5, width}, 2), want(out, {5, width});
        ops->GatherRows(table.view(), ViewOf(ids.data(), {5}), dst.view());
        oracle->GatherRows(table.view(), ViewOf(ids.data(), {5}), want.view());
        CompareExactly("GatherRows", fmt::format("{} {} -> {}", width, Name(in), Name(out)), dst,
                       want);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, ElementwiseTest, testing::ValuesIn(Configs()), ConfigName);

}  // namespace
}  // namespace kontext::conformance
