#include "compute/ops_check.h"

#include <fmt/format.h>

namespace kontext {
namespace {

bool DtypeFits(DType t, Kind kind) {
  switch (kind) {
    case Kind::kActivation:
    case Kind::kPicture:
      return t == DType::kF32 || t == DType::kBF16;
    case Kind::kVector:
      return t == DType::kF32;
    case Kind::kIds:
      return t == DType::kI32;
    case Kind::kWeight:
    case Kind::kCopySource:
    case Kind::kCopyTarget:
      return IsFloat(t);
  }
  return false;
}

std::string_view DtypesOf(Kind kind) {
  switch (kind) {
    case Kind::kActivation:
    case Kind::kPicture:
      return "F32 or BF16";
    case Kind::kVector:
      return "F32";
    case Kind::kIds:
      return "I32";
    case Kind::kWeight:
    case Kind::kCopySource:
    case Kind::kCopyTarget:
      return "F32, BF16 or F16";
  }
  return "?";
}

// Strides of dimensions of size 1 are never used and may be anything.
bool StridesFit(const ConstTensorView& v, Kind kind) {
  if (kind == Kind::kPicture || kind == Kind::kVector || kind == Kind::kWeight ||
      kind == Kind::kIds) {
    return v.IsDense();
  }
  const int last = v.rank() - 1;
  for (int i = 0; i <= last; ++i) {
    if (v.dim(i) == 1) continue;
    const int64_t s = v.stride(i);
    if (kind == Kind::kCopySource && s < 0) return false;
    if (kind == Kind::kCopyTarget && s <= 0) return false;
    if (kind == Kind::kActivation && (i == last ? s != 1 : s < v.dim(last))) return false;
  }
  return true;
}

std::string_view StridesOf(Kind kind) {
  switch (kind) {
    case Kind::kActivation:
      return "the last to be 1 and the others at least the last size";
    case Kind::kCopySource:
      return "none below 0";
    case Kind::kCopyTarget:
      return "all above 0";
    default:
      return "those of a tensor without gaps";
  }
}

std::string StrideStr(const ConstTensorView& v) {
  Shape strides;
  for (int i = 0; i < v.rank(); ++i) strides.push_back(v.stride(i));
  return strides.Str();
}

}  // namespace

OpCheck& OpCheck::Size(char letter, int64_t size) {
  sizes_[Index(letter)] = size;
  return *this;
}

OpCheck& OpCheck::Arg(std::string_view name, const ConstTensorView& view, std::string_view shape,
                      Kind kind) {
  if (!status_.ok()) return *this;
  if (!Fits(view.shape(), shape)) {
    Say(fmt::format("{} is {}, expected {}", name, view.shape().Str(), Expected(shape)));
    return *this;
  }
  CheckKind(name, view, kind);
  return *this;
}

OpCheck& OpCheck::Optional(std::string_view name, const ConstTensorView& view,
                           std::string_view shape, Kind kind) {
  return view.empty() ? *this : Arg(name, view, shape, kind);
}

OpCheck& OpCheck::Weight(std::string_view name, const WeightRows& weight, std::string_view shape) {
  if (!weight.is_encoded()) return Arg(name, weight.dense(), shape, Kind::kWeight);
  return That(Fits(weight.shape(), shape), "{} is {}, expected {}", name, weight.shape().Str(),
              Expected(shape));
}

OpCheck& OpCheck::AnyShape(std::string_view name, const ConstTensorView& view, Kind kind) {
  return SameShape(name, view, view, kind);
}

OpCheck& OpCheck::SameShape(std::string_view name, const ConstTensorView& view,
                            const ConstTensorView& like, Kind kind) {
  if (!status_.ok()) return *this;
  That(view.rank() > 0, "{} has no dimensions, expected 1 to {}", name, Shape::kMaxRank);
  That(view.shape() == like.shape(), "{} is {}, expected {}", name, view.shape().Str(),
       like.shape().Str());
  for (int i = 0; i < view.rank(); ++i) {
    That(view.dim(i) >= 0, "{} is {}, expected no size below 0", name, view.shape().Str());
  }
  if (status_.ok()) CheckKind(name, view, kind);
  return *this;
}

OpCheck& OpCheck::InPlaceOrApart(const ConstTensorView& src, const ConstTensorView& dst) {
  if (!status_.ok() || src.data() != dst.data()) return *this;
  bool same = src.dtype() == dst.dtype();
  for (int i = 0; i < src.rank(); ++i) {
    same = same && (src.dim(i) == 1 || src.stride(i) == dst.stride(i));
  }
  return That(same, "src {} strides {} and dst {} strides {} share memory, expected equal views",
              Name(src.dtype()), StrideStr(src), Name(dst.dtype()), StrideStr(dst));
}

OpCheck& OpCheck::Apart(std::string_view name, const ConstTensorView& src,
                        const ConstTensorView& dst) {
  return That(src.data() != dst.data() || dst.shape().NumElements() == 0,
              "{} and dst share memory; this op does not work in place", name);
}

bool OpCheck::Fits(const Shape& got, std::string_view shape) {
  if (got.rank() != static_cast<int>(shape.size())) return false;
  auto sizes = sizes_;  // so that a misfit fixes no letter, and the message keeps its letters
  for (int i = 0; i < got.rank(); ++i) {
    const char letter = shape[static_cast<size_t>(i)];
    const int64_t n = got[i];
    if (letter >= '0' && letter <= '9') {
      if (n != letter - '0') return false;
      continue;
    }
    int64_t& size = sizes[Index(letter)];
    if (size < 0) {
      if (n < (letter == 'T' ? 0 : 1)) return false;
      size = n;
    }
    if (n != size) return false;
  }
  sizes_ = sizes;
  return true;
}

std::string OpCheck::Expected(std::string_view shape) const {
  std::string s = "[";
  for (char letter : shape) {
    if (s.size() > 1) s += ",";
    s += size(letter) >= 0 ? std::to_string(size(letter)) : std::string(1, letter);
  }
  return s + "]";
}

void OpCheck::CheckKind(std::string_view name, const ConstTensorView& view, Kind kind) {
  That(DtypeFits(view.dtype(), kind), "{} {} is {}, expected {}", name, view.shape().Str(),
       Name(view.dtype()), DtypesOf(kind));
  if (view.shape().NumElements() == 0) return;
  bytes_ += static_cast<double>(view.shape().NumElements() * SizeOf(view.dtype()));
  That(!view.empty(), "{} {} has no memory", name, view.shape().Str());
  That(reinterpret_cast<uintptr_t>(view.data()) % static_cast<uintptr_t>(SizeOf(view.dtype())) == 0,
       "{} {} {} does not begin on a multiple of {} bytes", name, view.shape().Str(),
       Name(view.dtype()), SizeOf(view.dtype()));
  if (!StridesFit(view, kind)) {
    That(false, "{} {} has strides {}, expected {}", name, view.shape().Str(), StrideStr(view),
         StridesOf(kind));
  }
}

void OpCheck::Say(const std::string& problem) { status_ = Internal("{}: {}", op_, problem); }

}  // namespace kontext
