#include "base/build_id.h"

#include <fmt/format.h>
#include <link.h>

#include <cstdint>
#include <cstring>

#include "base/version.h"

namespace kontext {
namespace {

constexpr uint32_t kGnuBuildId = 3;  // elf.h NT_GNU_BUILD_ID

size_t Padded(size_t bytes) { return (bytes + 3) / 4 * 4; }

// The build id among the notes at `at`: each a header, a padded name and a padded content.
std::string FromNotes(const unsigned char* at, size_t left) {
  ElfW(Nhdr) note{};
  while (left >= sizeof(note)) {
    std::memcpy(&note, at, sizeof(note));
    const size_t name = Padded(note.n_namesz), content = Padded(note.n_descsz);
    const size_t size = sizeof(note) + name + content;
    if (size > left) return "";
    const unsigned char* text = at + sizeof(note);
    if (note.n_type == kGnuBuildId && note.n_namesz == 4 && std::memcmp(text, "GNU", 4) == 0) {
      std::string id;
      for (size_t i = 0; i < note.n_descsz; ++i) id += fmt::format("{:02x}", text[name + i]);
      return id;
    }
    at += size;
    left -= size;
  }
  return "";
}

// For dl_iterate_phdr: of the object that holds this function, its notes.
int FindOwn(dl_phdr_info* object, size_t, void* id) {
  const auto here = reinterpret_cast<ElfW(Addr)>(&FindOwn);
  bool own = false;
  for (ElfW(Half) i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)& part = object->dlpi_phdr[i];
    const ElfW(Addr) begin = object->dlpi_addr + part.p_vaddr;
    own = own || (part.p_type == PT_LOAD && here >= begin && here - begin < part.p_memsz);
  }
  if (!own) return 0;
  auto* out = static_cast<std::string*>(id);
  for (ElfW(Half) i = 0; i < object->dlpi_phnum && out->empty(); ++i) {
    const ElfW(Phdr)& part = object->dlpi_phdr[i];
    if (part.p_type != PT_NOTE) continue;
    *out = FromNotes(reinterpret_cast<const unsigned char*>(object->dlpi_addr + part.p_vaddr),
                     part.p_memsz);
  }
  return 1;
}

}  // namespace

std::string BuildId() {
  std::string id;
  dl_iterate_phdr(FindOwn, &id);
  return id.empty() ? kVersion : id;
}

}  // namespace kontext
