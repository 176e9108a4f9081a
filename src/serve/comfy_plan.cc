// From a checked graph to an edit: back from the pictures that are saved, over VAEDecode and the
// sampler, to the words, the references and the size.
#include <algorithm>

#include "base/status.h"
#include "serve/comfy.h"

namespace kontext::serve {
namespace {

constexpr double kGuidance = 3.5;  // ComfyUI's, where no node sets one (model_base.py, Flux)
constexpr int kMostLoops = 1000;   // nodes of one chain

class Planner {
 public:
  Planner(ComfyGraph& graph, ComfyPictures& pictures, const Engine& engine, Draft& draft)
      : graph_(graph), pictures_(pictures), limits_(engine.limits()), draft_(draft) {}

  bool Run() {
    pictures_.Compute();
    if (!graph_.sound()) return false;
    for (const std::string& id : graph_.outputs()) Output(id);
    if (graph_.sound() && sampler_.empty())
      NotOffered(graph_.outputs().front(), "images",
                 "no output node is connected to a sampler: there is nothing to draw");
    if (!graph_.sound()) return false;
    Sampler();
    if (!graph_.sound()) return false;
    References();
    draft_.fields["comfyui"] = {{"outputs", outputs_}, {"stages", stages_}};
    return graph_.sound();
  }

 private:
  void NotOffered(const std::string& id, const std::string& input, const std::string& what) {
    graph_.Wrong(id, input, "not_offered", "This server does not draw such a graph", what);
  }

  // Attaches the picture and names it in the outputs.
  void Output(const std::string& id) {
    const std::string name = graph_.ClassOf(id);
    const std::string from = graph_.Link(id, "images").node;
    Json output = {{"node", id}, {"class", name}};
    std::string prefix = name == "SaveImage" ? graph_.Text(id, "filename_prefix") : "ComfyUI_temp";
    const Pixels* made = pictures_.Find(from);
    if (made == nullptr) {
      Drawn(from);
    } else {
      const auto png = EncodePictureBytes({*made, 0, "", 0}, ".png");
      if (!png.ok()) return NotOffered(id, "images", png.message());
      draft_.attachments.push_back(*png);
      output["picture"] = HashOf(*png);
      prefix += fmt::format("_{}", outputs_.size() + 1);  // not the name of what is drawn
    }
    const size_t slash = prefix.rfind('/');
    ComfyName file{prefix.substr(slash + 1), "", name == "SaveImage" ? "output" : "temp"};
    if (slash != std::string::npos) file.subfolder = slash == 0 ? "/" : prefix.substr(0, slash);
    if (!ComfyFiles::IsSafe(file) || file.file.size() > 150)
      return graph_.Wrong(id, "filename_prefix", "custom_validation_failed",
                          "Custom validation failed for node",
                          "filename_prefix - must stay in its folder, of at most 150 bytes");
    output["prefix"] = file.file;
    output["subfolder"] = file.subfolder;
    output["type"] = file.type;
    outputs_.push_back(std::move(output));
  }

  void Drawn(const std::string& decode) {
    if (graph_.ClassOf(decode) != "VAEDecode")
      return NotOffered(decode, "", "what the model drew can only be saved");
    const std::string sampler = graph_.Link(decode, "samples").node;
    const std::string name = graph_.ClassOf(sampler);
    if (name != "KSampler" && name != "SamplerCustomAdvanced")
      return NotOffered(decode, "samples", "must come from a KSampler or SamplerCustomAdvanced");
    if (!sampler_.empty() && sampler_ != sampler)
      return NotOffered(sampler, "", "one sampler a prompt; send the second as another prompt");
    sampler_ = sampler;
    stages_["steps"] = sampler;
    stages_["decode"] = decode;
  }

  void Sampler() {
    const std::string& id = sampler_;
    const bool custom = graph_.ClassOf(id) == "SamplerCustomAdvanced";
    // Only the low 32 bits reach PyTorch's mt19937, so the noise is the same without the highest.
    const uint64_t seed = custom ? graph_.Integer(graph_.Link(id, "noise").node, "noise_seed")
                                 : graph_.Integer(id, "seed");
    draft_.fields["seed"] = static_cast<int64_t>(seed & INT64_MAX);
    draft_.fields["steps"] = graph_.Integer(custom ? graph_.Link(id, "sigmas").node : id, "steps");
    Conditioning(custom ? graph_.Link(graph_.Link(id, "guider").node, "conditioning")
                        : graph_.Link(id, "positive"));
    if (!custom && graph_.Number(id, "cfg") > 1) {
      draft_.fields["true_cfg"] = graph_.Number(id, "cfg");
      Negative(graph_.Link(id, "negative"));
    }
    Target(graph_.Link(id, "latent_image"));
  }

  // The words at the end of a chain of conditionings; empty class: none.
  std::string Step(ComfyLink& at) {
    const std::string name = graph_.ClassOf(at.node);
    if (name != "FluxGuidance" && name != "ReferenceLatent" &&
        name != "FluxKontextMultiReferenceLatentMethod")
      return name;
    at = graph_.Link(at.node, "conditioning");
    return "";
  }

  void Conditioning(ComfyLink at) {
    std::optional<double> guidance;
    std::string name;
    for (int i = 0; i < kMostLoops && name.empty(); ++i) {
      const std::string here = at.node;
      name = Step(at);
      const bool sets = graph_.ClassOf(here) == "FluxGuidance" || name == "CLIPTextEncodeFlux";
      if (sets && !guidance)
        guidance = graph_.Number(here, "guidance");  // the last one to act wins
      if (graph_.ClassOf(here) == "ReferenceLatent" && graph_.Has(here, "latent"))
        references_.push_back(graph_.Link(here, "latent"));
    }
    std::reverse(references_.begin(), references_.end());
    draft_.fields["guidance"] = guidance.value_or(kGuidance);
    stages_["prompt"] = at.node;
    if (const auto text = Words(at, name)) draft_.fields["prompt"] = *text;
  }

  void Negative(ComfyLink at) {
    std::string name;
    for (int i = 0; i < kMostLoops && name.empty(); ++i) name = Step(at);
    if (const auto text = Words(at, name)) draft_.fields["negative"] = *text;
  }

  std::optional<std::string> Words(const ComfyLink& at, const std::string& name) {
    if (name == "CLIPTextEncode") return graph_.Text(at.node, "text");
    if (name == "CLIPTextEncodeFlux") {
      const std::string text = graph_.Text(at.node, "t5xxl");
      const std::string clip = graph_.Text(at.node, "clip_l");
      if (clip == text || clip.empty()) return text;
      NotOffered(at.node, "clip_l", "clip_l must be the text of t5xxl");
    } else if (name == "ConditioningZeroOut") {
      NotOffered(at.node, "conditioning", "only as `negative`, with a cfg of 1");
    } else {
      NotOffered(at.node, "", fmt::format("more than {} nodes in a chain", kMostLoops));
    }
    return std::nullopt;
  }

  // latent_image: the size, how many, and what may change.
  void Target(ComfyLink at) {
    uint64_t count = 1;
    for (int i = 0; i < kMostLoops; ++i) {
      const std::string name = graph_.ClassOf(at.node);
      if (name == "VAEEncode") {
        const Pixels* picture = pictures_.Find(graph_.Link(at.node, "pixels").node);
        if (picture == nullptr) return NotOffered(at.node, "pixels", "must be a loaded picture");
        return TargetSize(at.node, picture->width, picture->height, count);
      }
      if (name == "EmptySD3LatentImage" || name == "EmptyLatentImage")
        return TargetSize(at.node, static_cast<int64_t>(graph_.Integer(at.node, "width")),
                          static_cast<int64_t>(graph_.Integer(at.node, "height")),
                          count * graph_.Integer(at.node, "batch_size"));
      if (name == "RepeatLatentBatch") {
        count = std::min<uint64_t>(1000, count * graph_.Integer(at.node, "amount"));
      } else if (name == "SetLatentNoiseMask") {
        mask_ = graph_.Link(at.node, "mask");
      } else {
        return NotOffered(at.node, "", "latent_image must come from VAEEncode or an empty latent");
      }
      at = graph_.Link(at.node, "samples");
    }
    NotOffered(at.node, "", fmt::format("more than {} nodes in a chain", kMostLoops));
  }

  void TargetSize(const std::string& id, int64_t width, int64_t height, uint64_t count) {
    const int64_t w = width / limits_.multiple * limits_.multiple;
    const int64_t h = height / limits_.multiple * limits_.multiple;
    if (w < limits_.min_side || h < limits_.min_side || w > limits_.max_side ||
        h > limits_.max_side || w * h > limits_.max_pixels)
      return NotOffered(
          id, "width",
          fmt::format("{} x {}; sides from {} to {}, at most {} pixels", width, height,
                      limits_.min_side, limits_.max_side, limits_.max_pixels));
    if (count > kMostPictures)
      return NotOffered(id, "batch_size", fmt::format("at most {} pictures", kMostPictures));
    draft_.fields["n"] = count;
    if (mask_) return;  // then the result has the picture's own size
    draft_.fields["width"] = w;
    draft_.fields["height"] = h;
  }

  void References() {
    if (std::ssize(references_) > limits_.max_images)
      return NotOffered(sampler_, "positive",
                        fmt::format("at most {} ReferenceLatent nodes", limits_.max_images));
    for (const ComfyLink& at : references_) {
      const bool encoded = graph_.ClassOf(at.node) == "VAEEncode";
      const Pixels* picture =
          encoded ? pictures_.Find(graph_.Link(at.node, "pixels").node) : nullptr;
      if (picture == nullptr)
        return NotOffered(at.node, "", "a reference must be VAEEncode of a loaded picture");
      const auto png = EncodePictureBytes({*picture, 0, "", 0}, ".png");
      if (!png.ok()) return NotOffered(at.node, "", png.message());
      draft_.pictures.push_back(*png);
      stages_["references"] = at.node;
    }
    if (!mask_) {
      // The graph itself scales its pictures; the rest is as ComfyUI does it (docs/likes.md).
      draft_.fields["like"] = "comfyui";
      draft_.fields["keep_reference_size"] = true;
      return;
    }
    if (references_.empty())
      return NotOffered(sampler_, "latent_image", "a mask needs a ReferenceLatent");
    const auto drawn = pictures_.MaskOf(*mask_);
    if (!drawn) return;
    const auto png = EncodePictureBytes({*drawn, 0, "", 0}, ".png");
    if (!png.ok()) return NotOffered(mask_->node, "", png.message());
    draft_.mask = *png;
  }

  ComfyGraph& graph_;
  ComfyPictures& pictures_;
  const EditLimits limits_;
  Draft& draft_;
  std::string sampler_;
  std::vector<ComfyLink> references_;
  std::optional<ComfyLink> mask_;
  Json outputs_ = Json::array();
  Json stages_ = Json::object();  // which node is shown at work, by the engine's stage
};

}  // namespace

bool ComfyPlan(ComfyGraph& graph, ComfyFiles& files, const Engine& engine, Draft& draft) {
  ComfyPictures pictures(graph, files, engine.model().preferred_sizes);
  return Planner(graph, pictures, engine, draft).Run();
}

}  // namespace kontext::serve
