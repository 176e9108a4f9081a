#include "weights/residency.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cinttypes>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <thread>

#include "io/mapped_file.h"

namespace kontext {
namespace {

constexpr int64_t kSection = 8 << 20;  // bytes
constexpr int kOnce = 2, kRepeated = 6;

// A file of eight sections of 8 MiB, two of them used once.
class ResidencyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = ::testing::TempDir() + "kontext-residency-" + std::to_string(getpid());
    std::vector<uint8_t> values(static_cast<size_t>((kOnce + kRepeated) * kSection));
    std::iota(values.begin(), values.end(), uint8_t{0});
    std::ofstream(path_, std::ios::binary)
        .write(reinterpret_cast<const char*>(values.data()),
               static_cast<std::streamsize>(values.size()));
    auto file = MappedFile::Open(path_);
    ASSERT_TRUE(file.ok());
    file_ = *std::move(file);
  }
  void TearDown() override { std::filesystem::remove(path_); }

  ConstTensorView Rows(int section) const {
    return ConstTensorView(file_.data() + section * kSection, DType::kF32, {1024, kSection / 4096});
  }
  WeightSpans Spans() const {
    WeightSpans spans;
    for (int i = 0; i < kOnce + kRepeated; ++i) {
      spans.Add(i, i < kOnce ? Use::kOnce : Use::kEveryStep, Rows(i));
    }
    return spans;
  }
  // Reads a section as a product would; the sum of a byte of each page.
  int64_t Work(int section) const {
    int64_t sum = 0;
    for (int64_t at = 0; at < kSection; at += 509) {
      sum += static_cast<int64_t>(file_.data()[section * kSection + at]);
    }
    return sum;
  }
  // Bytes of the file that this process has mapped in. Not the process's whole: code that runs for
  // the first time comes in by up to 2 MiB at once.
  int64_t Mapped() const {
    std::ifstream maps("/proc/self/smaps");
    int64_t kib = 0, value = 0;
    bool ours = false;
    for (std::string line; std::getline(maps, line);) {
      const bool begins = line.find(':') > line.find(' ');  // "12-34 r--p ...", else "Rss: ..."
      if (begins) ours = line.ends_with(path_);
      if (ours && std::sscanf(line.c_str(), "Rss: %" SCNd64, &value) == 1) kib += value;
    }
    return kib * 1024;
  }

  // The largest mapped size over one pass of the once-used sections and `passes` of the others.
  int64_t Peak(Residency& r, int passes) const {
    int64_t peak = 0, sum = 0;
    const auto use = [&](int section) {
      r.Enter(section);
      sum += Work(section);
      peak = std::max(peak, Mapped());
    };
    for (int i = 0; i < kOnce; ++i) use(i);
    for (int pass = 0; pass < passes; ++pass) {
      for (int i = kOnce; i < kOnce + kRepeated; ++i) use(i);
    }
    EXPECT_GT(sum, 0);
    return peak;
  }

  std::string path_;
  MappedFile file_;
};

// Where a span of the file is not a multiple of pages, or a fault maps its neighbours, too.
constexpr int64_t kSlack = 1 << 20;

TEST_F(ResidencyTest, StaysBelowItsBudget) {
  for (const int sections : {1, 2, 3, 5}) {
    file_ = *MappedFile::Open(path_);
    auto r = *Residency::Create(Spans());
    ASSERT_TRUE(r->SetBudget(sections * kSection).ok());
    EXPECT_FALSE(r->AllFit());
    const int64_t peak = Peak(*r, 3);
    std::printf("budget %d MiB: at most %.1f MiB mapped\n", sections * 8,
                static_cast<double>(peak) / 0x1p20);
    EXPECT_LE(peak, sections * kSection + kSlack);
  }
}

TEST_F(ResidencyTest, WhatFitsStaysAndWhatWasUsedOnceGoes) {
  auto r = *Residency::Create(Spans());
  ASSERT_TRUE(r->SetBudget(kRepeated * kSection).ok());
  EXPECT_TRUE(r->AllFit());
  EXPECT_LE(Peak(*r, 2), kRepeated * kSection + kSlack);
  EXPECT_GE(Mapped(), kRepeated * kSection - kSlack);
  r->Leave();  // or the next section is still being read
  r->spans().Release();
  EXPECT_LE(Mapped(), kSlack);
}

TEST_F(ResidencyTest, TheNextSectionIsReadMeanwhile) {
  auto r = *Residency::Create(Spans());
  ASSERT_TRUE(r->SetBudget(3 * kSection).ok());
  r->Enter(kOnce);
  for (int i = 0; i < 500 && Mapped() < kSection; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_GE(Mapped(), kSection);  // of the next one: this one nobody has read
}

TEST_F(ResidencyTest, ASectionThatDoesNotFitIsRefused) {
  auto r = *Residency::Create(Spans());
  const Status refused = r->SetBudget(kSection - 1);
  EXPECT_EQ(refused.code(), Code::kNoSpace);
  EXPECT_NE(refused.message().find("needs 8 MiB"), std::string::npos) << refused.message();
}

// What is no mapped file must never be let go: its bytes would be lost.
TEST_F(ResidencyTest, MemoryOfItsOwnIsLeftAlone) {
  std::vector<float> own(1 << 20, 7.0f);
  WeightSpans spans;
  spans.Add(0, Use::kEveryStep, ViewOf(static_cast<const float*>(own.data()), {1024, 1024}));
  EXPECT_EQ(spans.RepeatedBytes(), 0);
  auto r = *Residency::Create(std::move(spans));
  r->Enter(0);
  r->Leave();
  r->spans().Release();
  EXPECT_EQ(own[12345], 7.0f);
}

}  // namespace
}  // namespace kontext
