#include "serve/store.h"

#include <gtest/gtest.h>

#include "io/database.h"
#include "scratch_folder.h"
#include "serve/base64.h"

namespace kontext::serve {
namespace {

StoredEdit Make(const std::string& id, const std::string& owner) {
  StoredEdit e;
  e.id = id;
  e.owner = owner;
  e.state = "queued";
  e.request = {{"prompt", "make it night"}, {"seed", 7}};
  return e;
}

class StoreTest : public ::testing::Test {
 protected:
  void SetUp() override { Open(); }
  void Open() {
    store_.reset();
    auto opened = OpenSqliteStore(folder_.path());
    ASSERT_TRUE(opened.ok()) << opened.message();
    store_ = std::move(*opened);
  }
  std::vector<std::string> Order() {
    std::vector<std::string> ids;
    const auto waiting = store_->Waiting();
    EXPECT_TRUE(waiting.ok()) << waiting.message();
    for (const StoredEdit& e : *waiting) ids.push_back(e.id);
    return ids;
  }
  ScratchFolder folder_;
  std::unique_ptr<Store> store_;
};

TEST_F(StoreTest, OwnersTakeTurns) {
  for (const char* id : {"a1", "a2", "a3"}) {
    StoredEdit e = Make(id, "a");
    ASSERT_TRUE(store_->Add(e, {}, std::nullopt).ok());
  }
  StoredEdit e = Make("b1", "b");
  ASSERT_TRUE(store_->Add(e, {}, std::nullopt).ok());
  EXPECT_EQ(Order(), (std::vector<std::string>{"a1", "b1", "a2", "a3"}));
}

TEST_F(StoreTest, WhatRanGoesOnFirstAfterReopening) {
  ASSERT_TRUE(store_->Requeue("mini").ok());
  StoredEdit first = Make("first", "a"), second = Make("second", "b");
  ASSERT_TRUE(store_->Add(first, {}, std::nullopt).ok());
  ASSERT_TRUE(store_->Add(second, {}, std::nullopt).ok());
  second.state = "running";
  second.started = 5;
  ASSERT_TRUE(store_->Update(second).ok());
  ASSERT_TRUE(store_->SaveCheckpoint("second", {1, 3, {0.25f, -2.0f}}).ok());
  Open();
  EXPECT_EQ(Order(), std::vector<std::string>{"first"});
  ASSERT_TRUE(store_->Requeue("mini").ok());
  EXPECT_EQ(Order(), (std::vector<std::string>{"second", "first"}));
  const auto kept = *store_->LoadCheckpoint("second");
  ASSERT_TRUE(kept.has_value());
  EXPECT_EQ(kept->picture, 1);
  EXPECT_EQ(kept->step, 3);
  EXPECT_EQ(kept->latents, (std::vector<float>{0.25f, -2.0f}));
}

TEST_F(StoreTest, WhatAnotherEngineBeganBeginsItsPictureAnew) {
  StoredEdit e = Make("edit", "a");
  ASSERT_TRUE(store_->Requeue("mini").ok());
  ASSERT_TRUE(store_->Add(e, {}, std::nullopt).ok());
  ASSERT_TRUE(store_->SaveCheckpoint("edit", {1, 3, {0.25f}}).ok());
  ASSERT_TRUE(store_->Requeue("mini").ok());
  EXPECT_EQ((*store_->LoadCheckpoint("edit"))->step, 3);
  ASSERT_TRUE(store_->Requeue("dev").ok());
  const auto kept = *store_->LoadCheckpoint("edit");
  EXPECT_EQ(kept->picture, 1);
  EXPECT_EQ(kept->step, 0);
  EXPECT_TRUE(kept->latents.empty());
}

TEST_F(StoreTest, APictureIsKeptWhileAnEditUsesIt) {
  const NewPicture picture("picture");
  const std::string& hash = picture.hash;
  StoredEdit one = Make("one", ""), two = Make("two", "");
  one.inputs = two.inputs = {hash};
  ASSERT_TRUE(store_->Add(one, {picture}, std::nullopt).ok());
  ASSERT_TRUE(store_->Add(two, {picture}, std::nullopt).ok());
  ASSERT_TRUE(store_->Forget("one").ok());
  EXPECT_EQ(*store_->GetPicture(hash), "picture");
  two.finished = 9;
  ASSERT_TRUE(store_->Update(two).ok());
  ASSERT_TRUE(store_->Trim(7).ok());
  EXPECT_TRUE(store_->GetPicture(hash).ok());
  ASSERT_TRUE(store_->Trim(6).ok());
  EXPECT_FALSE(store_->GetPicture(hash).ok());
  EXPECT_FALSE(store_->Get("two")->has_value());
}

TEST_F(StoreTest, AnOwnersBoundLeavesOthersAlone) {
  const NewPicture shared("shared!"), old("old"), last("last");
  const auto add = [&](const char* id, const char* owner, const std::vector<NewPicture>& inputs,
                       double finished) {
    StoredEdit e = Make(id, owner);
    for (const NewPicture& input : inputs) e.inputs.push_back(input.hash);
    EXPECT_TRUE(store_->Add(e, inputs, std::nullopt).ok());
    e.finished = finished;
    EXPECT_TRUE(store_->Update(e).ok());
  };
  add("b1", "b", {shared}, 1);
  add("a1", "a", {shared, old}, 2);
  add("a2", "a", {shared, last}, 3);
  add("a3", "a", {}, 0);                         // waits
  ASSERT_TRUE(store_->TrimOwner("a", 14).ok());  // shared counts once
  EXPECT_TRUE(store_->Get("a1")->has_value());
  ASSERT_TRUE(store_->TrimOwner("a", 13).ok());
  EXPECT_FALSE(store_->Get("a1")->has_value());
  EXPECT_FALSE(store_->GetPicture(old.hash).ok());
  EXPECT_TRUE(store_->Get("a2")->has_value());
  ASSERT_TRUE(store_->TrimOwner("a", 0).ok());
  EXPECT_FALSE(store_->Get("a2")->has_value());
  EXPECT_TRUE(store_->Get("a3")->has_value());
  EXPECT_TRUE(store_->GetPicture(shared.hash).ok());
  EXPECT_TRUE(store_->Get("b1")->has_value());
}

TEST_F(StoreTest, DamagedRowsAreErrors) {
  StoredEdit e = Make("edit", "a");
  ASSERT_TRUE(store_->Add(e, {}, std::nullopt).ok());
  for (const char* damage : {"inputs = '[1]'", "inputs = '[', request = '{}'", "request = '[]'",
                             "notes = x'ff', request = '{}'"}) {
    store_.reset();
    const auto db = Database::Open(folder_.path() + "/edits.sqlite", false, "the store");
    ASSERT_TRUE(db.ok()) << db.message();
    ASSERT_TRUE((*db)->Execute((std::string("UPDATE edits SET ") + damage).c_str()).ok());
    Open();
    EXPECT_FALSE(store_->Get("edit").ok()) << damage;
    EXPECT_FALSE(store_->Waiting().ok()) << damage;
  }
}

TEST_F(StoreTest, AHeldPictureIsSeenAfterItsApprovalOnly) {
  const NewPicture picture("picture"), latents("latents");
  StoredEdit e = Make("held", "a");
  ASSERT_TRUE(store_->Add(e, {}, std::nullopt).ok());
  ASSERT_TRUE(store_
                  ->AddImage("held", {0, picture.hash, 7, 16, 16, 0.5, latents.hash},
                             {picture, latents}, true)
                  .ok());
  e.state = "review";
  ASSERT_TRUE(store_->Update(e).ok());
  Open();
  ASSERT_TRUE(store_->Requeue("mini").ok());
  ASSERT_TRUE(store_->Trim(0).ok());
  const auto waiting = *store_->InReview(0, 10);
  ASSERT_EQ(waiting.size(), 1u);
  EXPECT_TRUE(waiting[0].images.empty());
  ASSERT_EQ(waiting[0].held.size(), 1u);
  EXPECT_EQ(*store_->GetPicture(waiting[0].held[0].latents), "latents");
  EXPECT_TRUE(store_->InReview(waiting[0].number, 10)->empty());

  StoredEdit decided = waiting[0];
  decided.state = "ready";
  decided.finished = 9;
  ASSERT_TRUE(store_->Decide(decided, {0, "", "", true, "fine", "me", 9}).ok());
  const auto now = *store_->Get("held");
  EXPECT_EQ(now->images.size(), 1u);
  EXPECT_TRUE(now->held.empty());
  EXPECT_FALSE(store_->GetPicture(latents.hash).ok());  // of no use any more
  EXPECT_TRUE(store_->GetPicture(picture.hash).ok());
  ASSERT_TRUE(store_->Forget("held").ok());
  const auto decisions = *store_->Decisions(0, 10);
  ASSERT_EQ(decisions.size(), 1u);
  EXPECT_EQ(decisions[0].edit, "held");
  EXPECT_EQ(decisions[0].owner, "a");
  EXPECT_TRUE(decisions[0].approved);
}

TEST(Base64, ThereAndBackAndRefusals) {
  for (const char* text : {"", "a", "ab", "abc", "abcd"})
    EXPECT_EQ(FromBase64(ToBase64(text)), text);
  EXPECT_EQ(ToBase64("abcd"), "YWJjZA==");  // RFC 4648
  EXPECT_EQ(FromBase64("data:image/png;base64,YWJj"), "abc");
  EXPECT_FALSE(FromBase64("YWJ!").has_value());
  EXPECT_FALSE(FromBase64("Y").has_value());
  EXPECT_FALSE(FromBase64("https://example.org/a.png").has_value());
}

}  // namespace
}  // namespace kontext::serve
