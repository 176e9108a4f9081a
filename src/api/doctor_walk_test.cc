// Bounds of the walk: circles of links, depth, counts, unreadable things.
#include "api/doctor_walk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "scratch_folder.h"

namespace kontext {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using namespace std::string_literals;

const std::string kSafetensors = "\x08\0\0\0\0\0\0\0{}      "s;

TEST(DoctorWalk, CirclesEndAndLinkedFilesAreSeenOnce) {
  const ScratchFolder folder;
  fs::create_directories(folder.path() + "/a/b");
  folder.Write("a/b/x.safetensors", kSafetensors);
  fs::create_directory_symlink(folder.path(), folder.path() + "/a/b/up");
  fs::create_symlink(folder.path() + "/a/b/x.safetensors", folder.path() + "/again.safetensors");
  fs::create_symlink(folder.path() + "/absent", folder.path() + "/gone.safetensors");
  const Result<Walked> walked = WalkFolder(folder.path());
  ASSERT_TRUE(walked.ok()) << walked.message();
  EXPECT_THAT(walked->weights, ElementsAre(folder.path() + "/a/b/x.safetensors"));
  EXPECT_THAT(walked->notes, ElementsAre(HasSubstr("gone.safetensors")));
}

TEST(DoctorWalk, BoundsAreSaid) {
  const ScratchFolder folder;
  fs::create_directories(folder.path() + "/1/2/3");
  for (const char* name : {"a.gguf", "b.gguf", "c.gguf", "1/2/3/d.gguf"})
    folder.Write(name, "GGUF");
  const auto count = [&](const WalkLimits& limits) {
    const Result<Walked> walked = WalkFolder(folder.path(), limits);
    return std::pair(walked->weights.size(), walked->notes.size());
  };
  EXPECT_EQ(count({}), std::pair(size_t{4}, size_t{0}));
  EXPECT_EQ(count({.depth = 2}), std::pair(size_t{3}, size_t{1}));
  EXPECT_EQ(count({.weights = 2}), std::pair(size_t{2}, size_t{1}));
  EXPECT_EQ(count({.entries = 2}).second, size_t{1});
}

TEST(DoctorWalk, WhatStandsInThePlaceOfWeights) {
  const ScratchFolder folder;
  folder.Write("a.safetensors.part", kSafetensors);
  folder.Write("b.safetensors", "");
  folder.Write("c.txt", "hello");
  folder.Write("d.safetensors", "hello");
  fs::create_directories(folder.path() + "/.hidden");
  folder.Write(".hidden/e.safetensors", kSafetensors);
  const Result<Walked> walked = WalkFolder(folder.path());
  EXPECT_THAT(walked->weights, IsEmpty());
  ASSERT_EQ(walked->odd.size(), 3u);
  EXPECT_THAT(walked->odd[0].what, HasSubstr("unfinished"));
  EXPECT_THAT(walked->odd[1].what, HasSubstr("empty"));
  EXPECT_FALSE(WalkFolder(folder.path() + "/c.txt").ok());
}

}  // namespace
}  // namespace kontext
