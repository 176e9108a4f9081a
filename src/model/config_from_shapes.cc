#include "model/config_from_shapes.h"

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <string_view>
#include <utility>
#include <vector>

namespace kontext {
namespace {

using namespace std::string_view_literals;

constexpr int64_t kMaxSize = 1 << 24;   // of any dimension; products of two stay inside 64 bits
constexpr int64_t kMaxLayers = 1024;    // as in config.cc
constexpr int64_t kClipHeadWidth = 64;  // CLIP-L and every other CLIP text encoder

// The tensors of one network in a file: those after the prefix under which `probes` stand, which
// are names that only this network has, one per dialect.
class Shapes {
 public:
  Shapes(const WeightMap& tensors, std::initializer_list<std::string_view> probes)
      : tensors_(tensors) {
    for (const auto& [name, tensor] : tensors) {
      for (const std::string_view probe : probes) {
        const size_t cut = name.size() - std::min(name.size(), probe.size());
        if (!name.ends_with(probe) || (cut > 0 && name[cut - 1] != '.')) continue;
        prefix_ = name.substr(0, cut);
        return;
      }
    }
  }

  // Dimension `axis` of the first of `names` that the file has; a note of the problem and 1 if it
  // has none, or it has no such dimension.
  int64_t Dim(std::initializer_list<std::string_view> names, int axis) {
    for (const std::string_view name : names) {
      const auto at = tensors_.find(prefix_ + std::string(name));
      if (at == tensors_.end()) continue;
      const WeightRows& t = at->second;
      if (t.rank() > axis && t.dim(axis) >= 1 && t.dim(axis) <= kMaxSize) return t.dim(axis);
      Note(fmt::format("\"{}{}\" is {}", prefix_, name, t.shape().Str()));
      return 1;
    }
    Note(fmt::format("\"{}{}\" is missing", prefix_, *names.begin()));
    return 1;
  }

  bool Has(std::initializer_list<std::string_view> names) const {
    return std::any_of(names.begin(), names.end(), [&](std::string_view name) {
      return tensors_.contains(prefix_ + std::string(name));
    });
  }

  // One more than the largest number in a name that begins with one of `before`: blocks.18. -> 19.
  // A gap in the numbers is not told here but by the loader, as missing tensors.
  int64_t Count(std::initializer_list<std::string_view> before) const {
    int64_t count = 0;
    for (const std::string_view start : before) {
      const std::string first = prefix_ + std::string(start);
      for (auto at = tensors_.lower_bound(first);
           at != tensors_.end() && at->first.starts_with(first); ++at) {
        const char* const end = at->first.data() + at->first.size();
        int64_t i = 0;
        const auto [rest, error] = std::from_chars(at->first.data() + first.size(), end, i);
        if (error == std::errc() && rest != end && *rest == '.' && i >= 0 && i < kMaxLayers)
          count = std::max(count, i + 1);
      }
    }
    return count;
  }

  void Note(const std::string& problem) {
    if (std::find(problems_.begin(), problems_.end(), problem) == problems_.end())
      problems_.push_back(problem);
  }

  Status status(const std::string& file, const char* network) const {
    if (problems_.empty()) return {};
    std::string list;
    for (const std::string& problem : problems_) list += (list.empty() ? "" : "; ") + problem;
    return BadInput("{}: the sizes of the {} cannot be told from its tensors: {}", file, network,
                    list);
  }

 private:
  const WeightMap& tensors_;
  std::string prefix_;
  std::vector<std::string> problems_;
};

}  // namespace

Result<DitConfig> DitConfigFromShapes(const WeightMap& tensors, const std::string& file) {
  Shapes s(tensors, {"double_blocks.0.img_mod.lin.weight",
                     "transformer_blocks.0.norm1_context.linear.weight"});
  DitConfig c;
  c.hidden = s.Dim({"img_in.weight", "x_embedder.weight"}, 0);
  c.in_channels = s.Dim({"img_in.weight", "x_embedder.weight"}, 1);
  c.out_channels = s.Dim({"final_layer.linear.weight", "proj_out.weight"}, 0);
  c.context = s.Dim({"txt_in.weight", "context_embedder.weight"}, 1);
  c.vec = s.Dim({"vector_in.in_layer.weight", "time_text_embed.text_embedder.linear_1.weight"}, 1);
  c.mlp =
      s.Dim({"double_blocks.0.img_mlp.0.weight", "transformer_blocks.0.ff.net.0.proj.weight"}, 0);
  c.guidance =
      s.Has({"guidance_in.in_layer.weight", "time_text_embed.guidance_embedder.linear_1.weight"});
  c.depth = s.Count({"double_blocks.", "transformer_blocks."});
  c.depth_single = s.Count({"single_blocks.", "single_transformer_blocks."});
  // A head is as wide as the norm of its queries; RoPE's axes are 16 and halves of the rest
  // (BFL util.py axes_dim, true of every FLUX.1 and of the mini model).
  const int64_t head = s.Dim({"double_blocks.0.img_attn.norm.query_norm.scale",
                              "double_blocks.0.img_attn.norm.query_norm.weight",
                              "transformer_blocks.0.attn.norm_q.weight"},
                             0);
  if (c.hidden % head != 0) s.Note(fmt::format("width {} over heads of {}", c.hidden, head));
  if (head < 20 || head % 4 != 0) s.Note(fmt::format("heads of width {}", head));
  KX_RETURN_IF_ERROR(s.status(file, "transformer"));
  c.heads = c.hidden / head;
  c.axes = {16, (head - 16) / 2, (head - 16) / 2};
  const Status checked = CheckDitConfig(c);
  if (!checked.ok()) return BadInput("{}: {}", file, checked.message());
  return c;
}

Result<VaeConfig> VaeConfigFromShapes(const WeightMap& tensors, const std::string& file,
                                      const VaeConfig& known) {
  Shapes s(tensors,
           {"decoder.mid.block_1.conv1.weight", "decoder.mid_block.resnets.0.conv1.weight"});
  VaeConfig c = known;
  c.in_channels = s.Dim({"encoder.conv_in.weight"}, 1);
  c.latent_channels = s.Dim({"decoder.conv_in.weight"}, 1);
  const int64_t levels = s.Count({"encoder.down.", "encoder.down_blocks."});
  c.blocks_per_level = s.Count({"encoder.down.0.block.", "encoder.down_blocks.0.resnets."});
  if (levels < 2 || levels > 8) s.Note(fmt::format("it has {} levels, expected 2 to 8", levels));
  if (c.blocks_per_level < 1) s.Note("its first level has no blocks");
  c.channels.clear();
  for (int64_t i = 0; i < std::min<int64_t>(levels, 8); ++i) {
    c.channels.push_back(s.Dim({fmt::format("encoder.down.{}.block.0.conv1.weight", i),
                                fmt::format("encoder.down_blocks.{}.resnets.0.conv1.weight", i)},
                               0));
  }
  if (c.in_channels != 3) s.Note(fmt::format("it takes {} colour channels", c.in_channels));
  for (const int64_t n : c.channels) {
    if (n % c.groups != 0) {
      s.Note(fmt::format(
          "{} channels do not divide into {} groups; name a model directory whose vae/config.json "
          "says how many there are, with --tokenizers",
          n, c.groups));
    }
  }
  KX_RETURN_IF_ERROR(s.status(file, "autoencoder"));
  return c;
}

Result<ClipConfig> ClipConfigFromShapes(const WeightMap& tensors, const std::string& file,
                                        const ClipConfig& known) {
  Shapes s(tensors, {"text_model.embeddings.position_embedding.weight",
                     "embeddings.position_embedding.weight"});
  ClipConfig c = known;
  const std::string text =
      s.Has({"text_model.embeddings.position_embedding.weight"}) ? "text_model." : "";
  c.vocab = s.Dim({text + "embeddings.token_embedding.weight"}, 0);
  c.hidden = s.Dim({text + "embeddings.token_embedding.weight"}, 1);
  c.positions = s.Dim({text + "embeddings.position_embedding.weight"}, 0);
  c.layers = s.Count({text + "encoder.layers."});
  c.ff = s.Dim({text + "encoder.layers.0.mlp.fc1.weight"}, 0);
  c.heads = known.hidden == c.hidden ? known.heads : c.hidden / kClipHeadWidth;
  if (c.heads < 1 || c.hidden % c.heads != 0)
    s.Note(fmt::format("width {} over {} heads", c.hidden, c.heads));
  KX_RETURN_IF_ERROR(s.status(file, "CLIP text encoder"));
  return c;
}

Result<T5Config> T5ConfigFromShapes(const WeightMap& tensors, const std::string& file,
                                    const T5Config& known) {
  // The second name of each is llama.cpp's, the third an alias.
  const std::string positions =
      "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight";
  Shapes s(tensors, {positions, "enc.blk.0.attn_rel_b.weight"});
  T5Config c = known;
  const auto table = {"shared.weight"sv, "token_embd.weight"sv, "encoder.embed_tokens.weight"sv};
  c.vocab = s.Dim(table, 0);
  c.model = s.Dim(table, 1);
  c.layers = s.Count({"encoder.block.", "enc.blk."});
  c.buckets = s.Dim({positions, "enc.blk.0.attn_rel_b.weight"}, 0);
  c.heads = s.Dim({positions, "enc.blk.0.attn_rel_b.weight"}, 1);
  const int64_t width =
      s.Dim({"encoder.block.0.layer.0.SelfAttention.q.weight", "enc.blk.0.attn_q.weight"}, 0);
  c.ff =
      s.Dim({"encoder.block.0.layer.1.DenseReluDense.wi_0.weight", "enc.blk.0.ffn_gate.weight"}, 0);
  if (width % c.heads != 0) s.Note(fmt::format("width {} over {} heads", width, c.heads));
  if (c.buckets % 4 != 0) s.Note(fmt::format("{} buckets of positions", c.buckets));
  KX_RETURN_IF_ERROR(s.status(file, "T5 text encoder"));
  c.kv = width / c.heads;
  return c;
}

}  // namespace kontext
