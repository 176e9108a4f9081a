// Observer: how a caller looks into a run and stops it. Networks name every tensor worth comparing;
// nobody listens by default, and a debugging dump is an Observer, never an #ifdef.
#ifndef KONTEXT_TENSOR_OBSERVER_H_
#define KONTEXT_TENSOR_OBSERVER_H_

#include <string_view>

#include "tensor/view.h"

namespace kontext {

class Observer {
 public:
  virtual ~Observer() = default;
  // A finished intermediate: "double0.img", "single3", "vae.mid". The view is valid during the
  // call.
  virtual void OnTensor(std::string_view name, ConstTensorView value) {
    (void)name;
    (void)value;
  }
  // Asked once per block; true ends the run with Code::kCancelled.
  virtual bool Cancelled() { return false; }
};

}  // namespace kontext

#endif  // KONTEXT_TENSOR_OBSERVER_H_
