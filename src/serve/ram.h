// How much memory the machine has, as clients ask a server for it.
#ifndef KONTEXT_SERVE_RAM_H_
#define KONTEXT_SERVE_RAM_H_

#include <cstdint>

namespace kontext::serve {

struct Ram {
  int64_t total = 0, free = 0;  // bytes; free: what a new program could have
};
Ram RamOfMachine();

}  // namespace kontext::serve

#endif  // KONTEXT_SERVE_RAM_H_
