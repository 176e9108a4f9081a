// libFuzzer: the input is a safetensors file taken as an adapter for a miniature transformer, or,
// if its first byte is '{', an adapter_config.json beside a good one. Whatever it claims, every row
// of every weight it says it changes can be decoded.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "io/safetensors.h"
#include "weights/adapter.h"
#include "weights/merged_matrix.h"

namespace kontext {
namespace {

// A promise that does not hold ends the run, so that libFuzzer keeps the input.
void Require(bool holds) {
  if (!holds) std::abort();
}

constexpr int64_t kD = 8, kF = 32;

const AdapterNames& Names() {
  static const auto* names = [] {
    auto* n = new AdapterNames;
    const auto visit = [](WeightVisitor& v) {
      LinearPtr w;
      v.Linear("img_in", w, kD, 4, Bias::kYes);
      v.Linear("double_blocks.0.img_attn.qkv", w, 3 * kD, kD, Bias::kYes);
      v.Linear("single_blocks.0.linear1", w, 3 * kD + kF, kD, Bias::kYes);
      v.Linear("single_blocks.0.linear2", w, kD, kD + kF, Bias::kNo);
      v.Linear("final_layer.adaLN_modulation.1", w, 2 * kD, kD, Bias::kYes);
    };
    n->Add(AdaptedNetwork::kTransformer, visit, TransformerDialects({1, 1, kD, kF}));
    return n;
  }();
  return *names;
}

// Merges each term into zeros.
void Merge(const Adapter& adapter) {
  for (const AdapterTerm& term : adapter.terms) {
    const AdapterTarget& target = term.target;
    for (const AdapterTarget::Piece& p : target.pieces) {
      Require(p.from.begin >= 0 && p.from.end <= target.rows);
    }
    Require(term.bias.empty() || term.bias.size() == static_cast<size_t>(target.rows));
    if (term.delta == nullptr) continue;
    constexpr int64_t kMostRows = 3 * kD + kF;
    const std::vector<float> zeros(static_cast<size_t>(kMostRows * target.columns));
    const auto merged = MergedMatrix::Create(
        {WeightRows(ViewOf(zeros.data(), {kMostRows, target.columns}))}, {{&term, 1.0f}});
    Require(merged.ok());
    std::vector<float> row(static_cast<size_t>(target.columns));
    for (int64_t r = 0; r < kMostRows; ++r) (*merged)->Decode(r, 0, target.columns, row.data());
  }
}

void Parse(const AdapterFile& file) {
  const auto adapter = ParseAdapter(file, Names());
  if (adapter.ok()) {
    Require(adapter->used > 0 && adapter->used <= adapter->keys);
    return Merge(*adapter);
  }
  Require(!adapter.message().empty());
}

}  // namespace
}  // namespace kontext

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace kontext;
  if (size > 0 && data[0] == '{') {
    const std::vector<float> ones(static_cast<size_t>(kD * (kD + kF)), 1.0f);
    AdapterFile file{.config = {reinterpret_cast<const char*>(data), size}, .name = "fuzz"};
    const std::string module = "base_model.model.single_transformer_blocks.0.proj_out.lora_";
    file.tensors[module + "A.weight"] = ViewOf(ones.data(), {2, kD + kF});
    file.tensors[module + "B.weight"] = ViewOf(ones.data(), {kD, 2});
    Parse(file);
    return 0;
  }
  // A block of its own: aligned as mapped memory, and ending where AddressSanitizer watches.
  const std::unique_ptr<std::byte[]> bytes(new std::byte[size]);
  if (size > 0) std::memcpy(bytes.get(), data, size);
  const auto parsed = ParseSafetensors({bytes.get(), size}, "fuzz");
  if (parsed.ok()) {
    Parse({.tensors = parsed->tensors, .metadata = parsed->metadata, .config = {}, .name = "fuzz"});
  }
  return 0;
}
