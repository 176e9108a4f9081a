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
void GroupMomentsHere(const GroupNormCall& c, int64_t begin, int64_t end, float* vectors,
                      Moments* moments) {
  const int64_t channels = c.src.dim(2), size = channels / c.groups;
  const int64_t run = std::max<int64_t>(1, 4096 / channels);
  float* mean = vectors;
  float* sums = vectors + channels;
  for (int64_t p = begin; p < end; p += run) {
    const int64_t pixels = std::min(run, end - p);
    const double count = static_cast<double>(pixels * size);
    const InRow src = RowOf(c.src, p * channels);
    std::fill(mean, mean + channels, 0.0f);
    AddPixels<false>(src, pixels, channels, mean, sums);
    for (int64_t g = 0; g < c.groups; ++g) {
      double sum = 0;
      for (int64_t i = g * size; i < (g + 1) * size; ++i) sum += static_cast<double>(sums[i]);
      std::fill(mean + g * size, mean + (g + 1) * size, static_cast<float>(sum / count));
    }
    AddPixels<true>(src, pixels, channels, mean, sums);
    for (int64_t g = 0; g < c.groups; ++g) {
      double squares = 0;
      for (int64_t i = g * size; i < (g + 1) * size; ++i) squares += static_cast<double>(sums[i]);
      moments[g].Merge({count, static_cast<double>(mean[g * size]), squares});
    }
  }
}

// dst = act((src - mean) * factor + bias), all three per channel; pixels [begin, end).
void ApplyGroupsHere(const GroupNormCall& c, int64_t begin, int64_t end, const float* mean,
                     const float* factor) {
  const int64_t channels = c.src.dim(2);
  for (int64_t p = begin; p < end; ++p) {
    const InRow src = RowOf(c.src, p * channels);
    const OutRow dst = RowOf(c.dst, p * channels);
    ByVectors(channels, [&](int64_t i, size_t n) HWY_ATTR {
      const VF x = hn::Sub(LoadRow(src, i, n), LoadRow({mean, DType::kF32}, i, n));
      const VF y =
          hn::MulAdd(x, LoadRow({factor, DType::kF32}, i, n), LoadRow({c.bias, DType::kF32}, i, n));
      StoreRow(Activated(DF(), c.act, y), dst, i, n);
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
HWY_EXPORT(ApplyGroupsHere);

void NormalizeGroups(const GroupNormCall& c) {
  const int64_t channels = c.src.dim(2), pixels = c.src.dim(0) * c.src.dim(1);
  // A fixed number of parts, merged in order: the result does not depend on the thread count.
  const int64_t parts = std::clamp<int64_t>(pixels * channels / 16384, 1, 64);
  std::vector<Moments> moments(static_cast<size_t>(parts * c.groups));
  std::vector<float> vectors(static_cast<size_t>(parts * 2 * channels));
  ParallelRows(parts, pixels * channels / parts, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      HWY_DYNAMIC_DISPATCH(GroupMomentsHere)
      (c, pixels * i / parts, pixels * (i + 1) / parts, vectors.data() + i * 2 * channels,
       moments.data() + i * c.groups);
    }
  });
  float* mean = vectors.data();
  float* factor = vectors.data() + channels;
  for (int64_t g = 0; g < c.groups; ++g) {
    Moments all;
    for (int64_t i = 0; i < parts; ++i) all.Merge(moments[static_cast<size_t>(i * c.groups + g)]);
    const double inverse = 1.0 / std::sqrt(all.squares / all.count + static_cast<double>(c.eps));
    for (int64_t i = g * channels / c.groups; i < (g + 1) * channels / c.groups; ++i) {
      mean[i] = static_cast<float>(all.mean);
      factor[i] = static_cast<float>(inverse * static_cast<double>(c.weight[i]));
    }
  }
  ParallelRows(pixels, channels, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(ApplyGroupsHere)(c, begin, end, mean, factor);
  });
}

}  // namespace kontext::cpu
#endif  // HWY_ONCE
