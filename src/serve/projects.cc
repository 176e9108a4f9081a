#include "serve/projects.h"

#include <algorithm>
#include <chrono>

#include "base/cut_text.h"
#include "base/status.h"
#include "io/atomic_file.h"

namespace kontext::serve {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostName = 160;  // bytes; a file name has 255
constexpr const char* kEnding = ".kontext";
constexpr const char* kDeleted = ".deleted";
constexpr size_t kIdDigits = 12;

// What may stand in a file's name: no separators, no control characters, no dot in front.
std::string AsFileName(const std::string& name) {
  std::string out;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 || byte == 0x7f || c == '/' || c == '\\' ? ' ' : c;
  }
  const size_t first = out.find_first_not_of(" ."), last = out.find_last_not_of(' ');
  if (first == std::string::npos) return "Untitled";
  return CutText(out.substr(first, last - first + 1), kMostName);
}

// NAME.ID.kontext; nothing if the file is named otherwise.
std::optional<ProjectInfo> Parse(const fs::path& path) {
  std::string file = path.filename().string();
  ProjectInfo info;
  info.path = path;
  const auto strip = [&](std::string_view ending) {
    const bool there = file.ends_with(ending);
    if (there) file.resize(file.size() - ending.size());
    return there;
  };
  info.deleted = strip(kDeleted);
  if (!strip(kEnding) || file.size() < kIdDigits + 2) return std::nullopt;
  info.id = file.substr(file.size() - kIdDigits);
  info.name = file.substr(0, file.size() - kIdDigits - 1);
  const bool hex = info.id.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!hex || file[info.name.size()] != '.') return std::nullopt;
  std::error_code error;
  const auto time = fs::last_write_time(path, error);
  if (error) return std::nullopt;
  const auto system = std::chrono::file_clock::to_sys(time);
  info.changed = std::chrono::duration<double>(system.time_since_epoch()).count();
  return info;
}

Status Move(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error) return BadInput("{}: {}", from.string(), error.message());
  SyncFolderOf(to.string());
  return Status();
}

}  // namespace

fs::path Projects::FolderOf(const std::string& owner) const {
  return folder_ / (owner.empty() ? "local" : owner);
}

std::vector<ProjectInfo> Projects::All(const std::string& owner) const {
  std::vector<ProjectInfo> all;
  std::error_code error;
  for (fs::directory_iterator it(FolderOf(owner), error), end; !error && it != end;
       it.increment(error)) {
    if (auto info = Parse(it->path())) all.push_back(std::move(*info));
  }
  return all;
}

Result<ProjectInfo> Projects::Find(const std::string& owner, const std::string& id,
                                   bool deleted_too) const {
  for (ProjectInfo& info : All(owner)) {
    if (info.id == id && (deleted_too || !info.deleted)) return std::move(info);
  }
  return Usage("there is no project {}", CutText(id, 40));
}

Result<std::vector<ProjectInfo>> Projects::List(const std::string& owner) {
  const std::lock_guard lock(mutex_);
  std::vector<ProjectInfo> all = All(owner);
  std::erase_if(all, [](const ProjectInfo& info) { return info.deleted; });
  std::sort(all.begin(), all.end(),
            [](const ProjectInfo& a, const ProjectInfo& b) { return a.changed > b.changed; });
  return all;
}

Result<Projects::Opened> Projects::Open(const std::string& owner, const std::string& id,
                                        bool deleted_too) {
  std::unique_lock lock(mutex_);
  KX_ASSIGN_OR_RETURN(ProjectInfo info, Find(owner, id, deleted_too));
  KX_ASSIGN_OR_RETURN(Tree tree, Tree::Open(info.path.string()));
  return Opened{std::move(lock), std::move(info), std::move(tree)};
}

Result<ProjectInfo> Projects::Create(const std::string& owner, const std::string& name) {
  const std::lock_guard lock(mutex_);
  std::error_code error;
  fs::create_directories(FolderOf(owner), error);
  if (error) return BadInput("{}: {}", FolderOf(owner).string(), error.message());
  const std::string id = RandomHex(kIdDigits);
  const fs::path path = FolderOf(owner) / (AsFileName(name) + "." + id + kEnding);
  KX_RETURN_IF_ERROR(Tree::OpenOrCreate(path.string()).status());
  return Find(owner, id, false);
}

Result<ProjectInfo> Projects::Adopt(const std::string& owner, const std::string& name,
                                    const std::string& bytes) {
  const std::lock_guard lock(mutex_);
  std::error_code error;
  fs::create_directories(FolderOf(owner), error);
  const std::string id = RandomHex(kIdDigits);
  const fs::path begun = FolderOf(owner) / (id + ".begun");
  const auto check = [&]() -> Status {
    KX_RETURN_IF_ERROR(WriteFileAtomically(begun.string(), bytes));
    KX_ASSIGN_OR_RETURN(const Tree tree, Tree::Open(begun.string()));
    KX_ASSIGN_OR_RETURN(const std::vector<Turn> turns, tree.Turns());
    for (const Turn& turn : turns) KX_RETURN_IF_ERROR(tree.Load(turn.id).status());
    return Status();
  };
  Status status = check();
  if (status.ok()) status = Move(begun, FolderOf(owner) / (AsFileName(name) + "." + id + kEnding));
  if (!status.ok()) {
    fs::remove(begun, error);
    return status;
  }
  return Find(owner, id, false);
}

Status Projects::Rename(const std::string& owner, const std::string& id, const std::string& name) {
  const std::lock_guard lock(mutex_);
  KX_ASSIGN_OR_RETURN(const ProjectInfo info, Find(owner, id, false));
  return Move(info.path, info.path.parent_path() / (AsFileName(name) + "." + id + kEnding));
}

Status Projects::SetDeleted(const std::string& owner, const std::string& id, bool deleted) {
  const std::lock_guard lock(mutex_);
  KX_ASSIGN_OR_RETURN(const ProjectInfo info, Find(owner, id, !deleted));
  const fs::path shown = info.path.parent_path() / (info.name + "." + id + kEnding);
  return Move(info.path, deleted ? shown.string() + kDeleted : shown.string());
}

Result<fs::path> Projects::Snapshot(const std::string& owner, const std::string& id) {
  KX_ASSIGN_OR_RETURN(const Opened opened, Open(owner, id));
  KX_RETURN_IF_ERROR(opened.tree.Turns().status());  // takes back what a crash left half written
  const fs::path copy = FolderOf(owner) / (RandomHex(kIdDigits) + ".copy");
  std::error_code error;
  fs::copy_file(opened.info.path, copy, error);
  if (error) return NoSpace("{}: {}", copy.string(), error.message());
  return copy;
}

Status Projects::Begin(const StoredEdit& edit, EditRequest& request) {
  if (!edit.request.contains("turn")) return Status();
  KX_ASSIGN_OR_RETURN(const Opened opened,
                      Open(edit.owner, edit.request.value("project", ""), true));
  const bool latents = !edit.request.value("from_pixels", false);
  KX_ASSIGN_OR_RETURN(EditRequest from,
                      opened.tree.Continue(edit.request["turn"].get<int64_t>(), latents));
  request.images.insert(request.images.begin(), std::move(from.images.front()));
  request.latents = std::move(from.latents);
  return Status();
}

Status Projects::Keep(const StoredEdit& edit, const EditRequest& request, const Edited& edited) {
  if (!edit.request.contains("project")) return Status();
  KX_ASSIGN_OR_RETURN(Opened opened, Open(edit.owner, edit.request.value("project", ""), true));
  const int64_t parent = edit.request.value("turn", int64_t{0});
  // After a crash between here and the store the same picture comes again.
  KX_ASSIGN_OR_RETURN(const std::string sum, PixelsSha256(edited.picture));
  for (const auto& turns : {opened.tree.Turns(), opened.tree.Deleted()}) {
    KX_RETURN_IF_ERROR(turns.status());
    for (const Turn& t : *turns) {
      if (t.parent == parent && t.pixels_sha256 == sum && t.recipe == edited.recipe)
        return Status();
    }
  }
  const std::string name = CutText(request.prompt.empty() ? "edit" : request.prompt, 200);
  if (parent == 0) return opened.tree.AddRoot(name, edited.picture, edited.recipe).status();
  return opened.tree.AddEdit(parent, name, request, edited).status();
}

}  // namespace kontext::serve
