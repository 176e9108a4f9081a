// OpCheck: the arguments of one op call against its line in ops.h, as a table: name, view, sizes,
// kind.
#ifndef KONTEXT_COMPUTE_OPS_CHECK_H_
#define KONTEXT_COMPUTE_OPS_CHECK_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/status.h"
#include "tensor/view.h"
#include "tensor/weight_rows.h"

namespace kontext {

// What an argument's dtype and strides may be. "Rows": the last dimension dense, every other stride
// at least the last dimension's size, so that no two elements of a row-wise walk overlap.
enum class Kind {
  kActivation,  // F32 or BF16, rows
  kPicture,     // F32 or BF16, without gaps
  kVector,      // F32, without gaps
  kWeight,      // F32, BF16 or F16, without gaps
  kIds,         // I32, without gaps
  kCopySource,  // F32, BF16 or F16, any strides but negative ones (0 repeats)
  kCopyTarget,  // F32, BF16 or F16, any strides above 0
};

// Keeps the first thing that is wrong; costs nothing else while all is well.
class OpCheck {
 public:
  explicit OpCheck(std::string_view op) : op_(op) {}

  // Fixes the size that `letter` stands for in the shapes below. Unfixed letters take the first
  // size seen. Sizes are at least 1, only T may be 0: an op on no rows is no work.
  OpCheck& Size(char letter, int64_t size);
  int64_t size(char letter) const { return sizes_[Index(letter)]; }  // -1 unless known

  // `shape` has one letter per dimension, or a digit for that size: "TD2".
  OpCheck& Arg(std::string_view name, const ConstTensorView& view, std::string_view shape,
               Kind kind);
  // As Arg, or empty.
  OpCheck& Optional(std::string_view name, const ConstTensorView& view, std::string_view shape,
                    Kind kind);
  // As Arg with Kind::kWeight, or encoded.
  OpCheck& Weight(std::string_view name, const WeightRows& weight, std::string_view shape);
  // Any rank and size, or exactly the shape of `like`.
  OpCheck& AnyShape(std::string_view name, const ConstTensorView& view, Kind kind);
  OpCheck& SameShape(std::string_view name, const ConstTensorView& view,
                     const ConstTensorView& like, Kind kind);

  // For ops that allow src == dst: then both must be the very same view.
  OpCheck& InPlaceOrApart(const ConstTensorView& src, const ConstTensorView& dst);
  // For the others: dst must not begin where `src` does. (Interleaved columns of one buffer are
  // fine.)
  OpCheck& Apart(std::string_view name, const ConstTensorView& src, const ConstTensorView& dst);

  template <class... A>
  OpCheck& That(bool condition, fmt::format_string<A...> format, A&&... args) {
    if (!condition && status_.ok()) Say(fmt::format(format, std::forward<A>(args)...));
    return *this;
  }

  const Status& status() const { return status_; }
  std::string_view op() const { return op_; }
  double bytes() const { return bytes_; }  // of all arguments seen

 private:
  static size_t Index(char letter) { return static_cast<size_t>(letter) & 0x7F; }
  bool Fits(const Shape& got, std::string_view shape);
  std::string Expected(std::string_view shape) const;
  void CheckKind(std::string_view name, const ConstTensorView& view, Kind kind);
  void Say(const std::string& problem);

  std::string_view op_;
  std::array<int64_t, 128> sizes_ = MakeUnknown();
  Status status_;
  double bytes_ = 0;

  static constexpr std::array<int64_t, 128> MakeUnknown() {
    std::array<int64_t, 128> a{};
    for (int64_t& v : a) v = -1;
    return a;
  }
};

}  // namespace kontext

#endif  // KONTEXT_COMPUTE_OPS_CHECK_H_
