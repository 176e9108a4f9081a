// Projects over HTTP: the native API's part for the studio (docs/openapi.json).
#include "serve/project_routes.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/status.h"
#include "serve/picture_reader.h"

namespace kontext::serve {
namespace {

constexpr int kThumbnailSide =
    160;  // pixels; rows of the studio show 48, on dense screens thrice that
constexpr size_t kMostName = 1000;  // bytes, as the tree's

Json TurnJson(const Turn& t) {
  Json json = {{"id", t.id},
               {"parent", t.parent},
               {"name", t.name},
               {"sha256", t.pixels_sha256},
               {"latents", t.has_latents},
               {"recipe", nullptr},
               {"drift", nullptr}};
  if (auto recipe = ParseJson(t.recipe, "the recipe"); recipe.ok() && recipe->is_object())
    json["recipe"] = std::move(*recipe);
  if (t.drift) {
    json["drift"] = {
        {"share", t.drift->share},
        {"psnr_db", std::isfinite(t.drift->psnr_db) ? Json(t.drift->psnr_db) : Json(nullptr)},
        {"colour_shift", t.drift->colour_shift},
        {"sharpness", t.drift->sharpness}};
  }
  return json;
}

// One entry a deletion, the last first.
Json DeletedJson(const std::vector<Turn>& turns) {
  Json all = Json::array();
  for (const Turn& t : turns) {
    if (all.empty() || all.back()["deletion"] != t.deletion)
      all.push_back({{"deletion", t.deletion}, {"name", t.name}, {"turns", Json::array()}});
    all.back()["turns"].push_back(t.id);
  }
  return all;
}

// Where the server keeps its files is nothing to tell a client.
std::string WithoutFolder(std::string message, const std::string& folder) {
  if (const size_t at = message.find(folder); !folder.empty() && at != std::string::npos)
    message.erase(at, folder.size());
  return message;
}

}  // namespace

bool Sound(Exchange& x, const Status& status) {
  if (status.ok()) return true;
  const auto fail = [&](int code, const char* name) {
    x.Fail(code, name, WithoutFolder(status.message(), x.queue.options().folder));
    return false;
  };
  switch (status.code()) {
    case Code::kUsage:
      return fail(404, "not_found");
    case Code::kBadInput:
      return fail(400, "bad_request");
    case Code::kNoSpace:
      x.response.set("Retry-After", "30");
      return fail(507, "no_space");
    default:
      return fail(500, "project");
  }
}

std::optional<int64_t> TurnIn(Exchange& x, size_t at) {
  int64_t id = 0;
  const std::string& text = x.path[at];
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error == std::errc() && end == text.data() + text.size() && id > 0) return id;
  x.Fail(404, "not_found", "there is no such turn");
  return std::nullopt;
}

Edited GreyPicture(const Mask& mask) {
  Edited grey;
  grey.picture = {mask.width, mask.height, 3, {}};
  for (const uint8_t v : mask.data) grey.picture.data.insert(grey.picture.data.end(), 3, v);
  return grey;
}

namespace {

void SendProject(Exchange& x, const std::string& id, int code = 200) {
  const auto opened = x.queue.projects().Open(x.owner, id);
  if (!Sound(x, opened.status())) return;
  const auto turns = opened->tree.Turns(), deleted = opened->tree.Deleted();
  if (!Sound(x, turns.status()) || !Sound(x, deleted.status())) return;
  Json json = {{"id", id}, {"name", opened->info.name}, {"turns", Json::array()}};
  for (const Turn& t : *turns) json["turns"].push_back(TurnJson(t));
  json["deleted"] = DeletedJson(*deleted);
  x.Send(code, json);
}

void ListProjects(Exchange& x) {
  const auto all = x.queue.projects().List(x.owner);
  if (!Sound(x, all.status())) return;
  Json list = Json::array();
  for (const ProjectInfo& info : *all) {
    Json json = {{"id", info.id},
                 {"name", info.name},
                 {"changed", info.changed},
                 {"turns", 0},
                 {"cover", 0}};
    const auto opened = x.queue.projects().Open(x.owner, info.id);
    const auto turns = opened.ok() ? opened->tree.Turns() : opened.status();
    if (turns.ok() && !turns->empty()) {
      json["turns"] = turns->size();
      json["cover"] = turns->back().id;
    }
    if (!turns.ok()) json["problem"] = turns.message();
    list.push_back(std::move(json));
  }
  x.Send(200, {{"projects", list}});
}

// The string "name" of a JSON body; nothing after a 400 was sent.
std::optional<std::string> ReadName(Exchange& x) {
  Json body;
  if (!x.ReadJson(body)) return std::nullopt;
  if (body.is_object() && body.contains("name") && body["name"].is_string()) {
    const auto& name = body["name"].get_ref<const std::string&>();
    if (!name.empty() && name.size() <= kMostName) return name;
  }
  const std::string message = fmt::format("must be a string of 1 to {} bytes", kMostName);
  x.Fail(400, "bad_request", "name: " + message, {{"name", message}});
  return std::nullopt;
}

std::string NameIn(const Exchange& x, const char* otherwise) {
  const auto it = x.query.find("name");
  return it == x.query.end() || it->second.empty() ? otherwise : it->second.substr(0, kMostName);
}

void CreateProject(Exchange& x) {
  const auto name = ReadName(x);
  if (!name) return;
  const auto info = x.queue.projects().Create(x.owner, *name);
  if (Sound(x, info.status())) SendProject(x, info->id, 201);
}

void AdoptFile(Exchange& x) {
  std::string bytes;
  if (!x.ReadBody(bytes)) return;
  const auto info = x.queue.projects().Adopt(x.owner, NameIn(x, "Project"), bytes);
  if (Sound(x, info.status())) SendProject(x, info->id, 201);
}

void SendFile(Exchange& x) {
  const auto copy = x.queue.projects().Snapshot(x.owner, x.path[2]);
  if (!Sound(x, copy.status())) return;
  struct Removed {  // even where the client leaves in the middle
    ~Removed() {
      std::error_code ignored;
      std::filesystem::remove(path, ignored);
    }
    std::filesystem::path path;
  } const removed{*copy};
  x.response.sendFile(copy->string(), "application/vnd.sqlite3");
}

void AddPicture(Exchange& x) {
  std::string bytes;
  if (!x.ReadBody(bytes)) return;
  const PictureReader reader;
  const auto picture = reader.Read(bytes, "the picture");
  if (!picture.ok()) return x.Fail(400, "bad_request", picture.message());
  auto opened = x.queue.projects().Open(x.owner, x.path[2]);
  if (!Sound(x, opened.status())) return;
  const auto id = opened->tree.AddRoot(NameIn(x, "Picture"), picture->pixels, picture->recipe);
  if (!Sound(x, id.status())) return;
  const auto turn = opened->tree.Get(*id);
  if (Sound(x, turn.status())) x.Send(201, TurnJson(*turn));
}

Result<Pixels> Thumbnail(const Pixels& picture) {
  const int longer = std::max(picture.width, picture.height);
  if (longer <= kThumbnailSide) return picture;
  const auto scaled = [&](int side) {
    return std::max(1, static_cast<int>(int64_t{side} * kThumbnailSide / longer));
  };
  return ScalePicture(picture, {scaled(picture.width), scaled(picture.height)});
}

void SendPng(Exchange& x, const Edited& edited) {
  const auto png = EncodePictureBytes(edited, ".png");
  if (!Sound(x, png.status())) return;
  // `v` names the content, so what it names never changes.
  if (x.query.contains("v"))
    x.response.set("Cache-Control", "private, max-age=31536000, immutable");
  x.SendBytes("image/png", *png);
}

void SendPicture(Exchange& x, bool small) {
  const auto id = TurnIn(x);
  if (!id) return;
  auto edited = [&]() -> Result<Edited> {
    KX_ASSIGN_OR_RETURN(const Projects::Opened opened, x.queue.projects().Open(x.owner, x.path[2]));
    return opened.tree.Load(*id);
  }();
  if (!Sound(x, edited.status())) return;
  if (small) {
    auto picture = Thumbnail(edited->picture);
    if (!Sound(x, picture.status())) return;
    *edited = Edited{*std::move(picture), 0, "", 0};
  }
  SendPng(x, *edited);
}

Result<EditRequest> RequestOf(Exchange& x, int64_t turn) {
  KX_ASSIGN_OR_RETURN(const Projects::Opened opened, x.queue.projects().Open(x.owner, x.path[2]));
  return opened.tree.RequestOf(turn);
}

void SendMask(Exchange& x) {
  const auto id = TurnIn(x);
  if (!id) return;
  const auto request = RequestOf(x, *id);
  if (!Sound(x, request.status())) return;
  if (!request->mask) return x.Fail(404, "not_found", "this turn has no mask");
  SendPng(x, GreyPicture(*request->mask));
}

void SendReference(Exchange& x) {
  const auto id = TurnIn(x);
  const auto index = id ? TurnIn(x, 6) : std::nullopt;
  if (!index) return;
  auto request = RequestOf(x, *id);
  if (!Sound(x, request.status())) return;
  if (*index >= std::ssize(request->images))
    return x.Fail(404, "not_found", "this turn has no such reference");
  SendPng(x, {std::move(request->images[static_cast<size_t>(*index)]), 0, "", 0});
}

void RenameTurn(Exchange& x) {
  const auto id = TurnIn(x);
  const auto name = id ? ReadName(x) : std::nullopt;
  if (!name) return;
  auto opened = x.queue.projects().Open(x.owner, x.path[2]);
  if (!Sound(x, opened.status()) || !Sound(x, opened->tree.Rename(*id, *name))) return;
  const auto turn = opened->tree.Get(*id);
  if (Sound(x, turn.status())) x.Send(200, TurnJson(*turn));
}

void DeleteTurn(Exchange& x) {
  const auto id = TurnIn(x);
  if (!id) return;
  auto opened = x.queue.projects().Open(x.owner, x.path[2]);
  if (!Sound(x, opened.status())) return;
  const auto deletion = opened->tree.Delete(*id);
  const auto deleted = deletion.ok() ? opened->tree.Deleted() : deletion.status();
  if (!Sound(x, deleted.status())) return;
  for (const Json& entry : DeletedJson(*deleted)) {
    if (entry["deletion"] == *deletion) return x.Send(200, entry);
  }
}

void RestoreTurns(Exchange& x) {
  const auto deletion = TurnIn(x);
  if (!deletion) return;
  {
    auto opened = x.queue.projects().Open(x.owner, x.path[2]);
    if (!Sound(x, opened.status()) || !Sound(x, opened->tree.Restore(*deletion))) return;
  }
  SendProject(x, x.path[2]);
}

void PurgeTurns(Exchange& x) {
  {
    auto opened = x.queue.projects().Open(x.owner, x.path[2]);
    if (!Sound(x, opened.status()) || !Sound(x, opened->tree.Purge())) return;
  }
  SendProject(x, x.path[2]);
}

void RenameProject(Exchange& x) {
  const auto name = ReadName(x);
  if (name && Sound(x, x.queue.projects().Rename(x.owner, x.path[2], *name)))
    SendProject(x, x.path[2]);
}

void SetDeleted(Exchange& x, bool deleted) {
  if (!Sound(x, x.queue.projects().SetDeleted(x.owner, x.path[2], deleted))) return;
  if (!deleted) return SendProject(x, x.path[2]);
  x.Send(200, {{"id", x.path[2]}});
}

struct Route {
  const char* method;
  const char* path;
  void (*answer)(Exchange&);
};
constexpr Route kRoutes[] = {
    {"GET", "v1/projects", ListProjects},
    {"POST", "v1/projects", CreateProject},
    {"POST", "v1/projects/files", AdoptFile},
    {"GET", "v1/projects/*", [](Exchange& x) { SendProject(x, x.path[2]); }},
    {"PATCH", "v1/projects/*", RenameProject},
    {"DELETE", "v1/projects/*", [](Exchange& x) { SetDeleted(x, true); }},
    {"POST", "v1/projects/*/restore", [](Exchange& x) { SetDeleted(x, false); }},
    {"POST", "v1/projects/*/purge", PurgeTurns},
    {"GET", "v1/projects/*/file", SendFile},
    {"POST", "v1/projects/*/edits", [](Exchange& x) { EditFrom(x, false); }},
    {"POST", "v1/projects/*/turns", AddPicture},
    {"POST", "v1/projects/*/deletions/*/restore", RestoreTurns},
    {"PATCH", "v1/projects/*/turns/*", RenameTurn},
    {"DELETE", "v1/projects/*/turns/*", DeleteTurn},
    {"GET", "v1/projects/*/turns/*/image", [](Exchange& x) { SendPicture(x, false); }},
    {"GET", "v1/projects/*/turns/*/thumbnail", [](Exchange& x) { SendPicture(x, true); }},
    {"GET", "v1/projects/*/turns/*/mask", SendMask},
    {"GET", "v1/projects/*/turns/*/references/*", SendReference},
    {"POST", "v1/projects/*/turns/*/edits", [](Exchange& x) { EditFrom(x, true); }},
    {"POST", "v1/projects/*/turns/*/again", EditAgain},
};

}  // namespace

bool ProjectApi(Exchange& x) {
  for (const Route& route : kRoutes) {
    if (!x.Is(route.method, route.path)) continue;
    route.answer(x);
    return true;
  }
  return false;
}

}  // namespace kontext::serve
