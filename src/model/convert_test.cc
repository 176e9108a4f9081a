#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "io/safetensors.h"
#include "model/convert_model.h"
#include "model/verify_packed.h"
#include "scratch_folder.h"
#include "tensor/arena.h"
#include "weights/packed_file.h"
#include "weights/weight_file.h"

namespace kontext {
namespace {

namespace fs = std::filesystem;

const std::string kMini = KX_SOURCE_DIR "/models/mini";
const std::string kTransformer = kMini + "/transformer";

std::string Contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<float> Values(const WeightRows& w) {
  std::vector<float> all(static_cast<size_t>(w.shape().NumElements()));
  w.DecodeAll(all.data());
  return all;
}

// Stops when so many bytes are done.
struct StopAt : ConvertListener {
  explicit StopAt(int64_t calls) : calls_left(calls) {}
  bool Cancelled() override { return calls_left-- <= 0; }
  int64_t calls_left;
};

Result<ConvertReport> Pack(const std::string& in, const std::string& out, Packing packing) {
  ConvertListener nobody;
  return ConvertModel({in, out, packing, 0}, nobody);
}

Status Verify(const std::string& path) {
  ConvertListener nobody;
  return VerifyPackedFiles(path, nobody).status();
}

TEST(Convert, Bf16KeepsEveryValueOfABf16File) {
  const ScratchFolder folder;
  const std::string out = folder.path() + "/t.safetensors";
  const auto done = Pack(kTransformer, out, Packing::kBf16);
  ASSERT_TRUE(done.ok()) << done.message();
  const auto file = WeightFile::Open(out), source = WeightFile::Open(kTransformer);
  ASSERT_TRUE(file.ok() && source.ok()) << file.message();
  EXPECT_EQ((*file)->tensors().size(), static_cast<size_t>(done->tensors));
  // Diffusers' name, ours, and the rows of ours.
  const auto qkv = Values((*file)->tensors().at("double_blocks.0.img_attn.qkv.weight"));
  const auto k = Values((*source)->tensors().at("transformer_blocks.0.attn.to_k.weight"));
  EXPECT_TRUE(std::equal(k.begin(), k.end(), qkv.begin() + static_cast<int64_t>(k.size())));
  const auto ours = Values((*file)->tensors().at("final_layer.adaLN_modulation.1.bias"));
  const auto theirs = Values((*source)->tensors().at("norm_out.linear.bias"));
  ASSERT_EQ(ours.size(), theirs.size());
  for (size_t i = 0; i < ours.size(); ++i) {
    ASSERT_EQ(ours[i], theirs[(i + ours.size() / 2) % ours.size()]) << "halves are swapped";
  }
}

TEST(Convert, Int8IsNearAndAligned) {
  const ScratchFolder folder;
  const std::string exact = folder.path() + "/b.safetensors",
                    out = folder.path() + "/q.safetensors";
  ASSERT_TRUE(Pack(kTransformer, exact, Packing::kBf16).ok());
  const auto done = Pack(exact, out, Packing::kInt8);
  ASSERT_TRUE(done.ok()) << done.message();
  const auto file = WeightFile::Open(out), source = WeightFile::Open(exact);
  ASSERT_TRUE(file.ok() && source.ok()) << file.message();
  double worst = 0;
  int64_t int8 = 0;
  for (const auto& [name, weight] : (*source)->tensors()) {
    const WeightRows& packed = (*file)->tensors().at(name);
    ASSERT_EQ(packed.shape(), weight.shape()) << name;
    std::vector<ByteSpan> spans;
    packed.Touches(spans);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(spans[0].data()) % 64, 0u) << name;
    const auto want = Values(weight), got = Values(packed);
    if (!packed.is_encoded()) {
      ASSERT_EQ(got, want) << name;
      continue;
    }
    ++int8;
    double error = 0, norm = 0;
    for (size_t i = 0; i < want.size(); ++i) {
      error += std::pow(double{got[i]} - want[i], 2);
      norm += std::pow(double{want[i]}, 2);
    }
    worst = std::max(worst, std::sqrt(error / norm));
  }
  EXPECT_EQ(int8, 2 * 8 + 4 * 2);
  // step / sqrt(12), the step 1/127 of a row's largest value; 5 deviations are a generous largest
  // of some thousand normal values, as the rotation makes them.
  const double bound = 5.0 / 127 / std::sqrt(12.0);
  std::printf("[ measured ] mini transformer: worst relative error %.5f, bound %.5f\n", worst,
              bound);
  EXPECT_LE(worst, bound);
  EXPECT_TRUE(Verify(out).ok());
  const auto block = (*file)->tensors().at("double_blocks.1.img_attn.qkv.weight");
  std::vector<ByteSpan> spans;
  block.Touches(spans);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(spans[0].data()) % 4096, 0u) << "a block begins a page";
}

TEST(Convert, ResumedIsByteIdentical) {
  const ScratchFolder folder;
  const std::string whole = folder.path() + "/a.safetensors",
                    out = folder.path() + "/b.safetensors";
  ASSERT_TRUE(Pack(kTransformer, whole, Packing::kInt8).ok());
  for (const int64_t calls : {1, 40, 90, 120}) {
    StopAt listener(calls);
    const auto stopped = ConvertModel({kTransformer, out, Packing::kInt8, 0}, listener);
    ASSERT_EQ(stopped.code(), Code::kCancelled) << calls;
    EXPECT_FALSE(fs::exists(out));
    EXPECT_TRUE(fs::exists(out + ".partial"));
  }
  // Whatever the last try wrote behind its journal is written again.
  std::ofstream(out + ".partial", std::ios::binary | std::ios::app) << std::string(100000, 'x');
  const auto done = Pack(kTransformer, out, Packing::kInt8);
  ASSERT_TRUE(done.ok()) << done.message();
  EXPECT_GT(done->bytes_resumed, 0);
  EXPECT_EQ(Contents(out), Contents(whole));
  EXPECT_FALSE(fs::exists(out + ".partial"));
  EXPECT_FALSE(fs::exists(out + ".partial.journal"));
}

TEST(Convert, AnotherPlanStartsAnew) {
  const ScratchFolder folder;
  const std::string whole = folder.path() + "/a.safetensors",
                    out = folder.path() + "/b.safetensors";
  StopAt listener(90);
  ASSERT_EQ(ConvertModel({kTransformer, out, Packing::kInt8, 0}, listener).code(),
            Code::kCancelled);
  ASSERT_TRUE(Pack(kTransformer, whole, Packing::kBf16).ok());
  const auto done = Pack(kTransformer, out, Packing::kBf16);
  ASSERT_TRUE(done.ok()) << done.message();
  EXPECT_EQ(done->bytes_resumed, 0);
  EXPECT_EQ(Contents(out), Contents(whole));
}

TEST(Convert, AFullDiskIsSaidAndResumed) {
  const ScratchFolder folder;
  const std::string whole = folder.path() + "/a.safetensors",
                    out = folder.path() + "/b.safetensors";
  ASSERT_TRUE(Pack(kTransformer, whole, Packing::kInt8).ok());
  const auto before = std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit{};
  getrlimit(RLIMIT_FSIZE, &limit);
  const rlimit small{static_cast<rlim_t>(fs::file_size(whole) / 2), limit.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const auto full = Pack(kTransformer, out, Packing::kInt8);
  setrlimit(RLIMIT_FSIZE, &limit);
  std::signal(SIGXFSZ, before);
  EXPECT_EQ(full.code(), Code::kNoSpace) << full.message();
  EXPECT_NE(full.message().find("b.safetensors"), std::string::npos) << full.message();
  EXPECT_FALSE(fs::exists(out));
  const auto done = Pack(kTransformer, out, Packing::kInt8);
  ASSERT_TRUE(done.ok()) << done.message();
  EXPECT_GT(done->bytes_resumed, 0);
  EXPECT_EQ(Contents(out), Contents(whole));
}

TEST(Convert, DamageIsFound) {
  const ScratchFolder folder;
  const std::string out = folder.path() + "/q.safetensors";
  ASSERT_TRUE(Pack(kTransformer, out, Packing::kInt8).ok());
  const std::string good = Contents(out);
  const auto file = WeightFile::Open(out);
  ASSERT_TRUE(file.ok());
  // A byte in the middle of one matrix: looked for by its content.
  const std::string name = "single_blocks.1.linear2.weight";
  std::vector<ByteSpan> spans;
  (*file)->tensors().at(name).Touches(spans);
  const std::string_view piece(reinterpret_cast<const char*>(spans[0].data()) + 5000, 64);
  const size_t at = good.find(piece);
  ASSERT_NE(at, std::string::npos);
  std::string bad = good;
  bad[at] = static_cast<char>(bad[at] ^ 1);
  folder.Write("flipped.safetensors", bad);
  const Status flipped = Verify(folder.path() + "/flipped.safetensors");
  EXPECT_EQ(flipped.code(), Code::kBadInput);
  EXPECT_NE(flipped.message().find("1 of "), std::string::npos) << flipped.message();
  EXPECT_NE(flipped.message().find(name), std::string::npos) << flipped.message();

  for (const size_t size : {size_t{7}, size_t{3000}, good.size() / 2, good.size() - 1}) {
    folder.Write("cut.safetensors", good.substr(0, size));
    EXPECT_EQ(WeightFile::Open(folder.path() + "/cut.safetensors").status().code(),
              Code::kBadInput);
  }
  const auto patch = [&](const std::string& from, const std::string& to, const std::string& says) {
    std::string text = good;
    const size_t found = text.find(from);
    ASSERT_NE(found, std::string::npos) << from;
    text.replace(found, from.size(), to);
    folder.Write("patched.safetensors", text);
    const auto opened = WeightFile::Open(folder.path() + "/patched.safetensors");
    EXPECT_EQ(opened.status().code(), Code::kBadInput) << from;
    EXPECT_NE(opened.message().find(says), std::string::npos) << opened.message();
  };
  patch("\"kontext_packed\":\"1\"", "\"kontext_packed\":\"7\"", "format \"7\"");
  patch("\\\"rotation\\\":256", "\\\"rotation\\\":128", "groups of 128");
  patch("\\\"columns\\\":256", "\\\"columns\\\":768", "expected");
  patch("\"img_in.bias\":{", "\"img_in.bios\":{", "img_in.bias");
}

TEST(Convert, RefusesWhatCannotWork) {
  const ScratchFolder folder;
  const std::string out = folder.path() + "/q.safetensors";
  ASSERT_TRUE(Pack(kTransformer, out, Packing::kInt8).ok());
  const auto refuse = [&](const std::string& in, const std::string& to, const std::string& says) {
    const auto r = Pack(in, to, Packing::kInt8);
    EXPECT_FALSE(r.ok()) << in;
    EXPECT_NE(r.message().find(says), std::string::npos) << r.message();
  };
  refuse(out, out, "is the input");
  refuse(out, folder.path() + "/r.safetensors", "packed already (int8)");
  refuse(kTransformer, folder.path() + "/r.gguf", "NAME.safetensors");
  refuse(kTransformer, folder.path() + "/none/r.safetensors", "cannot be created");
  refuse(folder.path() + "/absent.safetensors", folder.path() + "/r.safetensors", "no such");
  refuse(kMini, folder.path(), "exists");
  fs::create_directory_symlink(kMini, folder.path() + "/link");
  refuse(folder.path() + "/link", folder.path() + "/link/inside", "lies in the input");
}

TEST(Convert, AValueThatIsNoNumberIsNamed) {
  const ScratchFolder folder;
  const auto source = WeightFile::Open(kTransformer);
  ASSERT_TRUE(source.ok());
  std::map<std::string, ConstTensorView> tensors;
  for (const auto& [name, weight] : (*source)->tensors()) tensors[name] = weight.dense();
  const std::string name = "single_transformer_blocks.2.proj_mlp.weight";
  const ConstTensorView& old = tensors.at(name);
  auto copy = Tensor::Allocate(DType::kBF16, old.shape());
  ASSERT_TRUE(copy.ok());
  std::memcpy(copy->view().data(), old.data(), static_cast<size_t>(old.shape().NumElements() * 2));
  copy->view().As<BF16>()[3 * old.dim(1) + 5] = BF16{0x7FC0};
  tensors[name] = std::as_const(*copy).view();
  const std::string in = folder.path() + "/nan.safetensors";
  ASSERT_TRUE(WriteSafetensors(in, tensors).ok());
  const auto done = Pack(in, folder.path() + "/q.safetensors", Packing::kInt8);
  EXPECT_EQ(done.code(), Code::kBadInput);
  // proj_mlp stands behind q, k and v in linear1: 3 * 256 rows.
  EXPECT_NE(done.message().find("\"single_blocks.2.linear1.weight\" has a value in row 771"),
            std::string::npos)
      << done.message();
}

TEST(Convert, AWholeModel) {
  const ScratchFolder folder;
  const std::string out = folder.path() + "/model";
  StopAt listener(150);
  ASSERT_EQ(ConvertModel({kMini, out, Packing::kInt8, 0}, listener).code(), Code::kCancelled);
  EXPECT_FALSE(fs::exists(out));
  const auto done = Pack(kMini, out, Packing::kInt8);
  ASSERT_TRUE(done.ok()) << done.message();
  EXPECT_GT(done->bytes_resumed, 0);
  EXPECT_TRUE(Verify(out).ok());
  for (const char* copied : {"model_index.json", "kontext.json", "transformer/config.json",
                             "scheduler/scheduler_config.json"}) {
    EXPECT_EQ(Contents(out + "/" + copied), Contents(kMini + "/" + copied)) << copied;
  }
  EXPECT_TRUE(fs::exists(out + "/tokenizer_2"));
}

}  // namespace
}  // namespace kontext
