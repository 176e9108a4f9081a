#include "edit/likes.h"

namespace kontext {
namespace {

// spec likes.md, row by row. Sizes "of 1024 x 1024" there are the model's square size here, since
// sizes are data of the model: 1024 x 1024 for the real one.
constexpr LikeProfile kOurs{"kontext",
                            ReferenceFit::kPreferred,
                            OutputFit::kReference,
                            T5Padding::kModel,
                            PromptWeights::kNone,
                            false,
                            std::nullopt,
                            std::nullopt,
                            NoiseStream::kTorchF32,
                            TimestepPrecision::kExact};
constexpr LikeProfile kBfl{"bfl",
                           ReferenceFit::kPreferred,
                           OutputFit::kReference,
                           T5Padding::kModel,
                           PromptWeights::kNone,
                           false,
                           30,
                           2.5f,
                           NoiseStream::kTorchBF16,
                           TimestepPrecision::kBfl};
constexpr LikeProfile kDiffusers{"diffusers",
                                 ReferenceFit::kPreferred,
                                 OutputFit::kModelArea,
                                 T5Padding::kModel,
                                 PromptWeights::kNone,
                                 false,
                                 28,
                                 3.5f,
                                 NoiseStream::kTorchBF16,
                                 TimestepPrecision::kDiffusers};
constexpr LikeProfile kComfyUi{"comfyui",
                               ReferenceFit::kPreferredCrop,
                               OutputFit::kReference,
                               T5Padding::kAtLeast256,
                               PromptWeights::kInterpolate,
                               true,
                               20,
                               2.5f,
                               NoiseStream::kTorchF32,
                               TimestepPrecision::kExact};
constexpr LikeProfile kSdCpp{"sdcpp",
                             ReferenceFit::kNearestArea,
                             OutputFit::kFileUp,
                             T5Padding::kChunks256,
                             PromptWeights::kScaleToMean,
                             false,
                             20,
                             3.5f,
                             NoiseStream::kPhilox,
                             TimestepPrecision::kExact};

}  // namespace

const LikeProfile& ProfileOf(Like like) {
  switch (like) {
    case Like::kBfl:
      return kBfl;
    case Like::kDiffusers:
      return kDiffusers;
    case Like::kComfyUi:
      return kComfyUi;
    case Like::kSdCpp:
      return kSdCpp;
    case Like::kOurs:
      break;
  }
  return kOurs;
}

}  // namespace kontext
