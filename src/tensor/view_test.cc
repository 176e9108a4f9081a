#include "tensor/view.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace kontext {
namespace {

// 0, 1, 2, ... in [2,3,4].
class ViewTest : public testing::Test {
 protected:
  ViewTest() : values_(24) {
    std::iota(values_.begin(), values_.end(), 0.0f);
    view_ = ViewOf(values_.data(), {2, 3, 4});
  }
  // The elements of a view of rank 2, by its strides.
  static std::vector<float> Elements(const TensorView& v) {
    std::vector<float> out;
    for (int64_t i = 0; i < v.dim(0); ++i) {
      for (int64_t j = 0; j < v.dim(1); ++j) {
        out.push_back(v.As<float>()[i * v.stride(0) + j * v.stride(1)]);
      }
    }
    return out;
  }

  std::vector<float> values_;
  TensorView view_;
};

TEST_F(ViewTest, DenseStrides) {
  EXPECT_EQ(view_.stride(0), 12);
  EXPECT_EQ(view_.stride(1), 4);
  EXPECT_EQ(view_.stride(2), 1);
  EXPECT_TRUE(view_.IsDense());
  EXPECT_FALSE(view_.empty());
  EXPECT_TRUE(TensorView().empty());
}

TEST_F(ViewTest, AtRowsAndCols) {
  const TensorView second = view_.At(1);
  EXPECT_EQ(second.shape(), (Shape{3, 4}));
  EXPECT_EQ(second.As<float>()[0], 12);
  const TensorView rows = second.Rows(1, 3);
  EXPECT_EQ(Elements(rows), (std::vector<float>{16, 17, 18, 19, 20, 21, 22, 23}));
  EXPECT_TRUE(rows.IsDense());
  const TensorView cols = second.Cols(1, 3);
  EXPECT_EQ(cols.shape(), (Shape{3, 2}));
  EXPECT_EQ(Elements(cols), (std::vector<float>{13, 14, 17, 18, 21, 22}));
  EXPECT_FALSE(cols.IsDense());
  EXPECT_EQ(Elements(cols.Rows(1, 2)), (std::vector<float>{17, 18}));
  EXPECT_TRUE(cols.Rows(1, 2).IsDense());  // a single row has no gaps
}

TEST_F(ViewTest, SlicesOfAnyDimension) {
  const TensorView middle = view_.Slice(1, 1, 2);
  EXPECT_EQ(middle.shape(), (Shape{2, 1, 4}));
  EXPECT_EQ(middle.At(0).As<float>()[0], 4);
  EXPECT_EQ(middle.At(1).As<float>()[0], 16);
  EXPECT_FALSE(middle.IsDense());
  EXPECT_EQ(view_.Slice(0, 1, 1).dim(0), 0);
}

TEST_F(ViewTest, SlicesCountInElementsOfTheDType) {
  std::vector<BF16> half(6);
  const TensorView v = ViewOf(half.data(), {2, 3});
  EXPECT_EQ(v.dtype(), DType::kBF16);
  EXPECT_EQ(v.Rows(1, 2).As<BF16>(), half.data() + 3);
  EXPECT_EQ(v.Cols(2, 3).As<BF16>(), half.data() + 2);
  EXPECT_EQ(v.At(1).As<BF16>(), half.data() + 3);
}

TEST_F(ViewTest, AConstViewKeepsStrides) {
  const ConstTensorView cols = view_.At(0).Cols(0, 2);
  EXPECT_EQ(cols.stride(0), 4);
  EXPECT_FALSE(cols.IsDense());
  EXPECT_EQ(cols.As<float>()[4], 4);
}

TEST_F(ViewTest, Reshaped) {
  const TensorView flat = view_.Reshaped({6, 4});
  EXPECT_EQ(flat.stride(0), 4);
  EXPECT_EQ(flat.Rows(5, 6).As<float>()[3], 23);
}

TEST(Shape, CountsComparesAndPrints) {
  EXPECT_EQ(Shape().NumElements(), 1);
  EXPECT_EQ((Shape{2, 3, 4}).NumElements(), 24);
  EXPECT_EQ((Shape{2, 0, 4}).NumElements(), 0);
  EXPECT_EQ((Shape{512, 16, 3, 3}).Str(), "[512,16,3,3]");
  EXPECT_EQ((Shape{2, 3}).back(), 3);
  EXPECT_FALSE((Shape{2, 3}) == (Shape{3, 2}));
  EXPECT_FALSE((Shape{2}) == (Shape{2, 1}));
  Shape full{1, 2, 3, 4, 5, 6};
  full.push_back(7);  // beyond kMaxRank: ignored, never written out of bounds
  EXPECT_EQ(full.rank(), Shape::kMaxRank);
}

TEST(DType, SizesAndNames) {
  for (int i = 0; i <= static_cast<int>(DType::kF8E5M2); ++i) {
    const auto t = static_cast<DType>(i);
    EXPECT_NE(Name(t), "?");
    EXPECT_TRUE(SizeOf(t) == 1 || SizeOf(t) == 2 || SizeOf(t) == 4 || SizeOf(t) == 8);
  }
  EXPECT_EQ(SizeOf(DType::kF64), 8);
  EXPECT_EQ(SizeOf(DType::kBF16), 2);
  EXPECT_EQ(SizeOf(DType::kI8), 1);
  EXPECT_EQ(Name(DType::kF8E4M3), "F8_E4M3");
}

}  // namespace
}  // namespace kontext
