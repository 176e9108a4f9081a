// Edits with a mask through the whole engine (docs/masks.md).
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "edit/masked.h"
#include "edit/prepare_image.h"
#include "io/resize.h"
#include "pipeline/golden_case.h"

namespace kontext::testing {
namespace {

// A white box with edges that no 8 x 8 block has.
Mask Box(int width, int height) {
  Mask mask{width, height, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const bool in = 4 * x > width && 4 * x < 3 * width - 9 && 3 * y > height && y < height - 5;
      mask.data.push_back(in ? 255 : 0);
    }
  }
  return mask;
}

class MaskTest : public MiniTest {
 protected:
  void SetUp() override {
    MiniTest::SetUp();
    request_.steps = 3;
    request_.size.reset();
    request_.keep_reference_size = false;
  }
  Edited Run() {
    Result<std::vector<Edited>> edits =
        RunEdit(*setup_.model, *setup_.ops, request_, 0, 2, {nullptr, &recorder_});
    EXPECT_TRUE(edits.ok()) << edits.message();
    return edits.ok() ? std::move(edits->front()) : Edited{};
  }
  // The picture as it was decoded, never put back into the input.
  Pixels Unpasted() {
    const std::vector<float>& decoded = recorder_.At("decoded");
    const Pixels& picture = request_.images[0];
    return *ResizeLanczos(*ToPixels(ViewOf(decoded.data(), {128, 128, 3})), picture.width,
                          picture.height);
  }
  // Bytes that differ from the first reference, where the mask is black and where it is not.
  void ExpectKept(const Pixels& out) {
    const Pixels& picture = request_.images[0];
    ASSERT_EQ(out.data.size(), picture.data.size());
    ASSERT_EQ(out.width, picture.width);
    const Mask& mask = *request_.mask;
    int64_t outside = 0, inside = 0, free = 0;
    for (size_t i = 0; i < mask.data.size(); ++i) {
      for (size_t c = 0; c < 3; ++c) {
        const bool changed = out.data[3 * i + c] != picture.data[3 * i + c];
        (mask.data[i] == 0 ? outside : inside) += changed;
        free += mask.data[i] != 0;
      }
    }
    std::printf("bytes changed outside %lld, inside %lld of %lld\n",
                static_cast<long long>(outside), static_cast<long long>(inside),
                static_cast<long long>(free));
    EXPECT_EQ(outside, 0) << "bytes outside the mask are not the picture's own";
    EXPECT_GT(2 * inside, free) << "an edit that changes less than half of what it may";
  }

  Recorder recorder_;
};

// With KX_NUDGE=paste_back the picture before it was put into the input: then this must fail.
TEST_F(MaskTest, OutsideIsTheInputBitForBit) {
  request_.mask = Box(128, 128);
  for (const int feather : {0, 7}) {
    request_.feather_px = feather;
    const Edited edited = Run();
    ExpectKept(std::getenv("KX_NUDGE") != nullptr ? Unpasted() : edited.picture);
  }
}

TEST_F(MaskTest, OutputHasTheInputsOwnSize) {
  request_.images[0] = *ResizeLanczos(request_.images[0], 301, 203);
  request_.mask = Box(301, 203);
  ExpectKept(Run().picture);
  request_.size = Size{160, 96};  // of the work, not of the picture
  ExpectKept(Run().picture);
}

TEST_F(MaskTest, EveryLikeKeepsTheOutside) {
  request_.mask = Box(128, 128);
  for (const Like like : {Like::kBfl, Like::kDiffusers, Like::kSdCpp}) {
    request_.like = like;
    ExpectKept(Run().picture);
  }
}

// pitfalls 47: polarity, the level of the blend, and no noise left after the last step.
TEST_F(MaskTest, KeptLatentsFollowThePicturesOwnWay) {
  request_.mask = Box(128, 128);
  Run();
  const std::vector<float>& picture = recorder_.At("reference0.latents");  // [16, 16, 16]
  const std::vector<float>& last = recorder_.At("step2.latents");          // [64, 64], packed
  Tensor latents = *Tensor::Allocate(DType::kF32, {16, 16, 16});
  Unpack(ViewOf(last.data(), {64, 64}), latents.view());
  const std::vector<float> cells = WeighMask(request_)->Cells(16, 16);
  int64_t kept = 0, changed = 0;
  for (size_t i = 0; i < picture.size(); ++i) {
    const bool same = latents.view().As<float>()[i] == picture[i];
    if (cells[i / 16] == 0) {
      EXPECT_TRUE(same) << i;
      ++kept;
    } else {
      changed += !same;
    }
  }
  EXPECT_GT(kept, 0);
  EXPECT_GT(changed, 0);
}

TEST_F(MaskTest, FullMaskIsTheEditItself) {
  const Edited plain = Run();
  request_.mask = Mask{128, 128, std::vector<uint8_t>(128 * 128, 255)};
  EXPECT_EQ(Run().picture.data, plain.picture.data);
}

TEST_F(MaskTest, AlphaStaysThePicturesOwn) {
  Pixels& picture = request_.images[0];
  Pixels rgba{128, 128, 4, {}};
  for (size_t i = 0; i < picture.data.size(); i += 3) {
    rgba.data.insert(rgba.data.end(), {picture.data[i], picture.data[i + 1], picture.data[i + 2],
                                       static_cast<uint8_t>(i)});
  }
  picture = rgba;
  request_.mask = Box(128, 128);
  const Pixels out = Run().picture;
  ASSERT_EQ(out.channels, 4);
  for (size_t i = 0; i < rgba.data.size(); ++i) {
    const bool own = i % 4 == 3 || request_.mask->data[i / 4] == 0;
    ASSERT_TRUE(!own || out.data[i] == rgba.data[i]) << i;
  }
}

}  // namespace
}  // namespace kontext::testing
