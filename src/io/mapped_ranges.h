// MappedRanges: which parts of memory are mapped files of ours, and which file was cut short while
// it was mapped. Reading a page that its file has no longer raises SIGBUS; inside such a range our
// handler puts a page of zeros there instead and remembers the file, so that the run goes on to its
// next check and ends with an error that names it. A SIGBUS elsewhere goes to the handler that was
// there before. A file written over at its length raises nothing: its time of change tells.
#ifndef KONTEXT_IO_MAPPED_RANGES_H_
#define KONTEXT_IO_MAPPED_RANGES_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"

namespace kontext {

// From MappedFile: [data, data + size) is a read-only mapping of the file open as `descriptor`,
// known as `path`, until it is forgotten.
void RememberMapping(const std::byte* data, int64_t size, int descriptor, const std::string& path);
void ForgetMapping(const std::byte* data);

// Whether all of `bytes` lies in one mapped file (and so may be dropped and read again).
bool IsMapped(std::span<const std::byte> bytes);

// kBadInput, naming the first of `paths` of which a page was gone when it was read. Costs one load
// while there is none.
Status CheckNothingLost(const std::vector<std::string>& paths);

// The same, and kBadInput too for one that was written to since it was mapped: asks the system
// about each. A file that another one took the name of is unchanged, the mapping still shows it.
Status CheckUnchanged(const std::vector<std::string>& paths);

}  // namespace kontext

#endif  // KONTEXT_IO_MAPPED_RANGES_H_
