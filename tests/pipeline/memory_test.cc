// The memory plan kept to: what an edit really takes, no allocation in the step loop, weights
// streamed under a limit, embeddings cached, a model file that changes meanwhile.
#include "edit/memory.h"

#include <gtest/gtest.h>
#include <malloc.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <list>
#include <map>
#include <thread>

#include "base/process_memory.h"
#include "compute/registry.h"
#include "edit/edit.h"
#include "pipeline/golden_case.h"
#include "weights/loader.h"
#include "weights/random_source.h"

namespace {
std::atomic<int64_t> buffers_allocated = 0;
}  // namespace

// Every Buffer of the library is one of these calls: counted on its way to the allocator.
extern "C" void* aligned_alloc(size_t alignment, size_t bytes) {
  ++buffers_allocated;
  return memalign(alignment, bytes);
}

namespace kontext::testing {
namespace {

namespace fs = std::filesystem;

double MiB(int64_t bytes) { return static_cast<double>(bytes) / 0x1p20; }

// The most anonymous memory of the process, looked at every half millisecond.
class AnonymousPeak {
 public:
  AnonymousPeak()
      : thread_([this] {
          while (!ended_) {
            peak_ = std::max(peak_.load(), MemoryOfProcess().anonymous);
            std::this_thread::sleep_for(std::chrono::microseconds(500));
          }
        }) {}
  int64_t End() {
    ended_ = true;
    thread_.join();
    return peak_;
  }

 private:
  std::atomic<bool> ended_ = false;
  std::atomic<int64_t> peak_ = 0;
  std::thread thread_;
};

// Random weights with a branch of rank `rank` beside every product but one block's MLP, which
// therefore is one op in 8 bits: zeros, as only sizes count.
class BranchedSource : public RandomSource {
 public:
  explicit BranchedSource(int64_t rank) : RandomSource(DType::kBF16), rank(rank) {}
  Result<std::vector<WeightRows>> Find(const std::string& name, const Shape& shape) override {
    if (shape.rank() == 2) shapes_[name] = shape;
    return RandomSource::Find(name, shape);
  }
  std::vector<LowRank> Branches(const std::string& name) override {
    if (rank == 0 || name.starts_with("double_blocks.0.img_mlp")) return {};
    const Shape& shape = shapes_.at(name);  // [N, K]; found before, as the loader does
    const auto zeros = [&](const Shape& s) {
      made_.push_back(*Tensor::Allocate(DType::kF32, s));
      std::fill_n(made_.back().view().As<float>(), s.NumElements(), 0.0f);
      return std::as_const(made_.back()).view();
    };
    return {{zeros({rank, shape[1]}), zeros({shape[0], rank})}};
  }
  int64_t rank;

 private:
  std::map<std::string, Shape> shapes_;
  std::list<Tensor> made_;
};

class MemoryTest : public MiniTest {
 protected:
  void SetUp() override {
    MiniTest::SetUp();
    folder_ = ::testing::TempDir() + "kontext-memory-" + std::to_string(getpid());
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  Result<std::vector<Edited>> Run(EditListener* listener = nullptr, int64_t limit = 0,
                                  PromptCache* cache = nullptr) {
    return RunEdit(*setup_.model, *setup_.ops, request_, limit, 2, {listener, nullptr}, cache);
  }
  // A transformer of more width than the mini model's, with random weights and branches.
  void Widen(int64_t rank = 0) {
    wide_.rank = rank;
    Model& m = *setup_.model;
    m.dit_config.heads = 8;
    m.dit_config.hidden = 8 * (m.dit_config.axes[0] + m.dit_config.axes[1] + m.dit_config.axes[2]);
    m.dit_config.mlp = 4 * m.dit_config.hidden;
    m.dit = DitWeights();
    const auto visit = [&](WeightVisitor& v) { VisitDit(m.dit_config, m.dit, v); };
    ASSERT_TRUE(LoadWeights(visit, wide_, *setup_.ops).ok());
    request_.size = Size{256, 256};
  }
  // Plan and observation side by side: the plan is never less, and at most half too much.
  void CompareWithPlan(const char* what, const StepPlan* steps = nullptr) {
    EditPlan plan = *PlanEdit(request_, setup_.model->defaults, EditLimits{});
    if (steps != nullptr) plan.step_plan = *steps;
    const auto memory =
        PlanMemory(plan, ConfigsOf(*setup_.model),
                   {.text_tokens = setup_.model->t5_tokens.max_length()}, *setup_.ops);
    ASSERT_TRUE(memory.ok());
    ReleaseFreedMemory();
    const int64_t before = MemoryOfProcess().anonymous;
    AnonymousPeak peak;
    ASSERT_TRUE(RunEdit(*setup_.model, *setup_.ops, request_, 0, 2, {}, nullptr, steps).ok());
    const int64_t observed = peak.End() - before;
    std::printf("%s: planned %.1f MiB (workspace %.1f), observed %.1f MiB: %.2f, bound 1 to 1.5\n",
                what, MiB(memory->peak()), MiB(memory->workspace), MiB(observed),
                static_cast<double>(memory->peak()) / static_cast<double>(observed));
    EXPECT_GE(memory->peak(), observed);
    EXPECT_LE(memory->peak(), observed + observed / 2);
  }

  BranchedSource wide_{0};  // before the model: its weights point in here
  std::string folder_;
};

TEST_F(MemoryTest, PlanOfTheMiniModelIsKeptTo) { CompareWithPlan("mini, 128x128"); }

TEST_F(MemoryTest, PlanOfAWiderModelIsKeptTo) {
  Widen();
  CompareWithPlan("8 heads, 256x256");
}

TEST_F(MemoryTest, PlanWithKeptReferencesIsKeptTo) {
  Widen();
  const StepPlan full = *ParseStepPlan("FF"), reusing = *ParseStepPlan("FR");
  const auto planned = [&](const StepPlan& steps) {
    EditPlan plan = *PlanEdit(request_, setup_.model->defaults, EditLimits{});
    plan.step_plan = steps;
    return PlanMemory(plan, ConfigsOf(*setup_.model), {.text_tokens = 48}, *setup_.ops)->steps;
  };
  // k and v of 64 reference tokens in f32, of every block
  const DitConfig& c = setup_.model->dit_config;
  EXPECT_EQ(planned(reusing) - planned(full), (c.depth + c.depth_single) * 2 * 64 * c.hidden * 4);
  CompareWithPlan("8 heads, 256x256, references kept", &reusing);
}

// The backend's workspace with branches is at most what is planned, in either precision, and more
// than is planned when they are forgotten.
TEST_F(MemoryTest, PlanWithAdaptersIsKeptTo) {
  constexpr int64_t kRank = 640;  // of several adapters together
  Widen(kRank);
  CompareWithPlan("8 heads, 256x256, branches");
  for (const Mode mode : {Mode::kExact, Mode::kDefault}) {
    request_.mode = mode;
    const auto workspace = [&](int64_t rank) {
      setup_ = OpenMini("cpu", "f32");  // its workspace has not grown yet
      Widen(rank);
      setup_.ops->SetPrecision(mode == Mode::kExact ? Precision::kExact : Precision::kInt8);
      const EditPlan plan = *PlanEdit(request_, setup_.model->defaults, EditLimits{});
      return PlanMemory(plan, ConfigsOf(*setup_.model), {.text_tokens = 48}, *setup_.ops)
          ->workspace;
    };
    const int64_t forgotten = workspace(0), planned = workspace(kRank);
    ASSERT_TRUE(Run().ok());
    const int64_t held = setup_.ops->HeldScratchBytes();
    std::printf("mode %s: workspace held %.2f MiB, planned %.2f, without branches %.2f\n",
                NameOf(mode).c_str(), MiB(held), MiB(planned), MiB(forgotten));
    EXPECT_LE(held, planned);
    EXPECT_GT(held, forgotten);
  }
}

struct CountingListener : EditListener {
  std::vector<int64_t> at_step;
  void OnProgress(const Progress& p) override {
    if (p.stage == Stage::kSteps && p.step > 0) at_step.push_back(buffers_allocated);
  }
};

TEST_F(MemoryTest, TheStepLoopAllocatesNothing) {
  request_.steps = 4;
  CountingListener counting;
  ASSERT_TRUE(Run(&counting).ok());
  ASSERT_EQ(counting.at_step.size(), 4u);
  EXPECT_GT(counting.at_step[0], 0);  // the counter counts
  for (const int64_t count : counting.at_step) EXPECT_EQ(count, counting.at_step[0]);
}

// The limit that a refusal names is one that works, with the same picture; a section of weights
// less is refused.
TEST_F(MemoryTest, TheLimitARefusalNamesWorks) {
  const auto free = Run();
  ASSERT_TRUE(free.ok());
  const auto refused = Run(nullptr, 1 << 20);
  ASSERT_EQ(refused.code(), Code::kNoSpace);
  const std::string message = refused.message();
  const size_t named = message.find("--memory-limit ");
  long long mebibytes = 0;
  ASSERT_NE(named, std::string::npos) << message;
  ASSERT_EQ(std::sscanf(message.c_str() + named, "--memory-limit %lldMiB", &mebibytes), 1)
      << message;
  std::printf("refused: %s\n", message.c_str());
  const int64_t limit = mebibytes << 20;
  const auto limited = Run(nullptr, limit + (1 << 20));
  ASSERT_TRUE(limited.ok()) << limited.message();
  EXPECT_FALSE(setup_.model->dit_pages->AllFit());
  EXPECT_EQ(limited->front().picture.data, free->front().picture.data);
  EXPECT_EQ(Run(nullptr, limit - (8 << 20)).code(), Code::kNoSpace);
}

TEST_F(MemoryTest, CachedEmbeddingsChangeNothing) {
  const auto plain = Run();
  PromptCache memory("");
  EXPECT_EQ(Run(nullptr, 0, &memory)->front().picture.data, plain->front().picture.data);
  EXPECT_EQ(Run(nullptr, 0, &memory)->front().picture.data, plain->front().picture.data);
  const auto cached_files = [&] {
    return std::distance(fs::directory_iterator(folder_), fs::directory_iterator());
  };
  for (int i = 0; i < 2; ++i) {
    PromptCache disk(folder_);
    EXPECT_EQ(Run(nullptr, 0, &disk)->front().picture.data, plain->front().picture.data);
    EXPECT_EQ(cached_files(), 1);
  }
}

struct T5Watch : Observer {
  int seen = 0;
  void OnTensor(std::string_view name, ConstTensorView) override { seen += name == "t5.states"; }
};

TEST_F(MemoryTest, ACachedPromptIsNotEncodedAndADamagedEntryIs) {
  const auto encoded = [&](PromptCache& cache) {
    T5Watch watch;
    EXPECT_TRUE(
        RunEdit(*setup_.model, *setup_.ops, request_, 0, 2, {nullptr, &watch}, &cache).ok());
    return watch.seen > 0;
  };
  PromptCache first(folder_), second(folder_), third(folder_), fourth(folder_);
  EXPECT_TRUE(encoded(first));
  EXPECT_FALSE(encoded(first));
  EXPECT_FALSE(encoded(second));
  const fs::path file = fs::directory_iterator(folder_)->path();
  {  // one bit of the last number
    std::FILE* f = std::fopen(file.c_str(), "r+b");
    std::fseek(f, -3, SEEK_END);
    const int byte = std::fgetc(f);
    std::fseek(f, -3, SEEK_END);
    std::fputc(byte ^ 1, f);
    std::fclose(f);
  }
  EXPECT_TRUE(encoded(third));
  EXPECT_FALSE(encoded(fourth));  // it was written anew
  request_.prompt += "!";
  EXPECT_TRUE(encoded(fourth));
}

// Products in 8 bits from a file in bf16: where a byte a number fits, weights are copied once, on
// every processor that makes no larger copies of others; with less memory none is.
TEST_F(MemoryTest, WeightsAreCopiedWhereTheCopyFits) {
  DitWeights listed;
  const int64_t numbers = CountWeights([&](WeightVisitor& v) {
                            VisitDit(setup_.model->dit_config, listed, v);
                          }).parameters;
  const int64_t enough = numbers / 3 * 4 + 8;  // of which three quarters may be copies
  for (const char* dtype : {"f32", "bf16"}) {
    const auto copied = [&](int64_t limit) {
      const std::unique_ptr<Ops> fresh = *MakeOps({"cpu", dtype});
      const auto model = OpenModel({.model = KX_SOURCE_DIR "/models/mini"}, *fresh, limit);
      EXPECT_TRUE(model.ok()) << model.message();
      fresh->SetPrecision(Precision::kInt8);
      return fresh->PendingCopyBytes();
    };
    EXPECT_GT(copied(enough), 0) << dtype;  // whatever the backend's own layout would take
    EXPECT_EQ(copied(enough / 2), 0) << dtype;
  }
}

// Does something to a file during the first step.
struct Meddling : EditListener {
  fs::path file;
  std::function<void(const fs::path&)> meddle;
  void OnProgress(const Progress& p) override {
    if (p.stage == Stage::kSteps && p.step == 1) meddle(file);
  }
};

TEST_F(MemoryTest, AModelFileChangedDuringAnEditIsAnError) {
  const auto cut_short = [](const fs::path& file) { fs::resize_file(file, 4096); };
  const auto written_over = [](const fs::path& file) {
    std::fstream(file, std::ios::in | std::ios::out | std::ios::binary).seekp(-4, std::ios::end)
        << "over";
    fs::last_write_time(file, fs::last_write_time(file) + std::chrono::seconds(1));
  };
  const std::map<std::string, std::function<void(const fs::path&)>> meddlers = {
      {"cut short", cut_short}, {"written over", written_over}};
  for (const auto& [what, meddle] : meddlers) {
    const fs::path copy = fs::path(folder_) / what;
    fs::copy(KX_SOURCE_DIR "/models/mini", copy, fs::copy_options::recursive);
    setup_.model = *OpenModel({.model = copy.string()}, *setup_.ops);
    Meddling meddling;
    meddling.file = copy / "transformer/diffusion_pytorch_model.safetensors";
    meddling.meddle = meddle;
    const auto edits = Run(&meddling);
    EXPECT_EQ(edits.code(), Code::kBadInput) << what;
    EXPECT_NE(edits.message().find(meddling.file.string()), std::string::npos) << edits.message();
    EXPECT_NE(edits.message().find("changed while it was in use"), std::string::npos);
  }
}

}  // namespace
}  // namespace kontext::testing
