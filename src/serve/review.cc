// Review: the pictures of a server started with --review are seen by nobody before an operator has
// approved them. docs/serve.md says what each API tells meanwhile.
#include <algorithm>
#include <array>
#include <cstring>

#include "base/status.h"
#include "serve/queue.h"

namespace kontext::serve {

Json ReviewProgress(const StoredEdit& edit) {
  const int pictures = edit.request.value("n", 1);
  const int steps = edit.steps / std::max(pictures, 1);
  return {{"stage", "review"}, {"picture", pictures - 1}, {"pictures", pictures},
          {"step", steps},     {"steps", steps},          {"seconds_left", 0}};
}

std::string BytesOf(const Latents& latents) {
  std::string bytes(2 * sizeof(int32_t) + latents.data.size() * sizeof(float), '\0');
  const std::array<int32_t, 2> size = {latents.width, latents.height};
  std::memcpy(bytes.data(), size.data(), sizeof(size));
  std::memcpy(bytes.data() + sizeof(size), latents.data.data(), bytes.size() - sizeof(size));
  return bytes;
}

Latents LatentsOf(const std::string& bytes) {
  std::array<int32_t, 2> size{};
  if (bytes.size() < sizeof(size)) return {};
  std::memcpy(size.data(), bytes.data(), sizeof(size));
  Latents latents{size[0], size[1],
                  std::vector<float>((bytes.size() - sizeof(size)) / sizeof(float))};
  std::memcpy(latents.data.data(), bytes.data() + sizeof(size),
              latents.data.size() * sizeof(float));
  return latents;
}

// As the queue does with a picture that nobody has to judge. What cannot be put there can be
// fetched all the same.
void Queue::AddToProject(StoredEdit& edit) {
  const auto add = [&]() -> Status {
    KX_ASSIGN_OR_RETURN(EditRequest request, RequestOf(edit, store_));
    KX_RETURN_IF_ERROR(projects_.Begin(edit, request));
    for (const StoredImage& image : edit.held) {
      KX_ASSIGN_OR_RETURN(const std::string png, store_.GetPicture(image.hash));
      KX_ASSIGN_OR_RETURN(LoadedPicture picture, DecodePictureBytes(png, "the picture", true));
      Edited edited{std::move(picture.pixels), image.seed, picture.recipe, image.seconds, {}};
      if (!image.latents.empty()) {
        KX_ASSIGN_OR_RETURN(const std::string bytes, store_.GetPicture(image.latents));
        edited.latents = LatentsOf(bytes);
      }
      KX_RETURN_IF_ERROR(projects_.Keep(edit, request, edited));
    }
    return Status();
  };
  if (!edit.request.contains("project")) return;
  if (const Status status = add(); !status.ok())
    edit.notes.push_back("not added to its project: " + status.message());
}

Result<StoredEdit> Queue::Decide(const std::string& id, Decision decision) {
  const std::lock_guard deciding(deciding_);
  KX_ASSIGN_OR_RETURN(std::optional<StoredEdit> edit, store_.Get(id));
  if (!edit || edit->state != "review") return Usage("this edit does not wait for a review");
  if (decision.approved) AddToProject(*edit);
  const std::lock_guard lock(mutex_);
  KX_ASSIGN_OR_RETURN(const std::optional<StoredEdit> now, store_.Get(id));
  if (!now || now->state != "review") return Usage("the edit was cancelled meanwhile");
  edit->state = decision.approved ? "ready" : "moderated";
  edit->finished = decision.time = Now();
  if (!decision.approved) {
    edit->error_code = "moderated";
    edit->error_message = decision.reason.empty() ? "refused by a reviewer" : decision.reason;
  }
  KX_RETURN_IF_ERROR(store_.Decide(*edit, decision));
  ++counters_[edit->state];
  live_.erase(id);
  Changed();
  return *std::move(edit);
}

}  // namespace kontext::serve
