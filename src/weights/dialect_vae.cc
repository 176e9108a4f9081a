// The two dialects of the autoencoder (spec weights 3): BFL's, whose names are ours, and
// Diffusers'.
#include <fmt/format.h>

#include <utility>

#include "weights/dialect.h"

namespace kontext {
namespace {

// `name`.weight and `name`.bias, which the file has under any one of `file_names`.
void AddLayer(NameTable& table, const std::string& name,
              const std::vector<std::string>& file_names) {
  for (const char* kind : {".weight", ".bias"}) {
    for (const std::string& file_name : file_names) {
      table.names[name + kind].push_back({FilePart{file_name + kind}});
    }
  }
}

void AddResnet(NameTable& table, const std::string& ours, const std::string& theirs) {
  for (const char* layer : {"norm1", "conv1", "norm2", "conv2"}) {
    AddLayer(table, fmt::format("{}.{}", ours, layer), {fmt::format("{}.{}", theirs, layer)});
  }
  AddLayer(table, ours + ".nin_shortcut", {theirs + ".conv_shortcut"});
}

void AddEnds(NameTable& table, const std::string& half) {
  AddLayer(table, half + ".conv_in", {half + ".conv_in"});
  AddLayer(table, half + ".norm_out", {half + ".conv_norm_out"});
  AddLayer(table, half + ".conv_out", {half + ".conv_out"});
}

void AddMid(NameTable& table, const std::string& half) {
  AddResnet(table, half + ".mid.block_1", half + ".mid_block.resnets.0");
  AddResnet(table, half + ".mid.block_2", half + ".mid_block.resnets.1");
  const std::string ours = half + ".mid.attn_1.";
  const std::string theirs = half + ".mid_block.attentions.0.";
  AddLayer(table, ours + "norm", {theirs + "group_norm"});
  // Files older than Diffusers 0.15 have the second names.
  AddLayer(table, ours + "q", {theirs + "to_q", theirs + "query"});
  AddLayer(table, ours + "k", {theirs + "to_k", theirs + "key"});
  AddLayer(table, ours + "v", {theirs + "to_v", theirs + "value"});
  AddLayer(table, ours + "proj_out", {theirs + "to_out.0", theirs + "proj_attn"});
}

NameTable Bfl() {
  NameTable table;
  table.dialect = "BFL";
  table.prefixes = {"", "vae.", "first_stage_model."};
  table.probes = {"encoder.norm_out.weight", "decoder.norm_out.weight",
                  "encoder.mid.block_1.conv1.weight", "decoder.mid.block_1.conv1.weight"};
  table.canonical = true;
  return table;
}

NameTable Diffusers(const VaeNames& sizes) {
  NameTable table;
  table.dialect = "Diffusers";
  table.prefixes = {"", "vae.", "first_stage_model."};
  table.probes = {"encoder.conv_norm_out.weight", "decoder.conv_norm_out.weight",
                  "encoder.mid_block.resnets.0.conv1.weight",
                  "decoder.mid_block.resnets.0.conv1.weight"};
  for (const char* half : {"encoder", "decoder"}) {
    AddEnds(table, half);
    AddMid(table, half);
  }
  for (int64_t level = 0; level < sizes.levels; ++level) {
    const std::string down = fmt::format("encoder.down.{}.", level);
    const std::string down_theirs = fmt::format("encoder.down_blocks.{}.", level);
    for (int64_t b = 0; b < sizes.blocks_per_level; ++b) {
      AddResnet(table, fmt::format("{}block.{}", down, b),
                fmt::format("{}resnets.{}", down_theirs, b));
    }
    AddLayer(table, down + "downsample.conv", {down_theirs + "downsamplers.0.conv"});
    // BFL counts the decoder's levels as the encoder's, Diffusers in the order in which they run.
    const std::string up = fmt::format("decoder.up.{}.", level);
    const std::string up_theirs = fmt::format("decoder.up_blocks.{}.", sizes.levels - 1 - level);
    for (int64_t b = 0; b <= sizes.blocks_per_level; ++b) {
      AddResnet(table, fmt::format("{}block.{}", up, b), fmt::format("{}resnets.{}", up_theirs, b));
    }
    AddLayer(table, up + "upsample.conv", {up_theirs + "upsamplers.0.conv"});
  }
  return table;
}

}  // namespace

std::vector<NameTable> VaeDialects(const VaeNames& sizes) { return {Bfl(), Diffusers(sizes)}; }

}  // namespace kontext
