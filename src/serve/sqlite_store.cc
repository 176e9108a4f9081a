// Store over SQLite: write-ahead log, synced at every commit, pictures inside by their hash.
#include <cstring>
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
  CREATE TABLE IF NOT EXISTS engine (name TEXT NOT NULL);  -- that made the checkpoints
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

constexpr const char* kPictureBytes = "SELECT COALESCE(SUM(LENGTH(bytes)), 0) FROM pictures";

class SqliteStore : public Store {
 public:
  explicit SqliteStore(std::unique_ptr<Database> db) : db_(std::move(db)) {}

  Result<std::string> GetPicture(const std::string& hash) override {
    const std::lock_guard lock(mutex_);
    Statement select = db_->Prepare("SELECT bytes FROM pictures WHERE hash = ?");
    KX_ASSIGN_OR_RETURN(const bool row, select.Bind(1, hash).Step());
    if (row) return select.Bytes(0);
    return BadInput("the store has no picture {}", hash);
  }

  Status Add(StoredEdit& e, const std::vector<NewPicture>& pictures,
             const std::optional<Webhook>& webhook) override {
    const std::lock_guard lock(mutex_);
    return InTransaction([&]() -> Status {
      KX_RETURN_IF_ERROR(InsertPictures(*db_, pictures));
      KX_RETURN_IF_ERROR(InsertEdit(*db_, e));
      if (!webhook) return Status();
      return db_->Prepare("INSERT INTO webhooks VALUES (?, ?, ?, ?, 0, 0)")
          .Bind(1, e.id)
          .Bind(2, webhook->url)
          .Bind(3, webhook->secret)
          .Bind(4, webhook->base)
          .Run();
    });
  }

  Result<std::vector<Webhook>> DueWebhooks(double now) override {
    const std::lock_guard lock(mutex_);
    Statement select = db_->Prepare(
        "SELECT edit, url, secret, base, attempts, next FROM webhooks JOIN edits ON "
        "edits.id = edit WHERE finished > 0 AND next <= ? ORDER BY next LIMIT 16");
    select.Bind(1, now);
    std::vector<Webhook> due;
    while (true) {
      KX_ASSIGN_OR_RETURN(const bool row, select.Step());
      if (!row) return due;
      due.push_back({select.Bytes(0), select.Bytes(1), select.Bytes(2), select.Bytes(3),
                     static_cast<int>(select.Int(4)), select.Real(5)});
    }
  }

  Status UpdateWebhook(const Webhook& webhook) override {
    const std::lock_guard lock(mutex_);
    return db_->Prepare("UPDATE webhooks SET attempts = ?, next = ? WHERE edit = ?")
        .Bind(1, int64_t{webhook.attempts})
        .Bind(2, webhook.next)
        .Bind(3, webhook.edit)
        .Run();
  }

  Status ForgetWebhook(const std::string& edit) override {
    const std::lock_guard lock(mutex_);
    return db_->Prepare("DELETE FROM webhooks WHERE edit = ?").Bind(1, edit).Run();
  }

  Result<std::optional<StoredEdit>> Get(const std::string& id) override {
    const std::lock_guard lock(mutex_);
    Statement select = db_->Prepare((std::string(kEditColumns) + "WHERE id = ?"));
    return One(select.Bind(1, id));
  }

  Result<std::optional<StoredEdit>> FindIdempotent(const std::string& owner,
                                                   const std::string& key) override {
    const std::lock_guard lock(mutex_);
    Statement select =
        db_->Prepare((std::string(kEditColumns) + "WHERE owner = ? AND idempotency_key = ?"));
    return One(select.Bind(1, owner).Bind(2, key));
  }

  Result<std::vector<StoredEdit>> List(const std::string& owner, int64_t before,
                                       int limit) override {
    const std::lock_guard lock(mutex_);
    Statement select =
        db_->Prepare((std::string(kEditColumns) +
                      "WHERE owner = ? AND (? = 0 OR number < ?) ORDER BY number DESC LIMIT ?"));
    return ReadEdits(*db_,
                     select.Bind(1, owner).Bind(2, before).Bind(3, before).Bind(4, int64_t{limit}));
  }

  Result<std::vector<StoredEdit>> Waiting() override {
    const std::lock_guard lock(mutex_);
    // ROW_NUMBER is its owner's turn; equal turns go to who was served longest ago, then to who
    // came first.
    Statement select =
        db_->Prepare((std::string(kEditColumns) +
                      "WHERE state = 'queued' ORDER BY started = 0, "
                      "ROW_NUMBER() OVER (PARTITION BY owner ORDER BY number), "
                      "(SELECT MAX(o.started) FROM edits o WHERE o.owner = edits.owner), number"));
    return ReadEdits(*db_, select);
  }

  Status Update(const StoredEdit& e) override {
    const std::lock_guard lock(mutex_);
    return InTransaction([&] { return UpdateEdit(*db_, e); });
  }

  Status Forget(const std::string& id) override {
    const std::lock_guard lock(mutex_);
    return InTransaction([&] { return DeleteEdit(*db_, id); });
  }

  Status AddImage(const std::string& id, const StoredImage& image,
                  const std::vector<NewPicture>& pictures, bool held) override {
    const std::lock_guard lock(mutex_);
    return InTransaction([&] {
      KX_RETURN_IF_ERROR(InsertPictures(*db_, pictures));
      KX_RETURN_IF_ERROR(InsertImage(*db_, id, image, held));
      return PutCheckpoint(id, {image.index + 1, 0, {}});
    });
  }

  Status SaveCheckpoint(const std::string& id, const ResumePoint& checkpoint) override {
    const std::lock_guard lock(mutex_);
    return PutCheckpoint(id, checkpoint);
  }

  Result<std::optional<ResumePoint>> LoadCheckpoint(const std::string& id) override {
    const std::lock_guard lock(mutex_);
    Statement select =
        db_->Prepare("SELECT picture, step, latents FROM checkpoints WHERE edit = ?");
    KX_ASSIGN_OR_RETURN(const bool row, select.Bind(1, id).Step());
    if (!row) return std::optional<ResumePoint>();
    ResumePoint c{static_cast<int>(select.Int(0)), static_cast<int>(select.Int(1)), {}};
    const std::string bytes = select.Bytes(2);
    c.latents.resize(bytes.size() / sizeof(float));
    if (!bytes.empty())
      std::memcpy(c.latents.data(), bytes.data(), c.latents.size() * sizeof(float));
    return std::optional<ResumePoint>(std::move(c));
  }

  Result<std::vector<StoredEdit>> InReview(int64_t after, int limit) override {
    const std::lock_guard lock(mutex_);
    Statement select =
        db_->Prepare((std::string(kEditColumns) +
                      "WHERE state = 'review' AND number > ? ORDER BY number LIMIT ?"));
    return ReadEdits(*db_, select.Bind(1, after).Bind(2, int64_t{limit}));
  }

  Status Decide(const StoredEdit& e, const Decision& d) override {
    const std::lock_guard lock(mutex_);
    return InTransaction([&] {
      KX_RETURN_IF_ERROR(UpdateEdit(*db_, e));
      return InsertDecision(*db_, e, d);
    });
  }

  Result<std::vector<Decision>> Decisions(int64_t before, int limit) override {
    const std::lock_guard lock(mutex_);
    Statement select = db_->Prepare(
        "SELECT number, edit, owner, approved, reason, reviewer, time FROM decisions "
        "WHERE ? = 0 OR number < ? ORDER BY number DESC LIMIT ?");
    select.Bind(1, before).Bind(2, before).Bind(3, int64_t{limit});
    std::vector<Decision> decisions;
    while (true) {
      KX_ASSIGN_OR_RETURN(const bool row, select.Step());
      if (!row) return decisions;
      decisions.push_back({select.Int(0), select.Bytes(1), select.Bytes(2), select.Int(3) != 0,
                           select.Bytes(4), select.Bytes(5), select.Real(6)});
    }
  }

  Status Requeue(const std::string& engine) override {
    const std::lock_guard lock(mutex_);
    return InTransaction([&]() -> Status {
      KX_RETURN_IF_ERROR(db_->Execute("UPDATE edits SET state = 'queued' WHERE state = 'running'"));
      KX_RETURN_IF_ERROR(db_->Prepare("UPDATE checkpoints SET step = 0, latents = x'' WHERE NOT "
                                      "EXISTS (SELECT 1 FROM engine WHERE name = ?)")
                             .Bind(1, engine)
                             .Run());
      KX_RETURN_IF_ERROR(db_->Execute("DELETE FROM engine"));
      return db_->Prepare("INSERT INTO engine VALUES (?)").Bind(1, engine).Run();
    });
  }

  Result<int64_t> PictureBytes() override {
    const std::lock_guard lock(mutex_);
    return db_->Number(kPictureBytes);
  }

  Status Trim(int64_t bytes) override {
    return ForgetOldest(bytes, nullptr, kPictureBytes,
                        "SELECT id FROM edits WHERE finished > 0 ORDER BY finished LIMIT 1");
  }

  Status TrimOwner(const std::string& owner, int64_t bytes) override {
    return ForgetOldest(
        bytes, &owner,
        "SELECT COALESCE(SUM(LENGTH(bytes)), 0) FROM pictures WHERE hash IN "
        "(SELECT hash FROM uses WHERE edit IN (SELECT id FROM edits WHERE owner = ?))",
        "SELECT id FROM edits WHERE owner = ? AND finished > 0 ORDER BY finished LIMIT 1");
  }

 private:
  // Until what `sum` counts is at most `bytes`: forgets the edit that `oldest` finds.
  Status ForgetOldest(int64_t bytes, const std::string* owner, const char* sum,
                      const char* oldest) {
    const std::lock_guard lock(mutex_);
    while (true) {
      Statement held = db_->Prepare(sum), first = db_->Prepare(oldest);
      if (owner != nullptr) {
        held.Bind(1, *owner);
        first.Bind(1, *owner);
      }
      KX_ASSIGN_OR_RETURN(const bool counted, held.Step());
      KX_ENSURE(counted);
      if (held.Int(0) <= bytes) return Status();
      KX_ASSIGN_OR_RETURN(const bool row, first.Step());
      if (!row) return Status();
      const std::string id = first.Bytes(0);
      KX_RETURN_IF_ERROR(InTransaction([&] { return DeleteEdit(*db_, id); }));
    }
  }

  Result<std::optional<StoredEdit>> One(Statement& select) {
    KX_ASSIGN_OR_RETURN(std::vector<StoredEdit> found, ReadEdits(*db_, select));
    if (found.empty()) return std::optional<StoredEdit>();
    return std::optional<StoredEdit>(std::move(found.front()));
  }

  template <class F>
  Status InTransaction(const F& work) {
    KX_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*db_));
    KX_RETURN_IF_ERROR(work());
    return transaction.Commit();
  }

  Status PutCheckpoint(const std::string& id, const ResumePoint& c) {
    return db_->Prepare("INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?, ?)")
        .Bind(1, id)
        .Bind(2, int64_t{c.picture})
        .Bind(3, int64_t{c.step})
        .BindBlob(
            4, {reinterpret_cast<const char*>(c.latents.data()), c.latents.size() * sizeof(float)})
        .Run();
  }

  std::mutex mutex_;
  const std::unique_ptr<Database> db_;
};

}  // namespace

Result<std::unique_ptr<Store>> OpenSqliteStore(const std::string& folder) {
  KX_ASSIGN_OR_RETURN(std::unique_ptr<Database> db,
                      Database::Open(folder + "/edits.sqlite", true, "the store"));
  KX_RETURN_IF_ERROR(db->Execute(kSchema));
  return std::unique_ptr<Store>(std::make_unique<SqliteStore>(std::move(db)));
}

}  // namespace kontext::serve
