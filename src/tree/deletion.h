// Turns that are hidden, brought back, or removed: statements over the table of a tree.
#ifndef KONTEXT_TREE_DELETION_H_
#define KONTEXT_TREE_DELETION_H_

#include "io/database.h"

namespace kontext {

// Whether the file's tables know of deletions: version 2. A file becomes one with its first, so
// that until then the programs before can read it.
Result<bool> HasDeletions(const Database& db);

// Hides turn `id` and all that follow from it; the deletion's number.
Result<int64_t> HideBranch(const Database& db, int64_t id);
// Inside the caller's transaction: hides `id` too if its parent is hidden.
Status HideWithParent(const Database& db, int64_t id, int64_t parent);
// Shows what that deletion hid, and the turns it follows from.
Status ShowBranch(const Database& db, int64_t deletion);
// Removes hidden turns and the inputs that only they used, and gives the space back.
Status RemoveHidden(const Database& db);

}  // namespace kontext

#endif  // KONTEXT_TREE_DELETION_H_
