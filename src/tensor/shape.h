// Shape: the sizes of a tensor's dimensions, outermost first, the last one fastest in memory.
#ifndef KONTEXT_TENSOR_SHAPE_H_
#define KONTEXT_TENSOR_SHAPE_H_

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

namespace kontext {

class Shape {
 public:
  static constexpr int kMaxRank = 6;

  Shape() = default;                         // rank 0: one element
  Shape(std::initializer_list<int64_t> d) {  // at most kMaxRank sizes; further ones would be a bug
    for (int64_t n : d) {
      if (rank_ < kMaxRank) dims_[static_cast<size_t>(rank_++)] = n;
    }
  }

  int rank() const { return rank_; }
  int64_t operator[](int i) const { return dims_[static_cast<size_t>(i)]; }
  int64_t& operator[](int i) { return dims_[static_cast<size_t>(i)]; }
  int64_t back() const { return dims_[static_cast<size_t>(rank_ - 1)]; }
  void push_back(int64_t n) {
    if (rank_ < kMaxRank) dims_[static_cast<size_t>(rank_++)] = n;
  }

  int64_t NumElements() const {
    int64_t n = 1;
    for (int i = 0; i < rank_; ++i) n *= (*this)[i];
    return n;
  }

  friend bool operator==(const Shape& a, const Shape& b) {
    if (a.rank_ != b.rank_) return false;
    for (int i = 0; i < a.rank_; ++i) {
      if (a[i] != b[i]) return false;
    }
    return true;
  }

  // "[512,16,3,3]", for messages.
  std::string Str() const {
    std::string s = "[";
    for (int i = 0; i < rank_; ++i) {
      if (i > 0) s += ',';
      s += std::to_string((*this)[i]);
    }
    return s + "]";
  }

 private:
  std::array<int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

}  // namespace kontext

#endif  // KONTEXT_TENSOR_SHAPE_H_
