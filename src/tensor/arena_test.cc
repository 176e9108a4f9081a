#include "tensor/arena.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

namespace kontext {
namespace {

bool IsAligned(const void* p) { return reinterpret_cast<uintptr_t>(p) % 64 == 0; }

// Three tensors whose sizes are no multiples of 64 bytes.
Result<std::vector<TensorView>> TakeThree(Arena* arena) {
  KX_ASSIGN_OR_RETURN(TensorView a, arena->Take(DType::kF32, {3, 5}));
  KX_ASSIGN_OR_RETURN(TensorView b, arena->Take(DType::kBF16, {7}));
  KX_ASSIGN_OR_RETURN(TensorView c, arena->Take(DType::kU8, {1}));
  return std::vector<TensorView>{a, b, c};
}

TEST(Arena, PlansThenHandsOut) {
  Arena plan;
  const auto planned = TakeThree(&plan);
  ASSERT_TRUE(planned.ok());
  for (const TensorView& view : *planned) EXPECT_TRUE(view.empty());
  EXPECT_EQ((*planned)[0].shape(), (Shape{3, 5}));
  EXPECT_EQ(plan.used_bytes(), 3 * 64);
  EXPECT_EQ(plan.capacity_bytes(), 0);

  Result<Arena> arena = Arena::Allocate(plan.used_bytes());
  ASSERT_TRUE(arena.ok());
  const auto views = TakeThree(&*arena);
  ASSERT_TRUE(views.ok());
  EXPECT_EQ(arena->used_bytes(), arena->capacity_bytes());
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(IsAligned((*views)[i].data()));
    EXPECT_EQ((*views)[i].shape(), (*planned)[i].shape());
    EXPECT_EQ((*views)[i].dtype(), (*planned)[i].dtype());
    EXPECT_EQ((*views)[i].data() - (*views)[0].data(), static_cast<int64_t>(64 * i));
  }
}

TEST(Arena, ATooSmallPlanIsAnError) {
  Result<Arena> arena = Arena::Allocate(2 * 64);
  ASSERT_TRUE(arena.ok());
  const auto views = TakeThree(&*arena);
  EXPECT_EQ(views.code(), Code::kInternal);
  EXPECT_NE(views.message().find("128 bytes"), std::string::npos) << views.message();
  // One tensor that alone is too large.
  EXPECT_EQ(Arena::Allocate(64)->Take(DType::kF32, {1000}).code(), Code::kInternal);
}

TEST(Buffer, IsAlignedAndMoves) {
  for (int64_t bytes : {0, 1, 63, 64, 65, 1000}) {
    Result<Buffer> buffer = Buffer::Allocate(bytes);
    ASSERT_TRUE(buffer.ok());
    EXPECT_TRUE(IsAligned(buffer->data()));
    EXPECT_EQ(buffer->bytes(), bytes);
    std::memset(buffer->data(), 1, static_cast<size_t>(bytes));
  }
  Buffer a = *Buffer::Allocate(64);
  const std::byte* data = a.data();
  Buffer b = std::move(a);
  EXPECT_EQ(b.data(), data);
  Buffer c;
  c = std::move(b);
  EXPECT_EQ(c.data(), data);
  EXPECT_EQ(c.bytes(), 64);
}

TEST(Buffer, RefusesWhatCannotBe) {
  EXPECT_EQ(Buffer::Allocate(-1).code(), Code::kInternal);
  // 4 EiB: no machine has it.
  const Result<Buffer> huge = Buffer::Allocate(int64_t{1} << 62);
  EXPECT_EQ(huge.code(), Code::kNoSpace);
  EXPECT_NE(huge.message().find("4611686018427387904"), std::string::npos) << huge.message();
}

TEST(Tensor, OwnsItsMemory) {
  Result<Tensor> made = Tensor::Allocate(DType::kBF16, {4, 6});
  ASSERT_TRUE(made.ok());
  Tensor t = std::move(*made);
  EXPECT_EQ(t.bytes(), 48);
  EXPECT_EQ(t.view().dtype(), DType::kBF16);
  EXPECT_EQ(t.view().shape(), (Shape{4, 6}));
  t.view().As<BF16>()[23] = ToBF16(1.5f);
  EXPECT_EQ(ToFloat(std::as_const(t).view().As<BF16>()[23]), 1.5f);
}

}  // namespace
}  // namespace kontext
