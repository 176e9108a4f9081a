// Edits as rows: what SqliteStore does within its lock and its transactions.
#ifndef KONTEXT_SERVE_SQLITE_EDITS_H_
#define KONTEXT_SERVE_SQLITE_EDITS_H_

#include "io/database.h"
#include "serve/store.h"

namespace kontext::serve {

// A SELECT of edits begins with it.
inline constexpr const char* kEditColumns =
    "SELECT id, number, owner, state, created, started, finished, request, inputs, mask, steps, "
    "notes, error_code, error_message, idempotency_key, body_hash FROM edits ";

Status InsertPictures(const Database& db, const std::vector<NewPicture>& pictures);
Status InsertEdit(const Database& db, StoredEdit& edit);  // fills in `number`
// State, times, notes, error; of an ended edit the checkpoint goes.
Status UpdateEdit(const Database& db, const StoredEdit& edit);
Status DeleteEdit(const Database& db, const std::string& id);  // and what only it uses
Status InsertImage(const Database& db, const std::string& id, const StoredImage& image, bool held);
// Of an edit that was decided on: its pictures' latents go, and it is free if it was approved.
Status InsertDecision(const Database& db, const StoredEdit& edit, const Decision& decision);
// Of a SELECT that begins with kEditColumns.
Result<std::vector<StoredEdit>> ReadEdits(const Database& db, Statement& select);

}  // namespace kontext::serve

#endif  // KONTEXT_SERVE_SQLITE_EDITS_H_
