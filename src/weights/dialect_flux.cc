// The two dialects of FLUX transformers (spec weights 2): BFL's own, whose names are ours, and
// Diffusers'. Letters: D hidden, F mlp.
#include <fmt/format.h>

#include "weights/dialect.h"

namespace kontext {
namespace {

// `name`.weight and `name`.bias come from the parts' .weight and .bias, by the same rows.
void AddLinear(NameTable& table, const std::string& name, const std::vector<FileParts>& ways) {
  for (const char* kind : {".weight", ".bias"}) {
    std::vector<FileParts>& of_kind = table.names[name + kind];
    for (FileParts parts : ways) {
      for (FilePart& part : parts) part.name += kind;
      of_kind.push_back(std::move(parts));
    }
  }
}

void AddLinear(NameTable& table, const std::string& name, const std::string& file_name) {
  AddLinear(table, name, {FileParts{FilePart{file_name}}});
}

FilePart AllRows(const std::string& name, int64_t rows) { return {name, rows, {0, rows}}; }

// BFL's query_norm.scale and key_norm.scale under `from`; a Diffusers file has `q` and `k`.
void AddNorms(NameTable& table, const std::string& from, const std::string& q,
              const std::string& k) {
  table.names[from + ".query_norm.scale"] = {{FilePart{q}}};
  table.names[from + ".key_norm.scale"] = {{FilePart{k}}};
}

NameTable Bfl(const TransformerNames& sizes) {
  NameTable table;
  table.dialect = "BFL";
  table.prefixes = {"",       "model.diffusion_model.", "diffusion_model.",
                    "model.", "transformer.",           "net."};
  table.probes = {"img_in.weight",
                  "txt_in.weight",
                  "vector_in.in_layer.weight",
                  "final_layer.linear.weight",
                  "double_blocks.0.img_attn.qkv.weight",
                  "single_blocks.0.linear1.weight"};
  table.canonical = true;
  // Some converted files name the norms' scales .weight.
  const auto alias = [&](const std::string& norm) {
    for (const char* which : {".query_norm", ".key_norm"}) {
      table.names[norm + which + ".scale"] = {{FilePart{norm + which + ".scale"}},
                                              {FilePart{norm + which + ".weight"}}};
    }
  };
  for (int64_t i = 0; i < sizes.depth; ++i) {
    alias(fmt::format("double_blocks.{}.img_attn.norm", i));
    alias(fmt::format("double_blocks.{}.txt_attn.norm", i));
  }
  for (int64_t i = 0; i < sizes.depth_single; ++i) alias(fmt::format("single_blocks.{}.norm", i));
  return table;
}

void AddDoubleBlock(NameTable& table, int64_t i, int64_t D) {
  const std::string ours = fmt::format("double_blocks.{}.", i);
  const std::string theirs = fmt::format("transformer_blocks.{}.", i);
  const std::string attn = theirs + "attn.";
  AddLinear(table, ours + "img_mod.lin", theirs + "norm1.linear");
  AddLinear(table, ours + "txt_mod.lin", theirs + "norm1_context.linear");
  AddLinear(table, ours + "img_attn.qkv",
            {{AllRows(attn + "to_q", D), AllRows(attn + "to_k", D), AllRows(attn + "to_v", D)},
             {AllRows(attn + "to_qkv", 3 * D)}});
  AddLinear(table, ours + "txt_attn.qkv",
            {{AllRows(attn + "add_q_proj", D), AllRows(attn + "add_k_proj", D),
              AllRows(attn + "add_v_proj", D)},
             {AllRows(attn + "to_added_qkv", 3 * D)}});
  AddNorms(table, ours + "img_attn.norm", attn + "norm_q.weight", attn + "norm_k.weight");
  AddNorms(table, ours + "txt_attn.norm", attn + "norm_added_q.weight",
           attn + "norm_added_k.weight");
  AddLinear(table, ours + "img_attn.proj", attn + "to_out.0");
  AddLinear(table, ours + "txt_attn.proj", attn + "to_add_out");
  AddLinear(table, ours + "img_mlp.0", theirs + "ff.net.0.proj");
  AddLinear(table, ours + "img_mlp.2", theirs + "ff.net.2");
  AddLinear(table, ours + "txt_mlp.0", theirs + "ff_context.net.0.proj");
  AddLinear(table, ours + "txt_mlp.2", theirs + "ff_context.net.2");
}

void AddSingleBlock(NameTable& table, int64_t i, int64_t D, int64_t F) {
  const std::string ours = fmt::format("single_blocks.{}.", i);
  const std::string theirs = fmt::format("single_transformer_blocks.{}.", i);
  const std::string attn = theirs + "attn.";
  AddLinear(table, ours + "modulation.lin", theirs + "norm.linear");
  AddLinear(table, ours + "linear1",
            {{AllRows(attn + "to_q", D), AllRows(attn + "to_k", D), AllRows(attn + "to_v", D),
              AllRows(theirs + "proj_mlp", F)},
             {AllRows(attn + "to_qkv", 3 * D), AllRows(theirs + "proj_mlp", F)}});
  AddNorms(table, ours + "norm", attn + "norm_q.weight", attn + "norm_k.weight");
  AddLinear(table, ours + "linear2", theirs + "proj_out");
}

NameTable Diffusers(const TransformerNames& sizes) {
  const int64_t D = sizes.hidden;
  NameTable table;
  table.dialect = "Diffusers";
  table.prefixes = {"", "transformer.", "model.diffusion_model."};
  table.probes = {"x_embedder.weight", "context_embedder.weight", "norm_out.linear.weight",
                  "transformer_blocks.0.attn.add_q_proj.weight",
                  "single_transformer_blocks.0.proj_mlp.weight"};
  AddLinear(table, "img_in", "x_embedder");
  AddLinear(table, "txt_in", "context_embedder");
  const std::pair<const char*, const char*> embedders[] = {
      {"time_in", "timestep"}, {"guidance_in", "guidance"}, {"vector_in", "text"}};
  for (const auto& [ours, theirs] : embedders) {
    const std::string embedder = fmt::format("time_text_embed.{}_embedder.", theirs);
    AddLinear(table, fmt::format("{}.in_layer", ours), embedder + "linear_1");
    AddLinear(table, fmt::format("{}.out_layer", ours), embedder + "linear_2");
  }
  for (int64_t i = 0; i < sizes.depth; ++i) AddDoubleBlock(table, i, D);
  for (int64_t i = 0; i < sizes.depth_single; ++i) AddSingleBlock(table, i, D, sizes.mlp);
  // BFL's rows are shift, scale; Diffusers' are scale, shift (scripts/convert_flux_to_diffusers.py,
  // swap_scale_shift).
  AddLinear(table, "final_layer.adaLN_modulation.1",
            {{FilePart{"norm_out.linear", 2 * D, {D, 2 * D}},
              FilePart{"norm_out.linear", 2 * D, {0, D}}}});
  AddLinear(table, "final_layer.linear", "proj_out");
  return table;
}

}  // namespace

std::vector<NameTable> TransformerDialects(const TransformerNames& sizes) {
  return {Bfl(sizes), Diffusers(sizes)};
}

}  // namespace kontext
