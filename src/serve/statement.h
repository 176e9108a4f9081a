// Statement: one SQL command with its values, as C++ likes it.
#ifndef KONTEXT_SERVE_STATEMENT_H_
#define KONTEXT_SERVE_STATEMENT_H_

#include <sqlite3.h>

#include <cstdint>
#include <string>

#include "base/status.h"

namespace kontext::serve {

class Statement {
 public:
  Statement(sqlite3* db, const char* sql) : db_(db) {
    failed_ = sqlite3_prepare_v2(db, sql, -1, &statement_, nullptr) != SQLITE_OK;
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  Statement& Bind(int64_t value) {
    if (!failed_) sqlite3_bind_int64(statement_, ++bound_, value);
    return *this;
  }
  Statement& Bind(double value) {
    if (!failed_) sqlite3_bind_double(statement_, ++bound_, value);
    return *this;
  }
  Statement& Bind(const std::string& value) {
    if (!failed_)
      sqlite3_bind_text64(statement_, ++bound_, value.data(), value.size(), SQLITE_TRANSIENT,
                          SQLITE_UTF8);
    return *this;
  }
  Statement& BindBlob(const void* data, size_t size) {
    if (!failed_) sqlite3_bind_blob64(statement_, ++bound_, data, size, SQLITE_TRANSIENT);
    return *this;
  }

  // True while there is a row; false at the end and after an error, which status() tells.
  bool Row() {
    if (failed_) return false;
    const int code = sqlite3_step(statement_);
    failed_ = code != SQLITE_ROW && code != SQLITE_DONE;
    return code == SQLITE_ROW;
  }
  Status Run() {
    while (Row()) {
    }
    return status();
  }
  Status status() const {
    if (!failed_) return Status();
    const int code = sqlite3_errcode(db_);
    if (code == SQLITE_FULL) return NoSpace("the store: {}", sqlite3_errmsg(db_));
    return Internal("the store: {}", sqlite3_errmsg(db_));
  }

  int64_t Int(int column) { return sqlite3_column_int64(statement_, column); }
  double Real(int column) { return sqlite3_column_double(statement_, column); }
  std::string Text(int column) {
    const auto* data = static_cast<const char*>(sqlite3_column_blob(statement_, column));
    const auto size = static_cast<size_t>(sqlite3_column_bytes(statement_, column));
    return data == nullptr ? std::string() : std::string(data, size);
  }

 private:
  sqlite3* db_;
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
  bool failed_ = false;
};

}  // namespace kontext::serve

#endif  // KONTEXT_SERVE_STATEMENT_H_
