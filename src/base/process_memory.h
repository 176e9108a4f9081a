// How much memory this process holds, and how much it may have.
#ifndef KONTEXT_BASE_PROCESS_MEMORY_H_
#define KONTEXT_BASE_PROCESS_MEMORY_H_

#include <cstdint>
#include <string>

namespace kontext {

struct ProcessMemory {
  int64_t anonymous = 0;  // bytes that only swap could free (RssAnon)
  int64_t mapped = 0;     // bytes of files, which the system may drop and read again (RssFile)
  int64_t pinned = 0;     // bytes locked in memory (VmLck)
};
// Of this process now, from /proc/self/status; zeros where there is none.
ProcessMemory MemoryOfProcess();

// Gives memory that was freed, but kept for later, back to the system, so that the figures above
// mean what they say.
void ReleaseFreedMemory();
// From now on what is freed, a MiB and more at once, goes back by itself. For a process of many
// threads: glibc gives each of several heaps to them, and lets each keep twice the largest block
// that was ever freed, up to 64 MiB.
void BoundFreedMemory();

// Bytes a process in the control groups of `membership` (the text of /proc/PID/cgroup) may still
// take: the least room in any group on the way up, versions 1 and 2 of control groups mounted below
// `mount`. The pages of files that a group holds count as room. INT64_MAX without a limit.
int64_t RoomInControlGroups(const std::string& membership, const std::string& mount);

// What this process may still take: the machine's free memory (files' pages count as free), and the
// room in its control groups.
int64_t AvailableBytes();

}  // namespace kontext

#endif  // KONTEXT_BASE_PROCESS_MEMORY_H_
