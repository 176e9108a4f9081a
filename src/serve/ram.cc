#include "serve/ram.h"

#include <fstream>
#include <string>

namespace kontext::serve {

Ram RamOfMachine() {
  Ram ram;
  std::ifstream lines("/proc/meminfo");  // "MemAvailable:   123 kB"
  std::string name, unit;
  for (int64_t kib = 0; lines >> name >> kib && std::getline(lines, unit);) {
    if (name == "MemTotal:") ram.total = kib << 10;
    if (name == "MemAvailable:") ram.free = kib << 10;
  }
  return ram;
}

}  // namespace kontext::serve
