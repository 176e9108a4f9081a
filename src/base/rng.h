// Random numbers that equal other programs', so that one seed means one picture everywhere.
#ifndef KONTEXT_BASE_RNG_H_
#define KONTEXT_BASE_RNG_H_

#include <array>
#include <cstdint>
#include <vector>

namespace kontext {

enum class NoiseStream {
  kTorchF32,    // torch.randn(float32) on the CPU generator; ours unless --like says otherwise
  kTorchBF16,   // torch >= 2 randn(bfloat16): the f32 stream, rounded
  kTorch1BF16,  // torch 1.x randn(bfloat16): a stream of its own
  kPhilox,      // torch's CUDA generator, and stable-diffusion.cpp's default
};

// n standard normal values (spec architecture 13). n must be a multiple of 16, as latents always
// are. Torch streams: within 2e-6 of torch's, whose last bit depends on its SIMD path.
std::vector<float> DrawNormal(NoiseStream stream, uint64_t seed, int64_t n);

// Philox4x32-10: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

}  // namespace kontext

#endif  // KONTEXT_BASE_RNG_H_
