// SQLite: statements that bind, step and read, errors that name the file.
#ifndef KONTEXT_IO_DATABASE_H_
#define KONTEXT_IO_DATABASE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

struct sqlite3;
struct sqlite3_stmt;

namespace kontext {

class Database;

// One prepared statement. Numbers of parameters begin at 1, of columns at 0. What went wrong in
// preparing or binding is told by Step() and Run().
class Statement {
 public:
  Statement& Bind(int at, int64_t value);
  Statement& Bind(int at, double value);
  Statement& Bind(int at, std::string_view text);
  Statement& BindBlob(int at, std::string_view bytes);
  Result<bool> Step();  // to the next row; false after the last
  Status Run();         // a statement that gives no rows

  bool IsNull(int column) const;
  int64_t Int(int column) const;
  double Real(int column) const;
  std::string Bytes(int column) const;  // of a text or a blob

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* s) const;
  };
  explicit Statement(const Database* db, sqlite3_stmt* s) : db_(db), stmt_(s) {}
  Statement& Checked(int code);
  const Database* db_;
  std::unique_ptr<sqlite3_stmt, Finalize> stmt_;
  Status failed_;  // the first failure to prepare or to bind
};

class Database {
 public:
  // An existing file; or with `create` one that may not exist yet. `name` is for messages, where
  // its path is nothing to tell.
  static Result<std::unique_ptr<Database>> Open(const std::string& path, bool create,
                                                const std::string& name = "");

  Statement Prepare(const std::string& sql) const;
  Status Execute(const char* sql) const;          // several statements, without parameters
  Result<int64_t> Number(const char* sql) const;  // the first column of the first row
  int64_t LastId() const;
  const std::string& name() const { return name_; }
  // What SQLite says went wrong, as kBadInput or kNoSpace naming the file.
  Status Failed(int code) const;

 private:
  struct Close {
    void operator()(sqlite3* db) const;
  };
  std::string name_;
  std::unique_ptr<sqlite3, Close> db_;
};

// BEGIN IMMEDIATE; what is not committed is rolled back.
class Transaction {
 public:
  static Result<Transaction> Begin(const Database& db);
  Transaction(Transaction&& other) noexcept : db_(other.db_) { other.db_ = nullptr; }
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();
  Status Commit();

 private:
  explicit Transaction(const Database* db) : db_(db) {}
  const Database* db_;
};

}  // namespace kontext

#endif  // KONTEXT_IO_DATABASE_H_
