// Projects: the trees of edits that the studio works on, one .kontext file each (docs/tree.md).
#ifndef KONTEXT_SERVE_PROJECTS_H_
#define KONTEXT_SERVE_PROJECTS_H_

#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

#include "kontext/tree.h"
#include "serve/store.h"

namespace kontext::serve {

struct ProjectInfo {
  std::string id;
  std::string name;
  double changed = 0;  // seconds since 1970
  bool deleted = false;
  std::filesystem::path
      path;  // FOLDER/OWNER/NAME.ID.kontext; of a deleted one with .deleted behind
};

class Projects {
 public:
  explicit Projects(const std::string& folder) : folder_(folder + "/projects") {}

  // A project's tree, which no other thread has while this one does: its file may be renamed.
  struct Opened {
    std::unique_lock<std::mutex> lock;
    ProjectInfo info;
    Tree tree;
  };
  // By owner: the hash of a key, or empty. Last changed first, without deleted ones.
  Result<std::vector<ProjectInfo>> List(const std::string& owner);
  // kUsage if there is none of that id.
  Result<Opened> Open(const std::string& owner, const std::string& id, bool deleted_too = false);
  Result<ProjectInfo> Create(const std::string& owner, const std::string& name);
  // A project file from elsewhere, all of it checked.
  Result<ProjectInfo> Adopt(const std::string& owner, const std::string& name,
                            const std::string& bytes);
  Status Rename(const std::string& owner, const std::string& id, const std::string& name);
  // Hides it, or shows it again. Edits that are under way still find it.
  Status SetDeleted(const std::string& owner, const std::string& id, bool deleted);
  // A copy of the file at one moment; the caller removes it.
  Result<std::filesystem::path> Snapshot(const std::string& owner, const std::string& id);

  // For the queue: puts the turn that the edit goes on from before its references; and keeps a
  // finished picture as a turn, once.
  Status Begin(const StoredEdit& edit, EditRequest& request);
  Status Keep(const StoredEdit& edit, const EditRequest& request, const Edited& edited);

 private:
  std::filesystem::path FolderOf(const std::string& owner) const;
  Result<ProjectInfo> Find(const std::string& owner, const std::string& id, bool deleted_too) const;
  std::vector<ProjectInfo> All(const std::string& owner) const;

  std::filesystem::path folder_;
  std::mutex mutex_;
};

}  // namespace kontext::serve

#endif  // KONTEXT_SERVE_PROJECTS_H_
