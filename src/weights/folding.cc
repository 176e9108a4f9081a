#include "weights/folding.h"

#include <algorithm>

namespace kontext {
namespace {

template <class T>
std::vector<float> Widened(const ConstTensorView& view) {
  std::vector<float> values(static_cast<size_t>(view.shape().NumElements()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = ToFloat(view.As<T>()[i]);
  return values;
}

// That no exponent is the one of infinities and NaN; `mask` is where exponents are.
template <class Bits>
bool NoneHas(Bits mask, const ConstTensorView& view) {
  const Bits* bits = view.As<Bits>();
  return std::none_of(bits, bits + view.shape().NumElements(),
                      [mask](Bits b) { return (b & mask) == mask; });
}

bool AllFinite(const ConstTensorView& view) {
  switch (view.dtype()) {
    case DType::kF32:
      return NoneHas<uint32_t>(0x7F800000u, view);
    case DType::kBF16:
      return NoneHas<uint16_t>(0x7F80u, view);
    case DType::kF16:
      return NoneHas<uint16_t>(0x7C00u, view);
    case DType::kF8E4M3:
      return NoneHas<uint8_t>(0x7Fu, view);
    case DType::kF8E8M0:
      return NoneHas<uint8_t>(0xFFu, view);
    default:
      return true;
  }
}

}  // namespace

const ConstTensorView* Folding::Find(const std::string& name) const {
  const auto at = raw_.find(name);
  return at == raw_.end() ? nullptr : &at->second;
}

Result<ConstTensorView> Folding::Take(const std::string& name, const std::string& encoding) {
  const ConstTensorView* view = Find(name);
  if (view == nullptr) {
    return Bad(name, "is missing, and needed for an {} weight; the file is not whole", encoding);
  }
  taken_.insert(name);
  if (view->shape().NumElements() == 0) {
    return Bad(name, "is {}: an {} weight has no empty parts", view->shape().Str(), encoding);
  }
  return *view;
}

Result<ConstTensorView> Folding::Take(const std::string& name, const std::string& encoding,
                                      std::initializer_list<DType> dtypes) {
  KX_ASSIGN_OR_RETURN(const ConstTensorView view, Take(name, encoding));
  if (std::find(dtypes.begin(), dtypes.end(), view.dtype()) != dtypes.end()) return view;
  std::string wanted;
  for (const DType t : dtypes) wanted += fmt::format("{}{}", wanted.empty() ? "" : " or ", Name(t));
  return Bad(name, "is {}, expected {} for an {} weight", Name(view.dtype()), wanted, encoding);
}

Result<ConstTensorView> Folding::TakeNumbers(const std::string& name, const std::string& encoding,
                                             std::initializer_list<DType> dtypes, int64_t n) {
  KX_ASSIGN_OR_RETURN(const ConstTensorView view, Take(name, encoding, dtypes));
  if (view.shape().NumElements() != n) {
    return Bad(name, "is {}, expected {} value{} for this {} weight", view.shape().Str(), n,
               n == 1 ? "" : "s", encoding);
  }
  if (!AllFinite(view)) return Bad(name, "holds a number that is not finite; the file is damaged");
  return view;
}

Result<std::vector<float>> Folding::TakeFloats(const std::string& name, const std::string& encoding,
                                               int64_t n) {
  KX_ASSIGN_OR_RETURN(const ConstTensorView view,
                      TakeNumbers(name, encoding, {DType::kF32, DType::kBF16, DType::kF16}, n));
  if (view.dtype() == DType::kBF16) return Widened<BF16>(view);
  if (view.dtype() == DType::kF16) return Widened<F16>(view);
  return Widened<float>(view);
}

Result<float> Folding::TakeScalar(const std::string& name, const std::string& encoding) {
  KX_ASSIGN_OR_RETURN(const std::vector<float> values, TakeFloats(name, encoding, 1));
  return values[0];
}

Status Folding::Put(const std::string& name, WeightRows weight) {
  if (weights_.emplace(name, std::move(weight)).second) return {};
  return Bad(name, "is in the file twice, in two encodings");
}

Status Folding::Put(const std::string& name, std::shared_ptr<const EncodedMatrix> matrix) {
  const Shape shape{matrix->rows, matrix->columns};
  return Put(name, WeightRows(std::move(matrix), shape));
}

Status Folding::Put(const std::string& name, const std::vector<float>& values) {
  KX_ASSIGN_OR_RETURN(Tensor tensor,
                      Tensor::Allocate(DType::kF32, {static_cast<int64_t>(values.size())}));
  std::copy(values.begin(), values.end(), tensor.view().As<float>());
  return Put(name, WeightRows(std::make_shared<const Tensor>(std::move(tensor))));
}

Result<WeightMap> Folding::Finish() {
  for (const auto& [name, tensor] : raw_) {
    if (!taken(name)) KX_RETURN_IF_ERROR(Put(name, WeightRows(tensor)));
  }
  return std::move(weights_);
}

}  // namespace kontext
