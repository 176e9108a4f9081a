#include "base/rng.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>

#include "base/bf16.h"

namespace kontext {
namespace {

constexpr size_t kBlock = 16;  // torch fills and transforms 16 values at a time
constexpr size_t kHalf = kBlock / 2;
constexpr double kTwoPi = 2.0 * std::numbers::pi;

// Whole blocks of `x` from uniform to normal. ATen/native/cpu/
// DistributionTemplates.h, normal_fill: value j and value j + 8 of a block make one pair.
// `pair` is f(u1, u2, &first, &second).
template <class Pair>
void BoxMuller(std::vector<float>* x, const Pair& pair) {
  for (size_t block = 0; block + kBlock <= x->size(); block += kBlock) {
    for (size_t j = block; j < block + kHalf; ++j) {
      float& first = (*x)[j];
      float& second = (*x)[j + kHalf];
      pair(first, second, &first, &second);
    }
  }
}

std::vector<float> TorchF32(uint64_t seed, size_t n) {
  // torch seeds its Mersenne twister (init_genrand, as std::mt19937) with the low 32 bits.
  std::mt19937 generator(static_cast<uint32_t>(seed));
  std::vector<float> x(n);
  for (float& v : x) v = static_cast<float>(generator() & 0xFFFFFFu) * 0x1p-24f;
  BoxMuller(&x, [](float d1, float d2, float* first, float* second) {
    const float radius = std::sqrt(-2.0f * std::log(1.0f - d1));
    const float theta = static_cast<float>(kTwoPi) * d2;
    *first = radius * std::cos(theta);
    *second = radius * std::sin(theta);
  });
  return x;
}

// torch 1.x computed in bfloat16 throughout: each intermediate is rounded (spec architecture 13).
std::vector<float> Torch1BF16(uint64_t seed, size_t n) {
  std::mt19937 generator(static_cast<uint32_t>(seed));
  std::vector<float> x(n);
  for (float& v : x)
    v = static_cast<float>(generator() & 0xFFu) * 0x1p-8f;  // 8 bits: exact in bf16
  BoxMuller(&x, [](float d1, float d2, float* first, float* second) {
    const float u1 = RoundToBF16(1.0f - d1);
    const float log_u1 = RoundToBF16(std::log(u1));
    const float radius = RoundToBF16(std::sqrt(RoundToBF16(-2.0f * log_u1)));
    const float theta = RoundToBF16(static_cast<float>(kTwoPi * static_cast<double>(d2)));
    *first = RoundToBF16(radius * RoundToBF16(std::cos(theta)));
    *second = RoundToBF16(radius * RoundToBF16(std::sin(theta)));
  });
  return x;
}

// torch's CUDA randn: value i from counter (offset, 0, i, 0), here for the first call (offset 0).
// Constants of cuRAND's curand_box_muller in curand_normal.h: u and v at the middle of their step.
std::vector<float> Philox(uint64_t seed, size_t n) {
  const std::array<uint32_t, 2> key = {static_cast<uint32_t>(seed),
                                       static_cast<uint32_t>(seed >> 32)};
  constexpr float kStep = 0x1p-32f;
  constexpr float kAngle = static_cast<float>(0x1p-32 * kTwoPi);
  std::vector<float> x(n);
  for (size_t i = 0; i < n; ++i) {
    const auto r = Philox4x32({0, 0, static_cast<uint32_t>(i), 0}, key);
    const float u = static_cast<float>(r[0]) * kStep + kStep / 2;
    const float v = static_cast<float>(r[1]) * kAngle + kAngle / 2;
    x[i] = std::sqrt(-2.0f * std::log(u)) * std::sin(v);
  }
  return x;
}

}  // namespace

std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53u} * counter[0];
    const uint64_t b = uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(a)};
    key[0] += 0x9E3779B9u;  // the golden ratio
    key[1] += 0xBB67AE85u;  // sqrt(3) - 1
  }
  return counter;
}

std::vector<float> DrawNormal(NoiseStream stream, uint64_t seed, int64_t n) {
  const auto count = static_cast<size_t>(std::max<int64_t>(n, 0));
  std::vector<float> x;
  switch (stream) {
    case NoiseStream::kTorchF32:
      return TorchF32(seed, count);
    case NoiseStream::kTorchBF16:
      x = TorchF32(seed, count);
      for (float& v : x) v = RoundToBF16(v);
      return x;
    case NoiseStream::kTorch1BF16:
      return Torch1BF16(seed, count);
    case NoiseStream::kPhilox:
      return Philox(seed, count);
  }
  return x;
}

}  // namespace kontext
