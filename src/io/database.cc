#include "io/database.h"

#include <sqlite3.h>

namespace kontext {

void Statement::Finalize::operator()(sqlite3_stmt* s) const { sqlite3_finalize(s); }
void Database::Close::operator()(sqlite3* db) const { sqlite3_close_v2(db); }

Statement& Statement::Checked(int code) {
  if (failed_.ok() && code != SQLITE_OK) failed_ = db_->Failed(code);
  return *this;
}

// SQLite answers SQLITE_MISUSE where there is no statement, and the first failure is kept.
Statement& Statement::Bind(int at, int64_t value) {
  return Checked(sqlite3_bind_int64(stmt_.get(), at, value));
}
Statement& Statement::Bind(int at, double value) {
  return Checked(sqlite3_bind_double(stmt_.get(), at, value));
}
Statement& Statement::Bind(int at, std::string_view text) {
  return Checked(sqlite3_bind_text64(stmt_.get(), at, text.data(), text.size(), SQLITE_TRANSIENT,
                                     SQLITE_UTF8));
}
Statement& Statement::BindBlob(int at, std::string_view bytes) {
  return Checked(
      sqlite3_bind_blob64(stmt_.get(), at, bytes.data(), bytes.size(), SQLITE_TRANSIENT));
}

Result<bool> Statement::Step() {
  KX_RETURN_IF_ERROR(failed_);
  const int code = sqlite3_step(stmt_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return db_->Failed(code);
}

Status Statement::Run() {
  KX_ASSIGN_OR_RETURN(const bool row, Step());
  return row ? Internal("{}: a statement gave rows", db_->name()) : Status();
}

bool Statement::IsNull(int column) const {
  return sqlite3_column_type(stmt_.get(), column) == SQLITE_NULL;
}
int64_t Statement::Int(int column) const { return sqlite3_column_int64(stmt_.get(), column); }
double Statement::Real(int column) const { return sqlite3_column_double(stmt_.get(), column); }
std::string Statement::Bytes(int column) const {
  const void* bytes = sqlite3_column_blob(stmt_.get(), column);
  const int size = sqlite3_column_bytes(stmt_.get(), column);
  return bytes == nullptr ? std::string()
                          : std::string(static_cast<const char*>(bytes), static_cast<size_t>(size));
}

Result<std::unique_ptr<Database>> Database::Open(const std::string& path, bool create,
                                                 const std::string& name) {
  auto out = std::make_unique<Database>();
  out->name_ = name.empty() ? path : name;
  sqlite3* db = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | (create ? SQLITE_OPEN_CREATE : 0);
  const int code = sqlite3_open_v2(path.c_str(), &db, flags, nullptr);
  out->db_.reset(db);
  if (code != SQLITE_OK) return out->Failed(code);
  sqlite3_busy_timeout(db, 5000);  // ms: another program writes
  // A file may be hostile: its schema runs no functions, and what it says of itself is checked.
  sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  KX_RETURN_IF_ERROR(out->Execute("PRAGMA foreign_keys = ON; PRAGMA cell_size_check = ON;"));
  return out;
}

Statement Database::Prepare(const std::string& sql) const {
  sqlite3_stmt* s = nullptr;
  const int code = sqlite3_prepare_v2(db_.get(), sql.c_str(), -1, &s, nullptr);
  Statement statement(this, s);
  statement.Checked(code);
  return statement;
}

Status Database::Execute(const char* sql) const {
  const int code = sqlite3_exec(db_.get(), sql, nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? Status() : Failed(code);
}

Result<int64_t> Database::Number(const char* sql) const {
  Statement s = Prepare(sql);
  KX_ASSIGN_OR_RETURN(const bool row, s.Step());
  return row ? s.Int(0) : 0;
}

int64_t Database::LastId() const { return sqlite3_last_insert_rowid(db_.get()); }

Status Database::Failed(int code) const {
  const std::string said = db_ ? sqlite3_errmsg(db_.get()) : sqlite3_errstr(code);
  switch (code & 0xff) {
    case SQLITE_FULL:
      return NoSpace("{}: the disk is full", name_);
    case SQLITE_NOMEM:
      return NoSpace("{}: not enough memory", name_);
    case SQLITE_IOERR:  // of a disk that is full too, if its log or index cannot grow
      return NoSpace("{}: the disk takes or gives nothing: {}", name_, said);
    case SQLITE_BUSY:
      return NoSpace("{}: another program holds it", name_);
    case SQLITE_NOTADB:
      return BadInput("{}: is no SQLite file", name_);
    case SQLITE_CORRUPT:
      return BadInput("{}: the file is damaged: {}", name_, said);
    default:
      return BadInput("{}: {}", name_, said);
  }
}

Result<Transaction> Transaction::Begin(const Database& db) {
  KX_RETURN_IF_ERROR(db.Execute("BEGIN IMMEDIATE"));
  return Transaction(&db);
}

Transaction::~Transaction() {
  if (db_ != nullptr) (void)db_->Execute("ROLLBACK");
}

Status Transaction::Commit() {
  KX_RETURN_IF_ERROR(db_->Execute("COMMIT"));
  db_ = nullptr;
  return Status();
}

}  // namespace kontext
