// make_model OUT [--dtype bf16|fp8] [--blocks 19,38] [--t5-layers 24]
// A model directory of FLUX.1 Kontext [dev]'s sizes with random weights, for measuring at full size
// (bench/full.sh). Matrices are u * sqrt(3 / fan_in), u uniform in [-1, 1), so that activations
// keep their size through any number of layers. fp8 writes the matrices of the transformer and of
// T5 as plain E4M3, as the files that circulate do.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/bf16.h"
#include "dit/dit_weights.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "text/clip_encoder.h"
#include "text/t5_encoder.h"
#include "vae/vae.h"

namespace kontext {
namespace {

namespace fs = std::filesystem;

struct Entry {
  std::string name;
  Shape shape;
};

class Lister : public WeightVisitor {
 public:
  void LinearRows(const std::string& name, LinearPtr&, RowRange rows, int64_t out, int64_t in,
                  Bias bias) override {
    if (rows.begin != 0) return;
    entries.push_back({name + ".weight", {out, in}});
    if (bias == Bias::kYes) entries.push_back({name + ".bias", {out}});
  }
  void Conv(const std::string& name, ConvPtr&, int64_t out, int64_t in, int64_t k) override {
    entries.push_back({name + ".weight", {out, in, k, k}});
    entries.push_back({name + ".bias", {out}});
  }
  void Vector(const std::string& name, VectorWeights&, int64_t n) override {
    entries.push_back({name, {n}});
  }
  void Table(const std::string& name, TableWeights&, int64_t rows, int64_t cols) override {
    entries.push_back({name, {rows, cols}});
  }
  std::vector<Entry> entries;
};

// Round to nearest of |x| <= 448, as torch's float8_e4m3fn; ties do not occur often enough to care.
uint8_t ToE4M3(float x) {
  const auto sign = static_cast<uint8_t>(std::signbit(x) ? 0x80 : 0);
  const float a = std::min(std::fabs(x), 448.0f);
  const int exponent = std::max(a > 0 ? std::ilogb(a) : -6, -6);
  const auto steps = static_cast<int>(std::nearbyint(std::ldexp(a, 3 - exponent)));
  // 8 steps are the implicit one; carries into the exponent come out by themselves.
  return static_cast<uint8_t>(sign | ((exponent + 6) * 8 + steps));
}

// 16-bit codes for the 65536 values of u: what a tensor's every element is looked up in.
std::vector<uint16_t> TableFor(const Entry& e, bool fp8) {
  std::vector<uint16_t> table(65536);
  const bool matrix = e.shape.rank() >= 2;
  const bool norm = !matrix && !e.name.ends_with(".bias");
  const double factor = matrix ? std::sqrt(3.0 * static_cast<double>(e.shape[0]) /
                                           static_cast<double>(e.shape.NumElements()))
                               : 0.1;
  for (int i = 0; i < 65536; ++i) {
    const auto x = static_cast<float>((norm ? 1 : 0) + factor * (i - 32768) / 32768.0);
    table[static_cast<size_t>(i)] = fp8 && matrix ? ToE4M3(x) : ToBF16(x).bits;
  }
  return table;
}

uint64_t SplitMix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

Status WriteRandom(const std::string& path, const std::vector<Entry>& entries, bool fp8) {
  Json header = Json::object();
  int64_t offset = 0;
  for (const Entry& e : entries) {
    const bool small = fp8 && e.shape.rank() >= 2;
    std::vector<int64_t> sizes;
    for (int i = 0; i < e.shape.rank(); ++i) sizes.push_back(e.shape[i]);
    const int64_t end = offset + e.shape.NumElements() * (small ? 1 : 2);
    header[e.name] = {
        {"dtype", small ? "F8_E4M3" : "BF16"}, {"shape", sizes}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::string prefix;
  for (int i = 0; i < 8; ++i) prefix.push_back(static_cast<char>((text.size() >> (8 * i)) & 0xFF));
  fs::create_directories(fs::path(path).parent_path());
  KX_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Open(path));
  KX_RETURN_IF_ERROR(file.Append(prefix));
  KX_RETURN_IF_ERROR(file.Append(text));

  constexpr int64_t kChunk = 8 << 20;  // elements
  std::string bytes;
  for (const Entry& e : entries) {
    const bool small = fp8 && e.shape.rank() >= 2;
    const std::vector<uint16_t> table = TableFor(e, fp8);
    const uint64_t seed = std::hash<std::string>()(e.name);
    const int64_t n = e.shape.NumElements();
    for (int64_t begin = 0; begin < n; begin += kChunk) {
      const int64_t count = std::min(kChunk, n - begin);
      bytes.resize(static_cast<size_t>(count * (small ? 1 : 2)));
      auto* as8 = reinterpret_cast<uint8_t*>(bytes.data());
      auto* as16 = reinterpret_cast<uint16_t*>(bytes.data());
#pragma omp parallel for schedule(static)
      for (int64_t quad = 0; quad < (count + 3) / 4; ++quad) {
        uint64_t z = SplitMix(seed + static_cast<uint64_t>(begin / 4 + quad) * 0x9E3779B97F4A7C15u);
        for (int64_t i = quad * 4; i < std::min(quad * 4 + 4, count); ++i, z >>= 16) {
          const uint16_t code = table[z & 0xFFFF];
          if (small) {
            as8[i] = static_cast<uint8_t>(code);
          } else {
            as16[i] = code;
          }
        }
      }
      KX_RETURN_IF_ERROR(file.Append(bytes));
    }
  }
  return file.Commit();
}

template <class Visit>
std::vector<Entry> List(const Visit& visit) {
  Lister lister;
  visit(lister);
  return lister.entries;
}

struct Options {
  std::string out, dtype = "bf16";
  int double_blocks = 19, single_blocks = 38, t5_layers = 24;
};

// The configs and tokenizers of the real model, but for the numbers of layers.
void CopyConfigs(const Options& o) {
  const fs::path data = fs::path(KX_SOURCE_DIR) / "tests/data/flux1", out = o.out;
  for (const char* name :
       {"scheduler/scheduler_config.json", "transformer/config.json", "vae/config.json",
        "text_encoder/config.json", "text_encoder_2/config.json"}) {
    fs::create_directories((out / name).parent_path());
    fs::copy_file(data / name, out / name, fs::copy_options::overwrite_existing);
  }
  for (const char* name : {"tokenizer", "tokenizer_2"}) {
    fs::copy(fs::path(KX_SOURCE_DIR) / "models/flux1-tokenizers" / name, out / name,
             fs::copy_options::overwrite_existing | fs::copy_options::recursive);
  }
  fs::copy_file(fs::path(KX_SOURCE_DIR) / "models/mini/model_index.json", out / "model_index.json",
                fs::copy_options::overwrite_existing);
}

Status Replace(const std::string& path, const std::map<std::string, int>& values) {
  KX_ASSIGN_OR_RETURN(Json config, ReadJsonFile(path));
  for (const auto& [key, value] : values) config[key] = value;
  KX_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Open(path));
  KX_RETURN_IF_ERROR(file.Append(config.dump(2)));
  return file.Commit();
}

Status Make(const Options& o) {
  const fs::path out = o.out;
  CopyConfigs(o);
  KX_RETURN_IF_ERROR(
      Replace(out / "transformer/config.json",
              {{"num_layers", o.double_blocks}, {"num_single_layers", o.single_blocks}}));
  KX_RETURN_IF_ERROR(Replace(out / "text_encoder_2/config.json", {{"num_layers", o.t5_layers}}));
  const bool fp8 = o.dtype == "fp8";
  DitConfig dit;
  dit.depth = o.double_blocks;
  dit.depth_single = o.single_blocks;
  T5Config t5;
  t5.layers = o.t5_layers;
  KX_RETURN_IF_ERROR(WriteRandom(out / "vae/diffusion_pytorch_model.safetensors",
                                 List([](WeightVisitor& v) {
                                   VaeWeights w;
                                   VisitVae({}, w, v);
                                 }),
                                 false));
  KX_RETURN_IF_ERROR(WriteRandom(out / "text_encoder/model.safetensors", List([](WeightVisitor& v) {
                                   ClipWeights w;
                                   VisitClip({}, w, v);
                                 }),
                                 false));
  KX_RETURN_IF_ERROR(WriteRandom(out / "text_encoder_2/model.safetensors",
                                 List([&](WeightVisitor& v) {
                                   T5Weights w;
                                   VisitT5(t5, w, v);
                                 }),
                                 fp8));
  return WriteRandom(out / "transformer/diffusion_pytorch_model.safetensors",
                     List([&](WeightVisitor& v) {
                       DitWeights w;
                       VisitDit(dit, w, v);
                     }),
                     fp8);
}

}  // namespace
}  // namespace kontext

int main(int argc, char** argv) {
  kontext::Options o;
  std::string blocks = "19,38";
  CLI::App app("A FLUX.1 model directory with random weights");
  app.add_option("out", o.out, "New model directory")->required();
  app.add_option("--dtype", o.dtype, "bf16 or fp8")->check(CLI::IsMember({"bf16", "fp8"}));
  app.add_option("--blocks", blocks, "DOUBLE,SINGLE (the real model has 19,38)");
  app.add_option("--t5-layers", o.t5_layers, "Layers of T5 (the real one has 24)");
  CLI11_PARSE(app, argc, argv);
  if (std::sscanf(blocks.c_str(), "%d,%d", &o.double_blocks, &o.single_blocks) != 2) return 2;
  try {
    const kontext::Status status = kontext::Make(o);
    if (!status.ok()) std::fprintf(stderr, "make_model: %s\n", status.message().c_str());
    return status.ok() ? 0 : 1;
  } catch (const std::exception& e) {  // std::filesystem's
    std::fprintf(stderr, "make_model: %s\n", e.what());
    return 1;
  }
}
