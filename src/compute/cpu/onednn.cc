#include "compute/cpu/onednn.h"

#include <fmt/format.h>

#include <map>
#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>
#include <utility>
#include <vector>

#include "compute/ops_guard.h"

namespace kontext::onednn {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;

// A server that sees every size must not collect primitives for ever; a model needs about 50.
constexpr size_t kMostPrimitives = 512;

constexpr auto kInference = dnnl::prop_kind::forward_inference;

memory::data_type DataType(Type t) {
  switch (t) {
    case Type::kBF16:
      return memory::data_type::bf16;
    case Type::kS8:
      return memory::data_type::s8;
    case Type::kU8:
      return memory::data_type::u8;
    case Type::kS32:
      return memory::data_type::s32;
    default:
      return memory::data_type::f32;
  }
}

// ---- The difference between versions 2 and 3. --------------------------------------------------

void AppendEltwise(dnnl::post_ops& ops, dnnl::algorithm algorithm, float alpha) {
#if DNNL_VERSION_MAJOR >= 3
  ops.append_eltwise(algorithm, alpha, 0.0f);
#else
  ops.append_eltwise(1.0f, algorithm, alpha, 0.0f);
#endif
}

dnnl::matmul::primitive_desc MatMulDesc(const dnnl::engine& engine, const memory::desc& src,
                                        const memory::desc& weights, const memory::desc& bias,
                                        const memory::desc& dst, const dnnl::primitive_attr& attr) {
#if DNNL_VERSION_MAJOR >= 3
  return dnnl::matmul::primitive_desc(engine, src, weights, bias, dst, attr);
#else
  return dnnl::matmul::primitive_desc({src, weights, bias, dst}, attr, engine);
#endif
}

dnnl::convolution_forward::primitive_desc ConvDesc(const dnnl::engine& engine,
                                                   const memory::desc& src,
                                                   const memory::desc& weights,
                                                   const memory::desc& bias,
                                                   const memory::desc& dst, const ConvSpec& s,
                                                   const dnnl::primitive_attr& attr) {
  const auto direct = dnnl::algorithm::convolution_direct;
  const memory::dims strides{s.stride, s.stride}, begin{s.above, s.left}, end{s.below, s.right};
#if DNNL_VERSION_MAJOR >= 3
  return dnnl::convolution_forward::primitive_desc(engine, kInference, direct, src, weights, bias,
                                                   dst, strides, begin, end, attr);
#else
  return dnnl::convolution_forward::primitive_desc(
      {kInference, direct, src, weights, bias, dst, strides, begin, end}, attr, engine);
#endif
}

// ---- What is the same in both. -----------------------------------------------------------------

void AppendActivation(dnnl::post_ops& ops, Activation act) {
  switch (act) {
    case Activation::kNone:
      return;
    case Activation::kSilu:
      return AppendEltwise(ops, dnnl::algorithm::eltwise_swish, 1.0f);
    case Activation::kQuickGelu:
      return AppendEltwise(ops, dnnl::algorithm::eltwise_swish, 1.702f);
    case Activation::kGeluTanh:
      return AppendEltwise(ops, dnnl::algorithm::eltwise_gelu_tanh, 0.0f);
  }
}

dnnl::primitive_attr Attributes(const dnnl::post_ops& ops) {
  dnnl::primitive_attr attr;
  attr.set_post_ops(ops);
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

auto DescOf(const dnnl::engine& engine, const MatMulSpec& s) {
  dnnl::post_ops ops;
  AppendActivation(ops, s.act);
  const memory::desc src({s.m, s.k}, DataType(s.src), memory::dims{s.src_stride, 1});
  const memory::desc weights({s.k, s.n}, DataType(s.weights), Tag::any);
  const memory::desc bias =
      s.bias ? memory::desc({1, s.n}, memory::data_type::f32, Tag::ab) : memory::desc();
  const memory::desc dst({s.m, s.n}, DataType(s.dst), memory::dims{s.dst_stride, 1});
  return MatMulDesc(engine, src, weights, bias, dst, Attributes(ops));
}

auto DescOf(const dnnl::engine& engine, const ConvSpec& s) {
  dnnl::post_ops ops;
  if (s.accumulate) ops.append_sum(1.0f);
  const int64_t out_h = (s.h + s.above + s.below - s.kernel) / s.stride + 1;
  const int64_t out_w = (s.w + s.left + s.right - s.kernel) / s.stride + 1;
  const memory::desc src({1, s.in, s.h, s.w}, DataType(s.src), Tag::nhwc);
  const memory::desc weights({s.out, s.in, s.kernel, s.kernel}, DataType(s.weights), Tag::any);
  const memory::desc bias({s.out}, memory::data_type::f32, Tag::x);
  const memory::desc dst({1, s.out, out_h, out_w}, DataType(s.dst), Tag::nhwc);
  return ConvDesc(engine, src, weights, bias, dst, s, Attributes(ops));
}

// oneDNN takes inputs as void*, too.
void* Input(const void* p) { return const_cast<void*>(p); }

}  // namespace

struct Weights::Impl {
  std::vector<memory> layouts;  // the first is the one that was packed
};
Weights::Weights() : impl_(std::make_unique<Impl>()) {}
Weights::~Weights() = default;
Weights::Weights(Weights&&) noexcept = default;
Weights& Weights::operator=(Weights&&) noexcept = default;

struct Library::Impl {
  struct Primitive {
    dnnl::primitive primitive;
    memory::desc src, weights, bias, dst, scratchpad;
    std::string implementation;
  };

  template <class Spec>
  Primitive& Get(std::map<Spec, Primitive>& made, const Spec& spec) {
    const auto found = made.find(spec);
    if (found != made.end()) return found->second;
    if (made.size() >= kMostPrimitives) made.clear();
    const auto d = DescOf(engine, spec);
    return made
        .emplace(spec,
                 Primitive{dnnl::primitive(d.get()), d.src_desc(), d.weights_desc(), d.bias_desc(),
                           d.dst_desc(), d.scratchpad_desc(), d.impl_info_str()})
        .first->second;
  }

  memory Reordered(memory from, const memory::desc& to) {
    memory result(to, engine);
    dnnl::reorder(from, result).execute(stream, from, result);
    stream.wait();
    return result;
  }

  // The weights in the layout the primitive wants; made at its first use where it is another one.
  const memory& Layout(Weights::Impl& weights, const memory::desc& wanted) {
    for (const memory& m : weights.layouts) {
      if (m.get_desc() == wanted) return m;
    }
    weights.layouts.push_back(Reordered(weights.layouts.front(), wanted));
    return weights.layouts.back();
  }

  Status Run(const Primitive& p, const void* src, Weights::Impl& weights, const float* bias,
             void* dst, cpu::Workspace& space) {
    KX_ASSIGN_OR_RETURN(
        std::byte * scratch,
        space.Bytes(cpu::Slot::kLibrary, static_cast<int64_t>(p.scratchpad.get_size())));
    std::unordered_map<int, memory> arguments = {
        {DNNL_ARG_SRC, memory(p.src, engine, Input(src))},
        {DNNL_ARG_WEIGHTS, Layout(weights, p.weights)},
        {DNNL_ARG_DST, memory(p.dst, engine, dst)},
        {DNNL_ARG_SCRATCHPAD, memory(p.scratchpad, engine, scratch)}};
    if (bias != nullptr) arguments.emplace(DNNL_ARG_BIAS, memory(p.bias, engine, Input(bias)));
    p.primitive.execute(stream, arguments);
    stream.wait();
    return Status();
  }

  Result<Weights> Pack(const Primitive& p, const memory::desc& dense_desc, const void* dense) {
    Weights w;
    w.impl_->layouts.push_back(Reordered(memory(dense_desc, engine, Input(dense)), p.weights));
    return w;
  }

  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  std::map<MatMulSpec, Primitive> matmuls;
  std::map<ConvSpec, Primitive> convolutions;
};

Library::Library() {
  // KONTEXT_ISA only counts before oneDNN's first use. A name that is wrong was, or will be,
  // reported by whoever asks for the features.
  (void)cpu::UsableCpuFeatures();
  impl_ = std::make_unique<Impl>();
}
Library::~Library() = default;

Result<Weights> Library::PackMatrix(const MatMulSpec& spec, const void* dense) {
  return WithoutExceptions("oneDNN", [&] {
    return impl_->Pack(impl_->Get(impl_->matmuls, spec),
                       memory::desc({spec.k, spec.n}, DataType(spec.weights), Tag::ba), dense);
  });
}

Status Library::MatMul(const MatMulSpec& spec, const void* src, Weights& weights, const float* bias,
                       void* dst, cpu::Workspace& space) {
  return WithoutExceptions("oneDNN", [&] {
    return impl_->Run(impl_->Get(impl_->matmuls, spec), src, *weights.impl_, bias, dst, space);
  });
}

Result<Weights> Library::PackConv(const ConvSpec& spec, const float* dense) {
  return WithoutExceptions("oneDNN", [&] {
    return impl_->Pack(impl_->Get(impl_->convolutions, spec),
                       memory::desc({spec.out, spec.in, spec.kernel, spec.kernel},
                                    memory::data_type::f32, Tag::oihw),
                       dense);
  });
}

Status Library::Convolve(const ConvSpec& spec, const void* src, Weights& weights, const float* bias,
                         void* dst, cpu::Workspace& space) {
  return WithoutExceptions("oneDNN", [&] {
    return impl_->Run(impl_->Get(impl_->convolutions, spec), src, *weights.impl_, bias, dst, space);
  });
}

Result<std::string> Library::Implementation(const MatMulSpec& spec) {
  return WithoutExceptions("oneDNN", [&]() -> Result<std::string> {
    return impl_->Get(impl_->matmuls, spec).implementation;
  });
}

Result<std::string> Library::Implementation(const ConvSpec& spec) {
  return WithoutExceptions("oneDNN", [&]() -> Result<std::string> {
    return impl_->Get(impl_->convolutions, spec).implementation;
  });
}

std::string Version() {
  const dnnl_version_t* v = dnnl_version();
  return fmt::format("{}.{}.{}", v->major, v->minor, v->patch);
}

Status LimitIsa(cpu::Isa isa) {
  dnnl::cpu_isa limit = dnnl::cpu_isa::sse41;
  switch (isa) {
    case cpu::Isa::kSse4:
      break;
    case cpu::Isa::kAvx2:
      limit = dnnl::cpu_isa::avx2;
      break;
    case cpu::Isa::kAvxVnni:
      limit = dnnl::cpu_isa::avx2_vnni;
      break;
    case cpu::Isa::kAvx512:
      limit = dnnl::cpu_isa::avx512_core;
      break;
    case cpu::Isa::kAvx512Vnni:
      limit = dnnl::cpu_isa::avx512_core_vnni;
      break;
    case cpu::Isa::kAvx512Bf16:
      limit = dnnl::cpu_isa::avx512_core_bf16;
      break;
    case cpu::Isa::kAmx:
      limit = dnnl::cpu_isa::avx512_core_amx;
      break;
  }
  if (dnnl::set_max_cpu_isa(limit) == dnnl::status::success) return Status();
  return Internal("KONTEXT_ISA: oneDNN {} was in use before the limit could be set", Version());
}

}  // namespace kontext::onednn
