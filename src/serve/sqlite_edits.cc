#include "serve/sqlite_edits.h"

#include <cstdlib>

namespace kontext::serve {
namespace {

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Status Hold(sqlite3* db, const std::string& id, const StoredImage& image) {
  KX_RETURN_IF_ERROR(Statement(db, "INSERT OR REPLACE INTO held VALUES (?, ?, ?)")
                         .Bind(id)
                         .Bind(int64_t{image.index})
                         .Bind(image.latents)
                         .Run());
  if (image.latents.empty()) return Status();
  return Statement(db, "INSERT INTO uses VALUES (?, ?)").Bind(id).Bind(image.latents).Run();
}

// They were kept for the edit's project only.
Status ForgetLatents(sqlite3* db, const std::string& id) {
  for (const char* sql :
       {"DELETE FROM uses WHERE edit = ?1 AND hash IN (SELECT latents FROM held WHERE edit = ?1)",
        "DELETE FROM pictures WHERE hash IN (SELECT latents FROM held WHERE edit = ?1) AND NOT "
        "EXISTS (SELECT 1 FROM uses u WHERE u.hash = pictures.hash)",
        "UPDATE held SET latents = '' WHERE edit = ?1"}) {
    KX_RETURN_IF_ERROR(Statement(db, sql).Bind(id).Run());
  }
  return Status();
}

Status ReadImages(sqlite3* db, StoredEdit& e) {
  Statement select(db,
                   "SELECT i.picture, hash, seed, width, height, seconds, h.edit IS NOT NULL, "
                   "latents FROM images i LEFT JOIN held h ON h.edit = i.edit AND h.picture = "
                   "i.picture WHERE i.edit = ? ORDER BY i.picture");
  select.Bind(e.id);
  while (select.Row()) {
    const bool held = select.Int(6) != 0;
    (held ? e.held : e.images)
        .push_back({static_cast<int>(select.Int(0)), select.Text(1),
                    std::strtoull(select.Text(2).c_str(), nullptr, 10),
                    static_cast<int>(select.Int(3)), static_cast<int>(select.Int(4)),
                    select.Real(5), select.Text(7)});
  }
  return select.status();
}

}  // namespace

Status InsertEdit(sqlite3* db, StoredEdit& e) {
  KX_RETURN_IF_ERROR(
      Statement(db,
                "INSERT INTO edits (id, owner, state, created, started, finished, request, "
                "inputs, mask, steps, notes, error_code, error_message, idempotency_key, "
                "body_hash) VALUES (?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
          .Bind(e.id)
          .Bind(e.owner)
          .Bind(e.state)
          .Bind(e.created)
          .Bind(e.finished)
          .Bind(Dump(e.request))
          .Bind(Dump(e.inputs))
          .Bind(e.mask)
          .Bind(int64_t{e.steps})
          .Bind(Dump(e.notes))
          .Bind(e.error_code)
          .Bind(e.error_message)
          .Bind(e.idempotency_key)
          .Bind(e.body_hash)
          .Run());
  e.number = sqlite3_last_insert_rowid(db);
  std::vector<std::string> used = e.inputs;
  if (!e.mask.empty()) used.push_back(e.mask);
  for (const Json& hash : e.request.value("attached", Json::array())) used.push_back(hash);
  for (const std::string& hash : used) {
    KX_RETURN_IF_ERROR(Statement(db, "INSERT INTO uses VALUES (?, ?)").Bind(e.id).Bind(hash).Run());
  }
  return Status();
}

Status UpdateEdit(sqlite3* db, const StoredEdit& e) {
  KX_RETURN_IF_ERROR(Statement(db,
                               "UPDATE edits SET state = ?, started = ?, finished = ?, notes = "
                               "?, error_code = ?, error_message = ? WHERE id = ?")
                         .Bind(e.state)
                         .Bind(e.started)
                         .Bind(e.finished)
                         .Bind(Dump(e.notes))
                         .Bind(e.error_code)
                         .Bind(e.error_message)
                         .Bind(e.id)
                         .Run());
  if (e.finished == 0) return Status();
  return Statement(db, "DELETE FROM checkpoints WHERE edit = ?").Bind(e.id).Run();
}

Status InsertImage(sqlite3* db, const std::string& id, const StoredImage& image, bool held) {
  if (held) KX_RETURN_IF_ERROR(Hold(db, id, image));
  KX_RETURN_IF_ERROR(Statement(db, "INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?, ?, ?)")
                         .Bind(id)
                         .Bind(int64_t{image.index})
                         .Bind(image.hash)
                         .Bind(std::to_string(image.seed))
                         .Bind(int64_t{image.width})
                         .Bind(int64_t{image.height})
                         .Bind(image.seconds)
                         .Run());
  return Statement(db, "INSERT INTO uses VALUES (?, ?)").Bind(id).Bind(image.hash).Run();
}

Status InsertDecision(sqlite3* db, const StoredEdit& e, const Decision& d) {
  KX_RETURN_IF_ERROR(ForgetLatents(db, e.id));
  if (d.approved)
    KX_RETURN_IF_ERROR(Statement(db, "DELETE FROM held WHERE edit = ?").Bind(e.id).Run());
  return Statement(db,
                   "INSERT INTO decisions (edit, owner, approved, reason, reviewer, time) "
                   "VALUES (?, ?, ?, ?, ?, ?)")
      .Bind(e.id)
      .Bind(e.owner)
      .Bind(int64_t{d.approved})
      .Bind(d.reason)
      .Bind(d.reviewer)
      .Bind(d.time)
      .Run();
}

Status DeleteEdit(sqlite3* db, const std::string& id) {
  for (const char* sql :
       {"DELETE FROM pictures WHERE hash IN (SELECT hash FROM uses WHERE edit = ?1) AND NOT "
        "EXISTS (SELECT 1 FROM uses u WHERE u.hash = pictures.hash AND u.edit <> ?1)",
        "DELETE FROM uses WHERE edit = ?1", "DELETE FROM images WHERE edit = ?1",
        "DELETE FROM checkpoints WHERE edit = ?1", "DELETE FROM webhooks WHERE edit = ?1",
        "DELETE FROM held WHERE edit = ?1", "DELETE FROM edits WHERE id = ?1"}) {
    KX_RETURN_IF_ERROR(Statement(db, sql).Bind(id).Run());
  }
  return Status();
}

Result<std::vector<StoredEdit>> ReadEdits(sqlite3* db, Statement& select) {
  std::vector<StoredEdit> edits;
  while (select.Row()) {
    StoredEdit e;
    e.id = select.Text(0);
    e.number = select.Int(1);
    e.owner = select.Text(2);
    e.state = select.Text(3);
    e.created = select.Real(4);
    e.started = select.Real(5);
    e.finished = select.Real(6);
    KX_ASSIGN_OR_RETURN(e.request, ParseJson(select.Text(7), "the store's request"));
    KX_ASSIGN_OR_RETURN(const Json inputs, ParseJson(select.Text(8), "the store's inputs"));
    e.inputs = inputs.get<std::vector<std::string>>();
    e.mask = select.Text(9);
    e.steps = static_cast<int>(select.Int(10));
    KX_ASSIGN_OR_RETURN(e.notes, ParseJson(select.Text(11), "the store's notes"));
    e.error_code = select.Text(12);
    e.error_message = select.Text(13);
    e.idempotency_key = select.Text(14);
    e.body_hash = select.Text(15);
    KX_RETURN_IF_ERROR(ReadImages(db, e));
    edits.push_back(std::move(e));
  }
  KX_RETURN_IF_ERROR(select.status());
  return edits;
}

}  // namespace kontext::serve
