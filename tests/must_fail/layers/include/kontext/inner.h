// A public header that needs an inner one.
#ifndef KONTEXT_INNER_H_
#define KONTEXT_INNER_H_
#include "tensor/view.h"
#endif  // KONTEXT_INNER_H_
