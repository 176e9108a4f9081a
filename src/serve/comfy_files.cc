// ComfyUI's folders: input, temp and output of each key. Uploads are files; the pictures of edits
// are the store's, under names that lead back to them.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <mutex>

#include "base/status.h"
#include "io/atomic_file.h"
#include "serve/comfy.h"

namespace kontext::serve {
namespace {

namespace fs = std::filesystem;
constexpr int kMostCopies = 1000;  // "name (999).png"
std::mutex writing;                // one upload at a time: names are chosen and room is made

// Of one folder or file: not hidden, no way up, no control characters.
bool IsSafePart(const std::string& part) {
  if (part.empty() || part.front() == '.' || part.size() > 200) return false;
  return std::all_of(part.begin(), part.end(), [](char c) {
    return static_cast<unsigned char>(c) >= 32 && c != '/' && c != '\\' && c != 127;
  });
}

Result<std::string> Slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (!in.good() && !in.eof()) return BadInput("there is no such file");
  if (bytes.empty()) return BadInput("there is no such file");
  return bytes;
}

std::vector<fs::directory_entry> FilesBelow(const fs::path& folder) {
  std::vector<fs::directory_entry> files;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    if (it->is_regular_file(error)) files.push_back(*it);
  }
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) {
    std::error_code ignored;
    return a.last_write_time(ignored) > b.last_write_time(ignored);
  });
  return files;
}

}  // namespace

ComfyName ComfyFiles::Parse(const std::string& text, const std::string& type) {
  ComfyName name{text, "", type};
  for (const char* known : {"input", "output", "temp"}) {
    const std::string mark = fmt::format(" [{}]", known);
    if (!name.file.ends_with(mark)) continue;
    name.type = known;
    name.file.resize(name.file.size() - mark.size());
    break;
  }
  if (const size_t slash = name.file.rfind('/'); slash != std::string::npos) {
    name.subfolder = name.file.substr(0, slash);
    name.file.erase(0, slash + 1);
  }
  return name;
}

bool ComfyFiles::IsSafe(const ComfyName& name) {
  if (name.type != "input" && name.type != "output" && name.type != "temp") return false;
  if (!IsSafePart(name.file) || name.subfolder.size() > 500) return false;
  if (name.subfolder.empty()) return true;
  for (size_t from = 0; from <= name.subfolder.size();) {
    const size_t to = std::min(name.subfolder.find('/', from), name.subfolder.size());
    if (!IsSafePart(name.subfolder.substr(from, to - from))) return false;
    from = to + 1;
  }
  return true;
}

std::string ComfyFiles::Folder(const std::string& type) const {
  return queue_.options().folder + "/comfyui/" + (owner_.empty() ? "local" : owner_.substr(0, 32)) +
         "/" + type;
}

Result<std::string> ComfyFiles::Read(const ComfyName& name) {
  if (!IsSafe(name)) return BadInput("there is no such file");
  if (name.type != "input") {
    auto result = ComfyResult(queue_.store(), owner_, name);
    if (result.ok()) return result;
  }
  return Slurp(fs::path(Folder(name.type)) / name.subfolder / name.file);
}

// Uploads are bounded as the pictures of edits are: the oldest go first.
Status ComfyFiles::MakeRoom(int64_t bytes) {
  std::error_code error;
  auto files = FilesBelow(fs::path(Folder("input")).parent_path());
  int64_t held = bytes;
  for (const auto& file : files) {
    held += static_cast<int64_t>(file.file_size(error));
    if (held > queue_.options().keep_bytes) fs::remove(file.path(), error);
  }
  return error ? BadInput("an old upload cannot be removed: {}", error.message()) : Status();
}

Result<ComfyName> ComfyFiles::Write(ComfyName name, const std::string& bytes, bool overwrite) {
  if (!IsSafe(name)) return BadInput("the name leads out of its folder, or is none");
  const std::lock_guard lock(writing);
  KX_RETURN_IF_ERROR(MakeRoom(std::ssize(bytes)));
  const fs::path folder = fs::path(Folder(name.type)) / name.subfolder;
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return BadInput("the folder cannot be made: {}", error.message());
  const std::string asked = name.file;
  const size_t dot = std::min(asked.rfind('.'), asked.size());
  for (int copy = 1; !overwrite && fs::exists(folder / name.file, error); ++copy) {
    const auto held = Slurp(folder / name.file);
    if (held.ok() && *held == bytes) return name;
    if (copy == kMostCopies) return BadInput("{} files have this name", kMostCopies);
    name.file = fmt::format("{} ({}){}", asked.substr(0, dot), copy, asked.substr(dot));
  }
  if (!WriteFileAtomically((folder / name.file).string(), bytes).ok())
    return NoSpace("{}: the file cannot be written", name.file);
  return name;
}

Json ComfyFiles::List() {
  const fs::path folder = Folder("input");
  Json names = Json::array();
  for (const auto& file : FilesBelow(folder)) {
    if (names.size() < 1000) names.push_back(file.path().lexically_relative(folder).string());
  }
  return names;
}

}  // namespace kontext::serve
