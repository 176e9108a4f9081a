#include "io/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "io/safetensors.h"
#include "scratch_folder.h"

namespace kontext {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kIndex[] = "model.safetensors.index.json";

// A .safetensors file of F32 tensors [1] of these names.
void WriteShard(const ScratchFolder& folder, const std::string& file,
                const std::vector<std::string>& names) {
  static const float one = 1.0f;
  std::map<std::string, ConstTensorView> tensors;
  for (const std::string& name : names) tensors.emplace(name, ViewOf(&one, {1}));
  const Status status = WriteSafetensors(folder.path() + "/" + file, tensors, {{"file", file}});
  ASSERT_TRUE(status.ok()) << status.message();
}

void WriteTwoShards(const ScratchFolder& folder) {
  WriteShard(folder, "1.safetensors", {"a", "b"});
  WriteShard(folder, "2.safetensors", {"c"});
  folder.Write(kIndex, R"({"metadata": {"total_size": 12}, "weight_map":
      {"a": "1.safetensors", "b": "1.safetensors", "c": "2.safetensors"}})");
}

TEST(Checkpoint, OpensOneFileOrItsFolder) {
  const ScratchFolder folder;
  WriteShard(folder, "model.safetensors", {"a", "b"});
  for (const std::string& path : {folder.path(), folder.path() + "/model.safetensors"}) {
    const auto checkpoint = Checkpoint::Open(path);
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.message();
    EXPECT_EQ(checkpoint->tensors().size(), 2u);
    EXPECT_EQ(checkpoint->tensors().at("a").As<float>()[0], 1.0f);
    EXPECT_EQ(checkpoint->metadata().at("file"), "model.safetensors");
    EXPECT_EQ(checkpoint->files().size(), 1u);
  }
}

TEST(Checkpoint, OpensShardsByTheirIndexOrFolder) {
  const ScratchFolder folder;
  WriteTwoShards(folder);
  for (const std::string& path : {folder.path(), folder.path() + "/" + kIndex}) {
    auto opened = Checkpoint::Open(path);
    ASSERT_TRUE(opened.ok()) << opened.message();
    const Checkpoint checkpoint = std::move(*opened);  // views survive the move
    EXPECT_EQ(checkpoint.tensors().size(), 3u);
    EXPECT_EQ(checkpoint.tensors().at("c").As<float>()[0], 1.0f);
    EXPECT_EQ(checkpoint.files().size(), 2u);
  }
}

TEST(Checkpoint, ListsAllMissingShards) {
  const ScratchFolder folder;
  WriteTwoShards(folder);
  std::filesystem::remove(folder.path() + "/1.safetensors");
  std::filesystem::remove(folder.path() + "/2.safetensors");
  EXPECT_THAT(
      Checkpoint::Open(folder.path()).message(),
      AllOf(HasSubstr("2 of its 2 files"), HasSubstr("1.safetensors"), HasSubstr("2.safetensors")));
}

TEST(Checkpoint, ListsAllTensorsThatAreNotWhereTheIndexSays) {
  const ScratchFolder folder;
  WriteTwoShards(folder);
  WriteShard(folder, "1.safetensors", {"b"});
  WriteShard(folder, "2.safetensors", {"d"});
  EXPECT_THAT(Checkpoint::Open(folder.path()).message(),
              AllOf(HasSubstr("2 tensors"), HasSubstr("\"a\" in \"1.safetensors\""),
                    HasSubstr("\"c\" in \"2.safetensors\"")));
}

TEST(Checkpoint, RefusesNamesInTwoShards) {
  const ScratchFolder folder;
  WriteTwoShards(folder);
  WriteShard(folder, "2.safetensors", {"a", "c"});
  EXPECT_THAT(Checkpoint::Open(folder.path()).message(),
              AllOf(HasSubstr("\"a\""), HasSubstr("earlier file")));
}

TEST(Checkpoint, RefusesBrokenIndices) {
  const ScratchFolder outer;
  WriteShard(outer, "outside.safetensors", {"a"});
  const std::string inner = outer.path() + "/inner";
  std::filesystem::create_directory(inner);
  const std::string absolute =
      R"({"weight_map": {"a": ")" + outer.path() + R"(/outside.safetensors"}})";
  const struct {
    std::string index;
    const char* reason;
  } cases[] = {
      {R"({"weight_map": {"a": "../outside.safetensors"}})", "without a folder"},
      {absolute, "without a folder"},
      {R"({"weight_map": {"a": "..\\outside.safetensors"}})", "without a folder"},
      {R"({"weight_map": {"a": "x\u0000.safetensors"}})", "without a folder"},
      {R"({"weight_map": {"a": ".."}})", "without a folder"},
      {R"({"weight_map": {"a": "model.bin"}})", "model.bin"},
      {R"({"weight_map": {"a": 3}})", "no file name"},
      {R"({"weight_map": {}})", "is empty"},
      {R"({"weight_map": []})", "weight_map"},
      {"[]", "weight_map"},
      {"", "no JSON"},
  };
  for (const auto& c : cases) {
    outer.Write(std::string("inner/") + kIndex, c.index);
    const auto checkpoint = Checkpoint::Open(inner);
    ASSERT_FALSE(checkpoint.ok()) << c.index;
    EXPECT_EQ(checkpoint.code(), Code::kBadInput);
    EXPECT_THAT(checkpoint.message(), HasSubstr(c.reason));
  }
}

TEST(Checkpoint, RefusesToGuess) {
  const ScratchFolder folder;
  EXPECT_THAT(Checkpoint::Open(folder.path()).message(), HasSubstr("holds no *.safetensors"));
  WriteTwoShards(folder);
  WriteShard(folder, "other.safetensors", {"a"});
  EXPECT_THAT(Checkpoint::Open(folder.path()).message(),
              AllOf(HasSubstr("name the one you mean"), HasSubstr("other.safetensors")));
  std::filesystem::remove(folder.path() + "/" + kIndex);
  EXPECT_THAT(Checkpoint::Open(folder.path()).message(),
              AllOf(HasSubstr("more than one"), HasSubstr("1.safetensors")));
}

TEST(Checkpoint, SaysWhatAForeignFileIs) {
  const ScratchFolder folder;
  const struct {
    std::string head;
    const char* name;
  } cases[] = {{"GGUF", "GGUF"},
               {"PK\x03\x04", "pickle"},
               {"\x80\x02}q", "pickle"},
               {"version https://git-lfs.github.com/spec/v1\n", "Git LFS"},
               {"<!DOCTYPE html>", "web page"},
               {"\x08\x07\x12\x07pytorch", "ONNX"},
               {"ptrt1234", "TensorRT"},
               {"something else altogether", "no safetensors file"},
               {"x", "too few"}};
  for (const auto& c : cases) {
    folder.Write("f", c.head);
    const auto checkpoint = Checkpoint::Open(folder.path() + "/f");
    EXPECT_EQ(checkpoint.code(), Code::kBadInput) << c.name;
    EXPECT_THAT(checkpoint.message(), HasSubstr(c.name));
  }
  EXPECT_THAT(Checkpoint::Open(folder.path() + "/none").message(), HasSubstr("No such file"));
}

}  // namespace
}  // namespace kontext
