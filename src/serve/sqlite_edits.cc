#include "serve/sqlite_edits.h"

#include <cstdlib>

namespace kontext::serve {
namespace {

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Status Hold(const Database& db, const std::string& id, const StoredImage& image) {
  KX_RETURN_IF_ERROR(db.Prepare("INSERT OR REPLACE INTO held VALUES (?, ?, ?)")
                         .Bind(1, id)
                         .Bind(2, int64_t{image.index})
                         .Bind(3, image.latents)
                         .Run());
  if (image.latents.empty()) return Status();
  return db.Prepare("INSERT INTO uses VALUES (?, ?)").Bind(1, id).Bind(2, image.latents).Run();
}

// They were kept for the edit's project only.
Status ForgetLatents(const Database& db, const std::string& id) {
  for (const char* sql :
       {"DELETE FROM uses WHERE edit = ?1 AND hash IN (SELECT latents FROM held WHERE edit = ?1)",
        "DELETE FROM pictures WHERE hash IN (SELECT latents FROM held WHERE edit = ?1) AND NOT "
        "EXISTS (SELECT 1 FROM uses u WHERE u.hash = pictures.hash)",
        "UPDATE held SET latents = '' WHERE edit = ?1"}) {
    KX_RETURN_IF_ERROR(db.Prepare(sql).Bind(1, id).Run());
  }
  return Status();
}

Result<std::vector<std::string>> Hashes(const std::string& text) {
  KX_ASSIGN_OR_RETURN(const Json list, ParseJson(text, "the store's inputs"));
  std::vector<std::string> hashes;
  for (const Json& hash : list) {
    if (!hash.is_string()) return BadInput("the store's inputs are damaged");
    hashes.push_back(hash);
  }
  return hashes;
}

Status ReadImages(const Database& db, StoredEdit& e) {
  Statement select = db.Prepare(
      "SELECT i.picture, hash, seed, width, height, seconds, h.edit IS NOT NULL, "
      "latents FROM images i LEFT JOIN held h ON h.edit = i.edit AND h.picture = "
      "i.picture WHERE i.edit = ? ORDER BY i.picture");
  select.Bind(1, e.id);
  while (true) {
    KX_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return Status();
    const bool held = select.Int(6) != 0;
    (held ? e.held : e.images)
        .push_back({static_cast<int>(select.Int(0)), select.Bytes(1),
                    std::strtoull(select.Bytes(2).c_str(), nullptr, 10),
                    static_cast<int>(select.Int(3)), static_cast<int>(select.Int(4)),
                    select.Real(5), select.Bytes(7)});
  }
}

}  // namespace

Status InsertPictures(const Database& db, const std::vector<NewPicture>& pictures) {
  for (const NewPicture& picture : pictures) {
    if (picture.hash.empty()) return Internal("this OpenSSL has no SHA-256");
    KX_RETURN_IF_ERROR(db.Prepare("INSERT OR IGNORE INTO pictures VALUES (?, ?)")
                           .Bind(1, picture.hash)
                           .BindBlob(2, picture.bytes)
                           .Run());
  }
  return Status();
}

Status InsertEdit(const Database& db, StoredEdit& e) {
  KX_RETURN_IF_ERROR(
      db.Prepare("INSERT INTO edits (id, owner, state, created, started, finished, request, "
                 "inputs, mask, steps, notes, error_code, error_message, idempotency_key, "
                 "body_hash) VALUES (?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
          .Bind(1, e.id)
          .Bind(2, e.owner)
          .Bind(3, e.state)
          .Bind(4, e.created)
          .Bind(5, e.finished)
          .Bind(6, Dump(e.request))
          .Bind(7, Dump(e.inputs))
          .Bind(8, e.mask)
          .Bind(9, int64_t{e.steps})
          .Bind(10, Dump(e.notes))
          .Bind(11, e.error_code)
          .Bind(12, e.error_message)
          .Bind(13, e.idempotency_key)
          .Bind(14, e.body_hash)
          .Run());
  e.number = db.LastId();
  std::vector<std::string> used = e.inputs;
  if (!e.mask.empty()) used.push_back(e.mask);
  for (const Json& hash : e.request.value("attached", Json::array())) used.push_back(hash);
  for (const std::string& hash : used) {
    KX_RETURN_IF_ERROR(
        db.Prepare("INSERT INTO uses VALUES (?, ?)").Bind(1, e.id).Bind(2, hash).Run());
  }
  return Status();
}

Status UpdateEdit(const Database& db, const StoredEdit& e) {
  KX_RETURN_IF_ERROR(db.Prepare("UPDATE edits SET state = ?, started = ?, finished = ?, notes = "
                                "?, error_code = ?, error_message = ? WHERE id = ?")
                         .Bind(1, e.state)
                         .Bind(2, e.started)
                         .Bind(3, e.finished)
                         .Bind(4, Dump(e.notes))
                         .Bind(5, e.error_code)
                         .Bind(6, e.error_message)
                         .Bind(7, e.id)
                         .Run());
  if (e.finished == 0) return Status();
  return db.Prepare("DELETE FROM checkpoints WHERE edit = ?").Bind(1, e.id).Run();
}

Status InsertImage(const Database& db, const std::string& id, const StoredImage& image, bool held) {
  if (held) KX_RETURN_IF_ERROR(Hold(db, id, image));
  KX_RETURN_IF_ERROR(db.Prepare("INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?, ?, ?)")
                         .Bind(1, id)
                         .Bind(2, int64_t{image.index})
                         .Bind(3, image.hash)
                         .Bind(4, std::to_string(image.seed))
                         .Bind(5, int64_t{image.width})
                         .Bind(6, int64_t{image.height})
                         .Bind(7, image.seconds)
                         .Run());
  return db.Prepare("INSERT INTO uses VALUES (?, ?)").Bind(1, id).Bind(2, image.hash).Run();
}

Status InsertDecision(const Database& db, const StoredEdit& e, const Decision& d) {
  KX_RETURN_IF_ERROR(ForgetLatents(db, e.id));
  if (d.approved)
    KX_RETURN_IF_ERROR(db.Prepare("DELETE FROM held WHERE edit = ?").Bind(1, e.id).Run());
  return db
      .Prepare(
          "INSERT INTO decisions (edit, owner, approved, reason, reviewer, time) "
          "VALUES (?, ?, ?, ?, ?, ?)")
      .Bind(1, e.id)
      .Bind(2, e.owner)
      .Bind(3, int64_t{d.approved})
      .Bind(4, d.reason)
      .Bind(5, d.reviewer)
      .Bind(6, d.time)
      .Run();
}

Status DeleteEdit(const Database& db, const std::string& id) {
  for (const char* sql :
       {"DELETE FROM pictures WHERE hash IN (SELECT hash FROM uses WHERE edit = ?1) AND NOT "
        "EXISTS (SELECT 1 FROM uses u WHERE u.hash = pictures.hash AND u.edit <> ?1)",
        "DELETE FROM uses WHERE edit = ?1", "DELETE FROM images WHERE edit = ?1",
        "DELETE FROM checkpoints WHERE edit = ?1", "DELETE FROM webhooks WHERE edit = ?1",
        "DELETE FROM held WHERE edit = ?1", "DELETE FROM edits WHERE id = ?1"}) {
    KX_RETURN_IF_ERROR(db.Prepare(sql).Bind(1, id).Run());
  }
  return Status();
}

Result<std::vector<StoredEdit>> ReadEdits(const Database& db, Statement& select) {
  std::vector<StoredEdit> edits;
  while (true) {
    KX_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return edits;
    StoredEdit e;
    e.id = select.Bytes(0);
    e.number = select.Int(1);
    e.owner = select.Bytes(2);
    e.state = select.Bytes(3);
    e.created = select.Real(4);
    e.started = select.Real(5);
    e.finished = select.Real(6);
    KX_ASSIGN_OR_RETURN(e.request, ParseJson(select.Bytes(7), "the store's request"));
    if (!e.request.is_object()) return BadInput("the store's request is damaged");
    KX_ASSIGN_OR_RETURN(e.inputs, Hashes(select.Bytes(8)));
    e.mask = select.Bytes(9);
    e.steps = static_cast<int>(select.Int(10));
    KX_ASSIGN_OR_RETURN(e.notes, ParseJson(select.Bytes(11), "the store's notes"));
    e.error_code = select.Bytes(12);
    e.error_message = select.Bytes(13);
    e.idempotency_key = select.Bytes(14);
    e.body_hash = select.Bytes(15);
    KX_RETURN_IF_ERROR(ReadImages(db, e));
    edits.push_back(std::move(e));
  }
}

}  // namespace kontext::serve
