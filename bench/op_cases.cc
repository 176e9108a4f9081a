#include "op_cases.h"

#include <cmath>
#include <memory>
#include <utility>

#include "tensor/arena.h"

namespace kontext::bench {
namespace {

using Shared = std::shared_ptr<Tensor>;

// Tensors shared between the cases, filled with small numbers that are no denormals.
class Maker {
 public:
  Maker(Ops& ops, std::vector<Case>& cases) : ops_(ops), cases_(cases) {}

  Result<Shared> Make(DType dtype, const Shape& shape) {
    KX_ASSIGN_OR_RETURN(Tensor t, Tensor::Allocate(dtype, shape));
    uint32_t state = 1;
    for (int64_t i = 0; i < shape.NumElements(); ++i) {
      state = state * 1664525u + 1013904223u;
      const float x = static_cast<float>(state >> 8) * 0x1p-24f - 0.5f;
      if (dtype == DType::kBF16) {
        t.view().As<BF16>()[i] = ToBF16(x);
      } else {
        t.view().As<float>()[i] = x;
      }
    }
    return std::make_shared<Tensor>(std::move(t));
  }

  // One Linear of bf16 weights, on activations in the backend's dtype.
  Status Linear(const char* name, int64_t t, int64_t k, int64_t n, Activation act, bool gated) {
    KX_ASSIGN_OR_RETURN(const Shared src, Make(ops_.activation_dtype(), {t, k}));
    KX_ASSIGN_OR_RETURN(const Shared weight, Make(DType::kBF16, {n, k}));
    KX_ASSIGN_OR_RETURN(const Shared bias, Make(DType::kBF16, {n}));
    KX_ASSIGN_OR_RETURN(const Shared gate, Make(DType::kF32, {n}));
    KX_ASSIGN_OR_RETURN(const Shared dst,
                        Make(gated ? DType::kF32 : ops_.activation_dtype(), {t, n}));
    LinearSource source{{weight->view()}, {bias->view()}};
    source.coarsest = Precision::kInt8;
    KX_ASSIGN_OR_RETURN(std::shared_ptr<LinearWeights> w, ops_.PrepareLinear(source));
    Case c{name, fmt::format("{} x {} x {}", t, k, n), 2.0 * Double(t * k * n), 0, {}};
    c.run = [this_ops = &ops_, src, weight, bias, gate, dst, w, act, gated] {
      if (gated) {
        this_ops->LinearGatedAdd(src->view(), *w, gate->view(), dst->view());
      } else {
        this_ops->Linear(src->view(), *w, act, dst->view());
      }
    };
    cases_.push_back(std::move(c));
    return Status();
  }

  Status Attention(const char* name, int64_t heads, int64_t tokens, int64_t channels,
                   Precision coarsest) {
    const Shape shape{heads, tokens, channels};
    KX_ASSIGN_OR_RETURN(const Shared q, Make(ops_.activation_dtype(), shape));
    KX_ASSIGN_OR_RETURN(const Shared k, Make(ops_.activation_dtype(), shape));
    KX_ASSIGN_OR_RETURN(const Shared v, Make(ops_.activation_dtype(), shape));
    KX_ASSIGN_OR_RETURN(const Shared dst,
                        Make(ops_.activation_dtype(), {tokens, heads * channels}));
    AttentionOptions o;
    o.scale = 1.0f / std::sqrt(static_cast<float>(channels));
    o.coarsest = coarsest;
    Case c{name,
           fmt::format("{} heads, T {}, Dh {}", heads, tokens, channels),
           4.0 * Double(heads * tokens * tokens * channels),
           0,
           {}};
    c.run = [this_ops = &ops_, q, k, v, dst, o] {
      this_ops->Attention(q->view(), k->view(), v->view(), o, dst->view());
    };
    cases_.push_back(std::move(c));
    return Status();
  }

  Status Conv(const char* name, int64_t side, int64_t in, int64_t out, int64_t kernel, int stride,
              bool add) {
    const DType dtype = ops_.activation_dtype();
    const int64_t to = side / stride;
    KX_ASSIGN_OR_RETURN(const Shared src, Make(dtype, {side, side, in}));
    KX_ASSIGN_OR_RETURN(const Shared weight, Make(DType::kF32, {out, in, kernel, kernel}));
    KX_ASSIGN_OR_RETURN(const Shared bias, Make(DType::kF32, {out}));
    KX_ASSIGN_OR_RETURN(const Shared residual, Make(dtype, {to, to, out}));
    KX_ASSIGN_OR_RETURN(const Shared dst, Make(dtype, {to, to, out}));
    KX_ASSIGN_OR_RETURN(std::shared_ptr<ConvWeights> w,
                        ops_.PrepareConv(weight->view(), bias->view()));
    ConvOptions o;
    o.stride = stride;
    o.pad_begin = stride == 2 ? 0 : static_cast<int>(kernel / 2);
    o.pad_end = static_cast<int>(kernel / 2);
    Case c{name,
           fmt::format("{0}x{0}, {1} -> {2}, {3}x{3}", side, in, out, kernel),
           2.0 * Double(to * to * in * out * kernel * kernel),
           0,
           {}};
    c.run = [this_ops = &ops_, src, residual, dst, w, o, add] {
      if (add) {
        this_ops->Conv2dAdd(src->view(), *w, o, residual->view(), dst->view());
      } else {
        this_ops->Conv2d(src->view(), *w, o, dst->view());
      }
    };
    cases_.push_back(std::move(c));
    return Status();
  }

  // Ops that wait for memory: run(src, dst) with equal element counts.
  Status Moving(const char* name, const Shape& from, const Shape& to,
                std::function<void(const TensorView&, const TensorView&)> run) {
    KX_ASSIGN_OR_RETURN(const Shared src, Make(ops_.activation_dtype(), from));
    KX_ASSIGN_OR_RETURN(const Shared dst, Make(ops_.activation_dtype(), to));
    Case c{name, from.Str(), 0, Double(src->bytes() + dst->bytes()), {}};
    c.run = [src, dst, run = std::move(run)] { run(src->view(), dst->view()); };
    cases_.push_back(std::move(c));
    return Status();
  }

  static double Double(int64_t n) { return static_cast<double>(n); }

 private:
  Ops& ops_;
  std::vector<Case>& cases_;
};

Status AddProducts(Maker& m) {
  constexpr auto kNone = Activation::kNone;
  KX_RETURN_IF_ERROR(m.Linear("Linear double qkv img", 2048, 3072, 9216, kNone, false));
  KX_RETURN_IF_ERROR(m.Linear("Linear double qkv txt", 512, 3072, 9216, kNone, false));
  KX_RETURN_IF_ERROR(m.Linear("LinearGatedAdd double proj", 2048, 3072, 3072, kNone, true));
  KX_RETURN_IF_ERROR(
      m.Linear("Linear+gelu double mlp", 2048, 3072, 12288, Activation::kGeluTanh, false));
  KX_RETURN_IF_ERROR(m.Linear("LinearGatedAdd double mlp", 2048, 12288, 3072, kNone, true));
  KX_RETURN_IF_ERROR(m.Linear("Linear the bare one's shape", 2560, 3072, 12288, kNone, false));
  KX_RETURN_IF_ERROR(m.Linear("Linear single linear1", 2560, 3072, 21504, kNone, false));
  KX_RETURN_IF_ERROR(m.Linear("LinearGatedAdd single linear2", 2560, 15360, 3072, kNone, true));
  KX_RETURN_IF_ERROR(m.Linear("Linear modulation, 28 steps", 28, 3072, 18432, kNone, false));
  KX_RETURN_IF_ERROR(m.Linear("Linear mini mlp", 176, 256, 1024, Activation::kGeluTanh, false));
  KX_RETURN_IF_ERROR(m.Attention("Attention 512 edit", 24, 2560, 128, Precision::kInt8));
  KX_RETURN_IF_ERROR(m.Attention("Attention 1024 edit", 4, 8704, 128, Precision::kInt8));
  KX_RETURN_IF_ERROR(m.Attention("Attention T5", 64, 512, 64, Precision::kExact));
  KX_RETURN_IF_ERROR(m.Attention("Attention VAE 512", 1, 4096, 512, Precision::kExact));
  return m.Attention("Attention mini", 4, 176, 64, Precision::kInt8);
}

Status AddConvolutions(Maker& m) {
  KX_RETURN_IF_ERROR(m.Conv("Conv2d VAE in", 512, 3, 128, 3, 1, false));
  KX_RETURN_IF_ERROR(m.Conv("Conv2d VAE level 0", 512, 128, 128, 3, 1, false));
  KX_RETURN_IF_ERROR(m.Conv("Conv2dAdd VAE level 0", 512, 128, 128, 3, 1, true));
  KX_RETURN_IF_ERROR(m.Conv("Conv2d VAE down", 512, 128, 128, 3, 2, false));
  KX_RETURN_IF_ERROR(m.Conv("Conv2d VAE level 1", 256, 256, 256, 3, 1, false));
  KX_RETURN_IF_ERROR(m.Conv("Conv2d VAE shortcut", 256, 512, 256, 1, 1, false));
  KX_RETURN_IF_ERROR(m.Conv("Conv2d VAE level 3", 64, 512, 512, 3, 1, false));
  KX_RETURN_IF_ERROR(m.Conv("Conv2d VAE latent in", 64, 16, 512, 3, 1, false));
  KX_RETURN_IF_ERROR(m.Conv("Conv2d VAE latent out", 64, 512, 32, 3, 1, false));
  return m.Conv("Conv2d VAE out", 512, 128, 3, 3, 1, false);
}

Status AddMoving(Ops& ops, Maker& m) {
  KX_ASSIGN_OR_RETURN(const Shared vector, m.Make(DType::kF32, {3072}));
  KX_ASSIGN_OR_RETURN(const Shared head, m.Make(DType::kF32, {128}));
  KX_ASSIGN_OR_RETURN(const Shared rope, m.Make(DType::kF32, {2560, 64, 2}));
  KX_RETURN_IF_ERROR(m.Moving("LayerNorm", {2560, 3072}, {2560, 3072},
                              [&ops, vector](const TensorView& src, const TensorView& dst) {
                                ops.LayerNorm(src, vector->view(), vector->view(), 1e-6f, dst);
                              }));
  KX_RETURN_IF_ERROR(m.Moving("SplitHeadsNormRope", {2560, 3072}, {24, 2560, 128},
                              [&ops, head, rope](const TensorView& src, const TensorView& dst) {
                                ops.SplitHeadsNormRope(src, head->view(), 1e-6f, rope->view(), dst);
                              }));
  KX_RETURN_IF_ERROR(m.Moving("GatedAdd", {2560, 3072}, {2560, 3072},
                              [&ops, vector](const TensorView& src, const TensorView& dst) {
                                ops.GatedAdd(src, vector->view(), dst);
                              }));
  KX_RETURN_IF_ERROR(m.Moving("GroupNorm+SiLU", {512, 512, 128}, {512, 512, 128},
                              [&ops, vector](const TensorView& src, const TensorView& dst) {
                                const TensorView w = vector->view().Cols(0, 128);
                                ops.GroupNorm(src, w, w, 32, 1e-6f, Activation::kSilu, dst);
                              }));
  return m.Moving(
      "Upsample2x", {256, 256, 256}, {512, 512, 256},
      [&ops](const TensorView& src, const TensorView& dst) { ops.Upsample2x(src, dst); });
}

}  // namespace

Result<std::vector<Case>> MakeCases(Ops& ops) {
  std::vector<Case> cases;
  Maker m(ops, cases);
  KX_RETURN_IF_ERROR(AddProducts(m));
  KX_RETURN_IF_ERROR(AddConvolutions(m));
  KX_RETURN_IF_ERROR(AddMoving(ops, m));
  return cases;
}

}  // namespace kontext::bench
