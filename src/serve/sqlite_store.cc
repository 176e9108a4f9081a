// Store over SQLite: write-ahead log, synced at every commit, pictures inside by their hash.
#include <cstring>
#include <filesystem>
#include <mutex>

#include "serve/sqlite_edits.h"

namespace kontext::serve {
namespace {

constexpr const char* kSchema = R"sql(
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  PRAGMA busy_timeout = 10000;
  CREATE TABLE IF NOT EXISTS pictures (hash TEXT PRIMARY KEY, bytes BLOB NOT NULL);
  CREATE TABLE IF NOT EXISTS edits (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, owner TEXT NOT NULL,
    state TEXT NOT NULL, created REAL, started REAL, finished REAL, request TEXT NOT NULL,
    inputs TEXT NOT NULL, mask TEXT NOT NULL, steps INTEGER, notes TEXT, error_code TEXT,
    error_message TEXT, idempotency_key TEXT, body_hash TEXT);
  CREATE INDEX IF NOT EXISTS edits_by_state ON edits (state);
  CREATE INDEX IF NOT EXISTS edits_by_owner ON edits (owner, idempotency_key);
  CREATE TABLE IF NOT EXISTS images (
    edit TEXT NOT NULL, picture INTEGER NOT NULL, hash TEXT NOT NULL, seed TEXT NOT NULL,
    width INTEGER, height INTEGER, seconds REAL, PRIMARY KEY (edit, picture));
  CREATE TABLE IF NOT EXISTS checkpoints (
    edit TEXT PRIMARY KEY, picture INTEGER, step INTEGER, latents BLOB);
  CREATE TABLE IF NOT EXISTS uses (edit TEXT NOT NULL, hash TEXT NOT NULL);
  CREATE INDEX IF NOT EXISTS uses_by_hash ON uses (hash);
  CREATE INDEX IF NOT EXISTS uses_by_edit ON uses (edit);
  CREATE TABLE IF NOT EXISTS webhooks (
    edit TEXT PRIMARY KEY, url TEXT NOT NULL, secret TEXT NOT NULL, base TEXT NOT NULL,
    attempts INTEGER NOT NULL, next REAL NOT NULL);
  CREATE TABLE IF NOT EXISTS held (
    edit TEXT NOT NULL, picture INTEGER NOT NULL, latents TEXT NOT NULL,
    PRIMARY KEY (edit, picture));
  CREATE TABLE IF NOT EXISTS decisions (
    number INTEGER PRIMARY KEY AUTOINCREMENT, edit TEXT NOT NULL, owner TEXT NOT NULL,
    approved INTEGER NOT NULL, reason TEXT NOT NULL, reviewer TEXT NOT NULL, time REAL NOT NULL);
)sql";

class SqliteStore : public Store {
 public:
  explicit SqliteStore(sqlite3* db) : db_(db) {}
  ~SqliteStore() override { sqlite3_close(db_); }
  SqliteStore(const SqliteStore&) = delete;
  SqliteStore& operator=(const SqliteStore&) = delete;

  Status Execute(const char* sql) {
    char* message = nullptr;
    if (sqlite3_exec(db_, sql, nullptr, nullptr, &message) == SQLITE_OK) return Status();
    const std::string text = message == nullptr ? "" : message;
    sqlite3_free(message);
    return Internal("the store: {}", text);
  }

  Result<std::string> PutPicture(const std::string& bytes) override {
    const std::lock_guard lock(mutex_);
    const std::string hash = HashOf(bytes);
    if (hash.empty()) return Internal("this OpenSSL has no SHA-256");
    KX_RETURN_IF_ERROR(Statement(db_, "INSERT OR IGNORE INTO pictures VALUES (?, ?)")
                           .Bind(hash)
                           .BindBlob(bytes.data(), bytes.size())
                           .Run());
    return hash;
  }

  Result<std::string> GetPicture(const std::string& hash) override {
    const std::lock_guard lock(mutex_);
    Statement select(db_, "SELECT bytes FROM pictures WHERE hash = ?");
    if (select.Bind(hash).Row()) return select.Text(0);
    KX_RETURN_IF_ERROR(select.status());
    return BadInput("the store has no picture {}", hash);
  }

  Status Add(StoredEdit& e) override {
    const std::lock_guard lock(mutex_);
    return InTransaction([&] { return InsertEdit(db_, e); });
  }

  Status AddWithWebhook(StoredEdit& e, const Webhook& webhook) override {
    const std::lock_guard lock(mutex_);
    return InTransaction([&] {
      KX_RETURN_IF_ERROR(InsertEdit(db_, e));
      return Statement(db_, "INSERT INTO webhooks VALUES (?, ?, ?, ?, 0, 0)")
          .Bind(e.id)
          .Bind(webhook.url)
          .Bind(webhook.secret)
          .Bind(webhook.base)
          .Run();
    });
  }

  Result<std::vector<Webhook>> DueWebhooks(double now) override {
    const std::lock_guard lock(mutex_);
    Statement select(db_,
                     "SELECT edit, url, secret, base, attempts, next FROM webhooks JOIN edits ON "
                     "edits.id = edit WHERE finished > 0 AND next <= ? ORDER BY next LIMIT 16");
    select.Bind(now);
    std::vector<Webhook> due;
    while (select.Row())
      due.push_back({select.Text(0), select.Text(1), select.Text(2), select.Text(3),
                     static_cast<int>(select.Int(4)), select.Real(5)});
    KX_RETURN_IF_ERROR(select.status());
    return due;
  }

  Status UpdateWebhook(const Webhook& webhook) override {
    const std::lock_guard lock(mutex_);
    return Statement(db_, "UPDATE webhooks SET attempts = ?, next = ? WHERE edit = ?")
        .Bind(int64_t{webhook.attempts})
        .Bind(webhook.next)
        .Bind(webhook.edit)
        .Run();
  }

  Status ForgetWebhook(const std::string& edit) override {
    const std::lock_guard lock(mutex_);
    return Statement(db_, "DELETE FROM webhooks WHERE edit = ?").Bind(edit).Run();
  }

  Result<std::optional<StoredEdit>> Get(const std::string& id) override {
    const std::lock_guard lock(mutex_);
    Statement select(db_, (std::string(kEditColumns) + "WHERE id = ?").c_str());
    return One(select.Bind(id));
  }

  Result<std::optional<StoredEdit>> FindIdempotent(const std::string& owner,
                                                   const std::string& key) override {
    const std::lock_guard lock(mutex_);
    Statement select(
        db_, (std::string(kEditColumns) + "WHERE owner = ? AND idempotency_key = ?").c_str());
    return One(select.Bind(owner).Bind(key));
  }

  Result<std::vector<StoredEdit>> List(const std::string& owner, int64_t before,
                                       int limit) override {
    const std::lock_guard lock(mutex_);
    Statement select(db_, (std::string(kEditColumns) +
                           "WHERE owner = ? AND (? = 0 OR number < ?) ORDER BY number DESC LIMIT ?")
                              .c_str());
    return ReadEdits(db_, select.Bind(owner).Bind(before).Bind(before).Bind(int64_t{limit}));
  }

  Result<std::vector<StoredEdit>> Waiting() override {
    const std::lock_guard lock(mutex_);
    // ROW_NUMBER is its owner's turn; equal turns go to who was served longest ago, then to who
    // came first.
    Statement select(db_,
                     (std::string(kEditColumns) +
                      "WHERE state = 'queued' ORDER BY started = 0, "
                      "ROW_NUMBER() OVER (PARTITION BY owner ORDER BY number), "
                      "(SELECT MAX(o.started) FROM edits o WHERE o.owner = edits.owner), number")
                         .c_str());
    return ReadEdits(db_, select);
  }

  Status Update(const StoredEdit& e) override {
    const std::lock_guard lock(mutex_);
    return InTransaction([&] { return UpdateEdit(db_, e); });
  }

  Status Forget(const std::string& id) override {
    const std::lock_guard lock(mutex_);
    return InTransaction([&] { return DeleteEdit(db_, id); });
  }

  Status AddImage(const std::string& id, const StoredImage& image, bool held) override {
    const std::lock_guard lock(mutex_);
    return InTransaction([&] {
      KX_RETURN_IF_ERROR(InsertImage(db_, id, image, held));
      return PutCheckpoint(id, {image.index + 1, 0, {}});
    });
  }

  Status SaveCheckpoint(const std::string& id, const ResumePoint& checkpoint) override {
    const std::lock_guard lock(mutex_);
    return PutCheckpoint(id, checkpoint);
  }

  Result<std::optional<ResumePoint>> LoadCheckpoint(const std::string& id) override {
    const std::lock_guard lock(mutex_);
    Statement select(db_, "SELECT picture, step, latents FROM checkpoints WHERE edit = ?");
    if (!select.Bind(id).Row()) {
      KX_RETURN_IF_ERROR(select.status());
      return std::optional<ResumePoint>();
    }
    ResumePoint c{static_cast<int>(select.Int(0)), static_cast<int>(select.Int(1)), {}};
    const std::string bytes = select.Text(2);
    c.latents.resize(bytes.size() / sizeof(float));
    if (!bytes.empty())
      std::memcpy(c.latents.data(), bytes.data(), c.latents.size() * sizeof(float));
    return std::optional<ResumePoint>(std::move(c));
  }

  Result<std::vector<StoredEdit>> InReview(int64_t after, int limit) override {
    const std::lock_guard lock(mutex_);
    Statement select(db_, (std::string(kEditColumns) +
                           "WHERE state = 'review' AND number > ? ORDER BY number LIMIT ?")
                              .c_str());
    return ReadEdits(db_, select.Bind(after).Bind(int64_t{limit}));
  }

  Status Decide(const StoredEdit& e, const Decision& d) override {
    const std::lock_guard lock(mutex_);
    return InTransaction([&] {
      KX_RETURN_IF_ERROR(UpdateEdit(db_, e));
      return InsertDecision(db_, e, d);
    });
  }

  Result<std::vector<Decision>> Decisions(int64_t before, int limit) override {
    const std::lock_guard lock(mutex_);
    Statement select(db_,
                     "SELECT number, edit, owner, approved, reason, reviewer, time FROM decisions "
                     "WHERE ? = 0 OR number < ? ORDER BY number DESC LIMIT ?");
    select.Bind(before).Bind(before).Bind(int64_t{limit});
    std::vector<Decision> decisions;
    while (select.Row())
      decisions.push_back({select.Int(0), select.Text(1), select.Text(2), select.Int(3) != 0,
                           select.Text(4), select.Text(5), select.Real(6)});
    KX_RETURN_IF_ERROR(select.status());
    return decisions;
  }

  Status Requeue() override {
    const std::lock_guard lock(mutex_);
    return Execute("UPDATE edits SET state = 'queued' WHERE state = 'running'");
  }

  Status Trim(int64_t bytes) override {
    const std::lock_guard lock(mutex_);
    while (true) {
      Statement sum(db_, "SELECT COALESCE(SUM(LENGTH(bytes)), 0) FROM pictures");
      if (!sum.Row()) return sum.status();
      if (sum.Int(0) <= bytes) return Status();
      Statement oldest(db_, "SELECT id FROM edits WHERE finished > 0 ORDER BY finished LIMIT 1");
      if (!oldest.Row()) return oldest.status();
      const std::string id = oldest.Text(0);
      KX_RETURN_IF_ERROR(InTransaction([&] { return DeleteEdit(db_, id); }));
    }
  }

 private:
  Result<std::optional<StoredEdit>> One(Statement& select) {
    KX_ASSIGN_OR_RETURN(std::vector<StoredEdit> found, ReadEdits(db_, select));
    if (found.empty()) return std::optional<StoredEdit>();
    return std::optional<StoredEdit>(std::move(found.front()));
  }

  template <class F>
  Status InTransaction(const F& work) {
    KX_RETURN_IF_ERROR(Execute("BEGIN IMMEDIATE"));
    Status status = work();
    if (status.ok()) status = Execute("COMMIT");
    if (!status.ok()) sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
    return status;
  }

  Status PutCheckpoint(const std::string& id, const ResumePoint& c) {
    return Statement(db_, "INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?, ?)")
        .Bind(id)
        .Bind(int64_t{c.picture})
        .Bind(int64_t{c.step})
        .BindBlob(c.latents.data(), c.latents.size() * sizeof(float))
        .Run();
  }

  std::mutex mutex_;
  sqlite3* db_;
};

}  // namespace

Result<std::unique_ptr<Store>> OpenSqliteStore(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return BadInput("{}: {}", folder, error.message());
  std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
  const std::string path = folder + "/edits.sqlite";
  sqlite3* db = nullptr;
  const int code = sqlite3_open(path.c_str(), &db);
  auto store = std::make_unique<SqliteStore>(db);
  if (code != SQLITE_OK) return BadInput("{}: {}", path, sqlite3_errmsg(db));
  KX_RETURN_IF_ERROR(store->Execute(kSchema));
  return std::unique_ptr<Store>(std::move(store));
}

}  // namespace kontext::serve
