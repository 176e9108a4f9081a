// Deleted turns can be brought back; purged ones are gone, with the inputs that were theirs alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "kontext/tree.h"
#include "scratch_folder.h"

namespace kontext {
namespace {

using ::testing::ElementsAre;

Pixels Grey(uint8_t level) { return {16, 16, 3, std::vector<uint8_t>(16 * 16 * 3, level)}; }

std::vector<int64_t> Ids(const Result<std::vector<Turn>>& turns) {
  std::vector<int64_t> ids;
  if (turns.ok()) {
    for (const Turn& t : *turns) ids.push_back(t.id);
  }
  return ids;
}

// 1 -> 2 -> 4, 1 -> 3
class Deletion : public testing::Test {
 protected:
  void SetUp() override {
    auto made = Tree::OpenOrCreate(path_);
    ASSERT_TRUE(made.ok()) << made.message();
    tree_.emplace(std::move(*made));
    ASSERT_TRUE(tree_->AddRoot("root", Grey(0)).ok());
    Add(1, 10);
    Add(1, 20);
    Add(2, 30);
  }
  int64_t Add(int64_t parent, uint8_t level) {
    Edited edited;
    edited.picture = Grey(level);
    edited.recipe = "{}";
    const auto id = tree_->AddEdit(parent, "edit", EditRequest(), edited);
    EXPECT_TRUE(id.ok()) << id.message();
    return id.ok() ? *id : 0;
  }
  ScratchFolder folder_;
  std::string path_ = folder_.path() + "/t.kontext";
  std::optional<Tree> tree_;
};

TEST_F(Deletion, TakesTheBranchAndGivesItBack) {
  const auto deletion = tree_->Delete(2);
  ASSERT_TRUE(deletion.ok()) << deletion.message();
  EXPECT_THAT(Ids(tree_->Turns()), ElementsAre(1, 3));
  EXPECT_THAT(Ids(tree_->Deleted()), ElementsAre(2, 4));
  EXPECT_EQ(tree_->Get(4)->deletion, *deletion);
  EXPECT_EQ(tree_->Delete(4).code(), Code::kUsage);
  EXPECT_EQ(tree_->Restore(*deletion + 1).code(), Code::kUsage);
  ASSERT_TRUE(tree_->Restore(*deletion).ok());
  EXPECT_THAT(Ids(tree_->Turns()), ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(tree_->Load(4)->picture.data, Grey(30).data);
}

TEST_F(Deletion, OfAChildThenItsParentComesBackWithBoth) {
  const auto child = tree_->Delete(4), parent = tree_->Delete(2);
  ASSERT_TRUE(child.ok() && parent.ok());
  EXPECT_NE(*child, *parent);
  ASSERT_TRUE(tree_->Restore(*child).ok());
  EXPECT_THAT(Ids(tree_->Turns()), ElementsAre(1, 2, 3, 4));
}

TEST_F(Deletion, AnEditThatWasUnderWayGoesWithItsParent) {
  const auto deletion = tree_->Delete(3);
  ASSERT_TRUE(deletion.ok());
  EXPECT_EQ(Add(3, 40), 5);
  EXPECT_THAT(Ids(tree_->Turns()), ElementsAre(1, 2, 4));
  ASSERT_TRUE(tree_->Restore(*deletion).ok());
  EXPECT_THAT(Ids(tree_->Turns()), ElementsAre(1, 2, 3, 4, 5));
}

TEST_F(Deletion, IsSeenByAnotherThatHasTheFileOpen) {
  const auto other = Tree::Open(path_);
  ASSERT_TRUE(other.ok() && tree_->Delete(3).ok());
  EXPECT_THAT(Ids(other->Turns()), ElementsAre(1, 2, 4));
}

TEST_F(Deletion, PurgedTurnsAreGone) {
  ASSERT_TRUE(tree_->Purge().ok());  // nothing to do
  ASSERT_TRUE(tree_->Delete(2).ok());
  ASSERT_TRUE(tree_->Purge().ok());
  EXPECT_THAT(Ids(tree_->Turns()), ElementsAre(1, 3));
  EXPECT_TRUE(tree_->Deleted()->empty());
  EXPECT_EQ(tree_->Get(2).code(), Code::kUsage);
  EXPECT_EQ(Add(3, 50), 5);  // numbers are not given twice
}

}  // namespace
}  // namespace kontext
