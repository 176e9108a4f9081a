#include <algorithm>
#include <cmath>
#include <vector>

#include "compute/cpu/norm.h"
#include "compute/cpu/parallel.h"
#include "compute/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "compute/cpu/group_norm.cc"
#include <hwy/foreach_target.h>

#include "compute/cpu/moments.h"
#include "compute/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace kontext {
namespace cpu {
namespace HWY_NAMESPACE {

// sums[c] += x - mean[c], or its square, over `pixels` pixels of `channels` values.
template <bool kSquare>
void AddPixels(InRow src, int64_t pixels, int64_t channels, const float* mean, float* sums) {
  const DF d;
  std::fill(sums, sums + channels, 0.0f);
  ByVectors(channels, [&](int64_t i, size_t n) HWY_ATTR {
    const VF m = LoadRow({mean, DType::kF32}, i, n);
    VF sum = hn::Zero(d);
    for (int64_t p = 0; p < pixels; ++p) {
      const VF x = hn::Sub(LoadRow(src, p * channels + i, n), m);
      sum = kSquare ? hn::MulAdd(x, x, sum) : hn::Add(sum, x);
    }
    StoreRow(sum, {sums, DType::kF32}, i, n);
  });
}

// The moments of pixels [begin, end), added to moments[group]. A short run of pixels is read twice
// while it is in the cache: for its own mean, then for the squares about it; runs are merged in
// double. `vectors` has room for 2 * C floats.
void GroupMomentsHere(const ConstTensorView& picture, int64_t groups, int64_t begin, int64_t end,
                      float* vectors, Moments* moments) {
  const int64_t channels = picture.dim(2), size = channels / groups;
  const int64_t run = std::max<int64_t>(1, 4096 / channels);
  float* mean = vectors;
  float* sums = vectors + channels;
  for (int64_t p = begin; p < end; p += run) {
    const int64_t pixels = std::min(run, end - p);
    const double count = static_cast<double>(pixels * size);
    const InRow src = RowOf(picture, p * channels);
    std::fill(mean, mean + channels, 0.0f);
    AddPixels<false>(src, pixels, channels, mean, sums);
    for (int64_t g = 0; g < groups; ++g) {
      double sum = 0;
      for (int64_t i = g * size; i < (g + 1) * size; ++i) sum += static_cast<double>(sums[i]);
      std::fill(mean + g * size, mean + (g + 1) * size, static_cast<float>(sum / count));
    }
    AddPixels<true>(src, pixels, channels, mean, sums);
    for (int64_t g = 0; g < groups; ++g) {
      double squares = 0;
      for (int64_t i = g * size; i < (g + 1) * size; ++i) squares += static_cast<double>(sums[i]);
      moments[g].Merge({count, static_cast<double>(mean[g * size]), squares});
    }
  }
}

void NormalizePixelsHere(const ConstTensorView& picture, const PictureNorm& norm,
                         const GroupFactors& f, int64_t first, int64_t begin, int64_t end,
                         const TensorView& to) {
  const int64_t channels = picture.dim(2);
  const InRow mean{f.mean.data(), DType::kF32}, factor{f.factor.data(), DType::kF32};
  const InRow bias{norm.bias.data(), DType::kF32};
  for (int64_t p = begin; p < end; ++p) {
    const InRow src = RowOf(picture, p * channels);
    const OutRow dst = RowOf(to, RowOffset(to, p - first));
    ByVectors(channels, [&](int64_t i, size_t n) HWY_ATTR {
      const VF x = hn::Sub(LoadRow(src, i, n), LoadRow(mean, i, n));
      const VF y = hn::MulAdd(x, LoadRow(factor, i, n), LoadRow(bias, i, n));
      StoreRow(Activated(DF(), norm.act, y), dst, i, n);
    });
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace cpu
}  // namespace kontext
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kontext::cpu {

HWY_EXPORT(GroupMomentsHere);
HWY_EXPORT(NormalizePixelsHere);

GroupFactors FactorsOf(const ConstTensorView& src, const PictureNorm& norm) {
  const int64_t channels = src.dim(2), pixels = src.dim(0) * src.dim(1), groups = norm.groups;
  // A fixed number of parts, merged in order: the result does not depend on the thread count.
  const int64_t parts = std::clamp<int64_t>(pixels * channels / 16384, 1, 64);
  std::vector<Moments> moments(static_cast<size_t>(parts * groups));
  std::vector<float> vectors(static_cast<size_t>(parts * 2 * channels));
  ParallelRows(parts, pixels * channels / parts, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      HWY_DYNAMIC_DISPATCH(GroupMomentsHere)
      (src, groups, pixels * i / parts, pixels * (i + 1) / parts, vectors.data() + i * 2 * channels,
       moments.data() + i * groups);
    }
  });
  GroupFactors f;
  for (int64_t c = 0; c < channels; ++c) {
    const int64_t g = c * groups / channels;
    if (c * groups % channels == 0) {  // the group's first
      for (int64_t i = 1; i < parts; ++i) {
        moments[static_cast<size_t>(g)].Merge(moments[static_cast<size_t>(i * groups + g)]);
      }
    }
    const Moments& all = moments[static_cast<size_t>(g)];
    const double inverse = 1.0 / std::sqrt(all.squares / all.count + static_cast<double>(norm.eps));
    f.mean.push_back(static_cast<float>(all.mean));
    f.factor.push_back(
        static_cast<float>(inverse * static_cast<double>(norm.weight.As<float>()[c])));
  }
  return f;
}

void NormalizePixels(const ConstTensorView& src, const PictureNorm& norm,
                     const GroupFactors& factors, int64_t begin, int64_t end,
                     const TensorView& dst) {
  ParallelRows(end - begin, src.dim(2), [&](int64_t first, int64_t last) {
    HWY_DYNAMIC_DISPATCH(NormalizePixelsHere)
    (src, norm, factors, begin, begin + first, begin + last, dst);
  });
}

}  // namespace kontext::cpu
#endif  // HWY_ONCE
