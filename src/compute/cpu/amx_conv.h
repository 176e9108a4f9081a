// Convolutions on AMX: tile registers are loaded from the picture where it lies, 16 neighbouring
// pixels a register. Nothing is gathered, neither patches nor rows of a panel.
#ifndef KONTEXT_COMPUTE_CPU_AMX_CONV_H_
#define KONTEXT_COMPUTE_CPU_AMX_CONV_H_

#include <cstddef>
#include <cstdint>

#include "compute/cpu/panels.h"
#include "tensor/view.h"

namespace kontext::cpu {

// Values of a pixel's channels, those beyond `channels` being zeros.
int64_t AmxConvChannels(int64_t channels);
// Values that lie after a picture's last and are read, but do not count.
int64_t AmxConvSlack(int64_t channels, int stride);

// Weights [N,k,k,C], dense, of dtype F32, BF16 or F16, as column panels of AmxPanels(), each over
// all k*k taps of AmxConvChannels(C): AmxConvPanelBytes of 64-byte aligned memory.
int64_t AmxConvPanelBytes(const Shape& weights);
void AmxPackConv(const ConstTensorView& weights, std::byte* panels);

// dst [h,w,N] = the convolution of src by a kernel of k x k, finished; e.addend is a picture like
// dst, or empty. `src` is BF16 of AmxConvChannels(C) with the border the kernel needs inside it:
// [(h-1)*stride+k, at least (w-1)*stride+k, C'], dense, and AmxConvSlack(C, stride) values after
// it.
void AmxConvolve(const ConstTensorView& src, const std::byte* panels, int64_t kernel, int stride,
                 const Epilogue& e, const TensorView& dst);

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_AMX_CONV_H_
