#include "io/mapped_ranges.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstddef>
#include <mutex>

namespace kontext {
namespace {

// A mapping. Nodes are never freed, only used again, so that the handler may walk the list at any
// moment without a lock; `path` is never touched by the handler.
struct Node {
  std::atomic<uintptr_t> begin = 0;  // 0: free
  std::atomic<uintptr_t> end = 0;
  std::atomic<bool> changed = false;
  std::string path;
  struct stat mapped {};  // of the file, when it was mapped
  Node* next = nullptr;
};

std::atomic<Node*> first_node = nullptr;
std::atomic<bool> any_changed = false;
std::mutex mutex;  // of everything but the handler
struct sigaction previous {};
uintptr_t page_bytes = 0;

Node* Find(uintptr_t address) {
  for (Node* node = first_node.load(); node != nullptr; node = node->next) {
    const uintptr_t begin = node->begin.load();
    if (begin != 0 && begin <= address && address < node->end.load()) return node;
  }
  return nullptr;
}

// Calls async-signal-safe functions only: mmap and sigaction are system calls and nothing else.
void OnBusError(int signal, siginfo_t* info, void* context) {
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  Node* node = Find(address);
  if (node != nullptr) {
    void* page = static_cast<std::byte*>(info->si_addr) - address % page_bytes;
    if (mmap(page, page_bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page) {
      node->changed.store(true);
      any_changed.store(true);
      return;
    }
  }
  if ((previous.sa_flags & SA_SIGINFO) != 0 && previous.sa_sigaction != nullptr) {
    return previous.sa_sigaction(signal, info, context);
  }
  if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
    return previous.sa_handler(signal);
  }
  sigaction(SIGBUS, &previous, nullptr);  // the access is repeated, and ends as it would have
}

void InstallHandlerOnce() {
  if (page_bytes != 0) return;
  page_bytes = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  struct sigaction action {};
  action.sa_sigaction = OnBusError;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, &previous);
}

Node* FreeNode() {
  for (Node* node = first_node.load(); node != nullptr; node = node->next) {
    if (node->begin.load() == 0) return node;
  }
  Node* node = new Node;
  node->next = first_node.load();
  first_node.store(node);
  return node;
}

constexpr const char* kWhatToDo =
    "put the whole file back and open the model again (replace weights by renaming, never in "
    "place)";

bool IsOneOf(const Node& node, const std::vector<std::string>& paths) {
  return node.begin.load() != 0 && std::find(paths.begin(), paths.end(), node.path) != paths.end();
}

bool WasWrittenTo(const Node& node) {
  struct stat now {};
  if (stat(node.path.c_str(), &now) != 0) return false;  // deleted: its bytes last while mapped
  const struct stat& then = node.mapped;
  if (now.st_dev != then.st_dev || now.st_ino != then.st_ino) return false;
  return now.st_size != then.st_size || now.st_mtim.tv_sec != then.st_mtim.tv_sec ||
         now.st_mtim.tv_nsec != then.st_mtim.tv_nsec;
}

}  // namespace

void RememberMapping(const std::byte* data, int64_t size, int descriptor, const std::string& path) {
  const std::lock_guard lock(mutex);
  InstallHandlerOnce();
  Node* node = FreeNode();
  const auto begin = reinterpret_cast<uintptr_t>(data);
  // A mapping ends with a whole page.
  const uintptr_t end = (begin + static_cast<uintptr_t>(size) + page_bytes - 1) / page_bytes;
  node->path = path;
  if (fstat(descriptor, &node->mapped) != 0) node->mapped = {};  // no file has inode 0
  node->changed = false;
  node->end = end * page_bytes;
  node->begin = begin;
}

void ForgetMapping(const std::byte* data) {
  const std::lock_guard lock(mutex);
  Node* node = Find(reinterpret_cast<uintptr_t>(data));
  if (node != nullptr) node->begin = 0;
}

bool IsMapped(std::span<const std::byte> bytes) {
  const auto begin = reinterpret_cast<uintptr_t>(bytes.data());
  const Node* node = Find(begin);
  return node != nullptr && begin + bytes.size() <= node->end.load();
}

Status CheckNothingLost(const std::vector<std::string>& paths) {
  if (!any_changed.load()) return Status();
  const std::lock_guard lock(mutex);
  for (const Node* node = first_node.load(); node != nullptr; node = node->next) {
    if (!IsOneOf(*node, paths) || !node->changed.load()) continue;
    return BadInput(
        "{}: the file changed while it was in use: it is shorter than when it was opened; {}",
        node->path, kWhatToDo);
  }
  return Status();
}

Status CheckUnchanged(const std::vector<std::string>& paths) {
  KX_RETURN_IF_ERROR(CheckNothingLost(paths));
  const std::lock_guard lock(mutex);
  for (const Node* node = first_node.load(); node != nullptr; node = node->next) {
    if (!IsOneOf(*node, paths) || !WasWrittenTo(*node)) continue;
    return BadInput(
        "{}: the file changed while it was in use: it was written to after it was opened; {}",
        node->path, kWhatToDo);
  }
  return Status();
}

}  // namespace kontext
