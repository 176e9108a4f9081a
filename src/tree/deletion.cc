#include "tree/deletion.h"

namespace kontext {
namespace {

Status AllowDeletions(const Database& db) {
  KX_ASSIGN_OR_RETURN(const bool has, HasDeletions(db));
  if (has) return Status();
  return db.Execute("ALTER TABLE turns ADD COLUMN deleted INTEGER; PRAGMA user_version = 2;");
}

}  // namespace

Result<bool> HasDeletions(const Database& db) {
  KX_ASSIGN_OR_RETURN(const int64_t version, db.Number("PRAGMA user_version"));
  return version >= 2;
}

// UNION, not UNION ALL: even a file whose parents form a ring comes to an end.
Result<int64_t> HideBranch(const Database& db, int64_t id) {
  KX_ASSIGN_OR_RETURN(Transaction t, Transaction::Begin(db));
  KX_RETURN_IF_ERROR(AllowDeletions(db));
  KX_ASSIGN_OR_RETURN(const int64_t deletion,
                      db.Number("SELECT coalesce(max(deleted), 0) + 1 FROM turns"));
  Statement s = db.Prepare(
      "WITH RECURSIVE branch(id) AS (VALUES(?1) UNION "
      "SELECT turns.id FROM turns JOIN branch ON turns.parent = branch.id) "
      "UPDATE turns SET deleted = ?2 WHERE deleted IS NULL AND id IN branch");
  KX_RETURN_IF_ERROR(s.Bind(1, id).Bind(2, deletion).Run());
  KX_RETURN_IF_ERROR(t.Commit());
  return deletion;
}

Status HideWithParent(const Database& db, int64_t id, int64_t parent) {
  KX_ASSIGN_OR_RETURN(const bool has, HasDeletions(db));
  if (!has) return Status();
  Statement s = db.Prepare(
      "UPDATE turns SET deleted = (SELECT deleted FROM turns WHERE id = "
      "?2) WHERE id = ?1");
  return s.Bind(1, id).Bind(2, parent).Run();
}

Status ShowBranch(const Database& db, int64_t deletion) {
  KX_ASSIGN_OR_RETURN(Transaction t, Transaction::Begin(db));
  KX_RETURN_IF_ERROR(AllowDeletions(db));
  Statement any = db.Prepare("SELECT 1 FROM turns WHERE deleted = ?");
  KX_ASSIGN_OR_RETURN(const bool found, any.Bind(1, deletion).Step());
  if (!found) return Usage("{}: has no deletion {}", db.name(), deletion);
  Statement s = db.Prepare(
      "WITH RECURSIVE back(id, parent) AS (SELECT id, parent FROM turns WHERE deleted = "
      "?1 UNION SELECT turns.id, turns.parent FROM turns JOIN back ON turns.id = "
      "back.parent) UPDATE turns SET deleted = NULL WHERE id IN (SELECT id FROM back)");
  KX_RETURN_IF_ERROR(s.Bind(1, deletion).Run());
  return t.Commit();
}

Status RemoveHidden(const Database& db) {
  KX_ASSIGN_OR_RETURN(const bool has, HasDeletions(db));
  if (!has) return Status();
  {
    KX_ASSIGN_OR_RETURN(Transaction t, Transaction::Begin(db));
    // A recipe names its inputs by their sums.
    KX_RETURN_IF_ERROR(
        db.Execute("DELETE FROM turns WHERE deleted IS NOT NULL; DELETE FROM inputs WHERE NOT "
                   "EXISTS (SELECT 1 FROM turns WHERE instr(recipe, inputs.pixels_sha256) > 0);"));
    KX_RETURN_IF_ERROR(t.Commit());
  }
  return db.Execute("VACUUM");
}

}  // namespace kontext
