// kontext/tree.h over SQLite: two tables, every picture a PNG, every sum checked.
#include "kontext/tree.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <exception>
#include <limits>

#include "base/cut_text.h"
#include "base/status.h"
#include "io/database.h"
#include "tree/deletion.h"
#include "tree/inputs.h"

namespace kontext {
namespace {

constexpr int64_t kApplication = 0x4B545854;  // "KTXT", in SQLite's header
constexpr int64_t kVersion = 2;               // of the tables; 1 has no column `deleted`
constexpr size_t kMaxName = 1000;             // bytes

// A parent's number is below its children's, so no chain of parents can be a ring.
constexpr char kSchema[] = R"sql(
CREATE TABLE turns(
  id INTEGER PRIMARY KEY AUTOINCREMENT, parent INTEGER REFERENCES turns(id) CHECK(parent < id),
  name TEXT NOT NULL, made TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, recipe TEXT NOT NULL,
  png BLOB NOT NULL, pixels_sha256 TEXT NOT NULL,
  latents BLOB, latents_width INTEGER, latents_height INTEGER, latents_sha256 TEXT,
  edited_png BLOB, drift_share REAL, drift_psnr_db REAL, drift_colour REAL, drift_sharpness REAL);
CREATE TABLE inputs(pixels_sha256 TEXT PRIMARY KEY, png BLOB NOT NULL);
PRAGMA application_id = 0x4B545854;
PRAGMA user_version = 1;
)sql";

constexpr char kColumns[] =
    "SELECT id, parent, name, recipe, pixels_sha256, latents IS NOT NULL, drift_share, "
    "drift_psnr_db, drift_colour, drift_sharpness, ";

// The columns of a turn; a file from before deletions has none.
std::string SelectTurns(bool deletions, const char* where) {
  return std::string(kColumns) + (deletions ? "deleted" : "NULL AS deleted") + " FROM turns " +
         where;
}

Turn ReadTurn(const Statement& s) {
  Turn t;
  t.id = s.Int(0);
  t.parent = s.IsNull(1) ? 0 : s.Int(1);
  t.name = s.Bytes(2);
  t.recipe = s.Bytes(3);
  t.pixels_sha256 = s.Bytes(4);
  t.has_latents = s.Int(5) != 0;
  if (!s.IsNull(6)) {
    t.drift = Drift{s.Real(6), s.Real(7), s.Real(8), s.Real(9)};
  }
  t.deletion = s.IsNull(10) ? 0 : s.Int(10);
  return t;
}

// Latents as bytes, little endian as every machine we run on.
std::string BytesOf(const std::vector<float>& values) {
  std::string bytes(values.size() * sizeof(float), '\0');
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

Result<std::string> LatentsSha256(const Latents& l) {
  const std::string bytes = BytesOf(l.data);
  return PixelsSha256({l.width, l.height, 1, {bytes.begin(), bytes.end()}});
}

template <class F>
auto Guarded(const F& f) -> decltype(f()) {
  try {
    return f();
  } catch (const std::exception& e) {
    return Internal("a library failed: {}", e.what());
  }
}

}  // namespace

struct Tree::Impl {
  std::unique_ptr<Database> db;

  Status CheckHeader(bool create) {
    KX_ASSIGN_OR_RETURN(const int64_t tables, db->Number("SELECT count(*) FROM sqlite_schema"));
    if (tables == 0 && create) {
      KX_ASSIGN_OR_RETURN(Transaction t, Transaction::Begin(*db));
      KX_RETURN_IF_ERROR(db->Execute(kSchema));
      return t.Commit();
    }
    KX_ASSIGN_OR_RETURN(const int64_t application, db->Number("PRAGMA application_id"));
    KX_ASSIGN_OR_RETURN(const int64_t version, db->Number("PRAGMA user_version"));
    if (application != kApplication) {
      return BadInput("{}: is a SQLite file, but no tree of edits", db->name());
    }
    if (version != 1 && version != kVersion) {
      return BadInput(
          "{}: its tables have version {}, this program knows 1 and {}; use the program that "
          "made it",
          db->name(), version, kVersion);
    }
    return Status();
  }

  Result<Turn> Get(int64_t id) const {
    KX_ASSIGN_OR_RETURN(const bool deletions, HasDeletions(*db));
    Statement s = db->Prepare(SelectTurns(deletions, "WHERE id = ?"));
    KX_ASSIGN_OR_RETURN(const bool row, s.Bind(1, id).Step());
    if (!row) return Usage("{}: has no turn {}", db->name(), id);
    return Checked(ReadTurn(s));
  }

  Result<Turn> Checked(Turn turn) const {
    if (turn.parent >= 0 && turn.parent < turn.id) return turn;
    return BadInput("{}: turn {} has the parent {}; expected an earlier turn", db->name(), turn.id,
                    turn.parent);
  }

  Result<std::vector<Turn>> List(bool deletions, const char* where) const {
    Statement s = db->Prepare(SelectTurns(deletions, where));
    std::vector<Turn> turns;
    for (;;) {
      KX_ASSIGN_OR_RETURN(const bool row, s.Step());
      if (!row) return turns;
      KX_ASSIGN_OR_RETURN(Turn turn, Checked(ReadTurn(s)));
      turns.push_back(std::move(turn));
    }
  }

  Result<Edited> Load(int64_t id) const {
    KX_ASSIGN_OR_RETURN(const Turn turn, Get(id));
    Statement s = db->Prepare(
        "SELECT png, latents, latents_width, latents_height, "
        "latents_sha256 FROM turns WHERE id = ?");
    KX_ASSIGN_OR_RETURN(const bool row, s.Bind(1, id).Step());
    KX_ENSURE(row);
    Edited out;
    const std::string what = fmt::format("the picture of turn {}", id);
    KX_ASSIGN_OR_RETURN(out.picture, DecodeUnchanged(*db, s.Bytes(0), what, turn.pixels_sha256));
    out.recipe = turn.recipe;
    if (s.IsNull(1)) return out;
    const std::string bytes = s.Bytes(1);
    const int64_t width = s.Int(2), height = s.Int(3);
    const EditLimits limits;
    if (width < 1 || height < 1 || width > limits.max_side || height > limits.max_side) {
      return BadInput("{}: the latents of turn {} are of {}x{} pixels", db->name(), id, width,
                      height);
    }
    out.latents.width = static_cast<int>(width);
    out.latents.height = static_cast<int>(height);
    out.latents.data.resize(bytes.size() / sizeof(float));
    if (!bytes.empty())
      std::memcpy(out.latents.data.data(), bytes.data(), out.latents.data.size() * sizeof(float));
    KX_ASSIGN_OR_RETURN(const std::string sum, LatentsSha256(out.latents));
    if (sum != s.Bytes(4)) {
      return BadInput("{}: the latents of turn {} do not have their sum: they were changed",
                      db->name(), id);
    }
    return out;
  }

  // All that was edited between the root and turn `id`, and the root's picture.
  struct Way {
    Pixels root;
    Mask edited;
  };
  Result<Way> WayTo(int64_t id) const {
    KX_ASSIGN_OR_RETURN(Edited at, Load(id));
    KX_ASSIGN_OR_RETURN(Turn turn, Get(id));
    Way way{at.picture, {at.picture.width, at.picture.height, {}}};
    way.edited.data.assign(
        static_cast<size_t>(way.edited.width) * static_cast<size_t>(way.edited.height), 0);
    while (turn.parent != 0) {
      Statement s = db->Prepare("SELECT edited_png FROM turns WHERE id = ?");
      KX_ASSIGN_OR_RETURN(const bool row, s.Bind(1, turn.id).Step());
      KX_ENSURE(row);
      KX_ASSIGN_OR_RETURN(
          const LoadedPicture mask,
          DecodePictureBytes(s.Bytes(0),
                             fmt::format("{}: the edited part of turn {}", db->name(), turn.id)));
      Join(AsMask(mask.pixels), way.edited);
      KX_ASSIGN_OR_RETURN(turn, Get(turn.parent));
    }
    KX_ASSIGN_OR_RETURN(Edited root, Load(turn.id));
    way.root = std::move(root.picture);
    return way;
  }

  static void Join(const Mask& more, Mask& mask) {
    const bool same = more.width == mask.width && more.height == mask.height;
    for (size_t i = 0; i < mask.data.size(); ++i) {
      if (!same || more.data[i] != 0) mask.data[i] = 255;
    }
  }
};

Tree::Tree(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tree::~Tree() = default;
Tree::Tree(Tree&&) noexcept = default;
Tree& Tree::operator=(Tree&&) noexcept = default;

Result<Tree> Tree::Open(const std::string& path) {
  return Guarded([&]() -> Result<Tree> {
    auto impl = std::make_unique<Impl>();
    KX_ASSIGN_OR_RETURN(impl->db, Database::Open(path, false));
    KX_RETURN_IF_ERROR(impl->CheckHeader(false));
    return Tree(std::move(impl));
  });
}

Result<Tree> Tree::OpenOrCreate(const std::string& path) {
  return Guarded([&]() -> Result<Tree> {
    auto impl = std::make_unique<Impl>();
    KX_ASSIGN_OR_RETURN(impl->db, Database::Open(path, true));
    KX_RETURN_IF_ERROR(impl->CheckHeader(true));
    return Tree(std::move(impl));
  });
}

Result<std::vector<Turn>> Tree::Turns() const {
  return Guarded([&]() -> Result<std::vector<Turn>> {
    KX_ASSIGN_OR_RETURN(const bool deletions, HasDeletions(*impl_->db));
    return impl_->List(deletions, deletions ? "WHERE deleted IS NULL ORDER BY id" : "ORDER BY id");
  });
}

Result<std::vector<Turn>> Tree::Deleted() const {
  return Guarded([&]() -> Result<std::vector<Turn>> {
    KX_ASSIGN_OR_RETURN(const bool deletions, HasDeletions(*impl_->db));
    if (!deletions) return std::vector<Turn>();
    return impl_->List(true, "WHERE deleted IS NOT NULL ORDER BY deleted DESC, id");
  });
}

Result<int64_t> Tree::Delete(int64_t id) {
  return Guarded([&]() -> Result<int64_t> {
    KX_ASSIGN_OR_RETURN(const Turn turn, impl_->Get(id));
    if (turn.deletion != 0) return Usage("{}: turn {} is deleted", impl_->db->name(), id);
    return HideBranch(*impl_->db, id);
  });
}

Status Tree::Restore(int64_t deletion) {
  return Guarded([&] { return ShowBranch(*impl_->db, deletion); });
}

Status Tree::Purge() {
  return Guarded([&] { return RemoveHidden(*impl_->db); });
}

Result<Turn> Tree::Get(int64_t id) const {
  return Guarded([&] { return impl_->Get(id); });
}

Result<Edited> Tree::Load(int64_t id) const {
  return Guarded([&] { return impl_->Load(id); });
}

Result<int64_t> Tree::AddRoot(const std::string& name, const Pixels& picture,
                              const std::string& recipe) {
  return Guarded([&]() -> Result<int64_t> {
    const Database& db = *impl_->db;
    KX_ASSIGN_OR_RETURN(const std::string sum, PixelsSha256(picture));
    KX_ASSIGN_OR_RETURN(const std::string png, EncodePictureBytes({picture, 0, recipe, 0}, ".png"));
    Statement s =
        db.Prepare("INSERT INTO turns(name, recipe, png, pixels_sha256) VALUES(?, ?, ?, ?)");
    KX_RETURN_IF_ERROR(s.Bind(1, CutText(name, kMaxName))
                           .Bind(2, std::string_view(recipe))
                           .BindBlob(3, png)
                           .Bind(4, std::string_view(sum))
                           .Run());
    return db.LastId();
  });
}

Result<int64_t> Tree::AddEdit(int64_t parent, const std::string& name, const EditRequest& request,
                              const Edited& edited) {
  return Guarded([&]() -> Result<int64_t> {
    const Database& db = *impl_->db;
    KX_ASSIGN_OR_RETURN(const Edited from, impl_->Load(parent));
    KX_ASSIGN_OR_RETURN(Impl::Way way, impl_->WayTo(parent));
    const bool masked = request.mask && request.mask->width == edited.picture.width &&
                        request.mask->height == edited.picture.height;
    const Mask changed = masked ? *request.mask : EditedBlocks(from.picture, edited.picture);
    Mask all = changed;
    Impl::Join(way.edited, all);
    const std::optional<Drift> drift = MeasureDrift(way.root, edited.picture, all);

    KX_ASSIGN_OR_RETURN(const std::string sum, PixelsSha256(edited.picture));
    KX_ASSIGN_OR_RETURN(const std::string latents_sum, LatentsSha256(edited.latents));
    KX_ASSIGN_OR_RETURN(const std::string png, EncodePictureBytes(edited, ".png"));
    KX_ASSIGN_OR_RETURN(const std::string changed_png,
                        EncodePictureBytes({AsPicture(changed), 0, "", 0}, ".png"));
    KX_ASSIGN_OR_RETURN(Transaction t, Transaction::Begin(db));
    KX_RETURN_IF_ERROR(KeepInputs(db, request));
    Statement s = db.Prepare(
        "INSERT INTO turns(parent, name, recipe, png, pixels_sha256, edited_png, "
        "latents, latents_width, latents_height, latents_sha256, drift_share, "
        "drift_psnr_db, drift_colour, drift_sharpness) "
        "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    s.Bind(1, parent)
        .Bind(2, CutText(name, kMaxName))
        .Bind(3, std::string_view(edited.recipe))
        .BindBlob(4, png)
        .Bind(5, std::string_view(sum))
        .BindBlob(6, changed_png);
    if (!edited.latents.data.empty()) {
      s.BindBlob(7, BytesOf(edited.latents.data))
          .Bind(8, int64_t{edited.latents.width})
          .Bind(9, int64_t{edited.latents.height})
          .Bind(10, std::string_view(latents_sum));
    }
    if (drift) {
      s.Bind(11, drift->share)
          .Bind(12, drift->psnr_db)
          .Bind(13, drift->colour_shift)
          .Bind(14, drift->sharpness);
    }
    KX_RETURN_IF_ERROR(s.Run());
    const int64_t id = db.LastId();
    KX_RETURN_IF_ERROR(HideWithParent(db, id, parent));
    KX_RETURN_IF_ERROR(t.Commit());
    return id;
  });
}

Status Tree::Rename(int64_t id, const std::string& name) {
  return Guarded([&]() -> Status {
    KX_RETURN_IF_ERROR(impl_->Get(id).status());
    Statement s = impl_->db->Prepare("UPDATE turns SET name = ? WHERE id = ?");
    return s.Bind(1, CutText(name, kMaxName)).Bind(2, id).Run();
  });
}

Result<EditRequest> Tree::Continue(int64_t id, bool latents) const {
  return Guarded([&]() -> Result<EditRequest> {
    KX_ASSIGN_OR_RETURN(Edited from, impl_->Load(id));
    EditRequest request;
    request.images.push_back(std::move(from.picture));
    if (latents) request.latents.push_back(std::move(from.latents));
    return request;
  });
}

Result<EditRequest> Tree::RequestOf(int64_t id) const {
  return Guarded([&]() -> Result<EditRequest> {
    KX_ASSIGN_OR_RETURN(const Turn turn, impl_->Get(id));
    if (turn.parent == 0) return Usage("{}: turn {} is no edit", impl_->db->name(), id);
    KX_ASSIGN_OR_RETURN(const Recipe recipe, ReadRecipe(turn.recipe));
    if (recipe.references.empty()) {
      return BadInput("{}: the recipe of turn {} has no reference", impl_->db->name(), id);
    }
    EditRequest request = recipe.request;
    KX_ASSIGN_OR_RETURN(EditRequest from, Continue(turn.parent, recipe.references[0].latents));
    request.images = std::move(from.images);
    request.latents = std::move(from.latents);
    for (size_t i = 1; i < recipe.references.size(); ++i) {
      KX_ASSIGN_OR_RETURN(Pixels more, LoadInput(*impl_->db, recipe.references[i].pixels_sha256));
      request.images.push_back(std::move(more));
    }
    if (recipe.mask) {
      KX_ASSIGN_OR_RETURN(request.mask, LoadMask(*impl_->db, recipe.mask->pixels_sha256));
    }
    return request;
  });
}

}  // namespace kontext
