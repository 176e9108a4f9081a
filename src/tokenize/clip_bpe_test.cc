#include "tokenize/clip_bpe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <numeric>
#include <string>

#include "io/json.h"
#include "io/mapped_file.h"
#include "scratch_folder.h"

namespace kontext {
namespace {

using ::testing::HasSubstr;

const std::string kMini = KX_SOURCE_DIR "/models/mini/tokenizer";

std::string MiniFile(const std::string& name) {
  Result<std::string> text = ReadTextFile(kMini + "/" + name, 1 << 24);
  EXPECT_TRUE(text.ok()) << text.message();
  return text.ok() ? *text : "";
}

ClipBpe Mini() {
  Result<ClipBpe> clip = ClipBpe::Load(kMini);
  EXPECT_TRUE(clip.ok()) << clip.message();
  return std::move(*clip);
}

// Loads the miniature's vocabulary after `change`.
Result<ClipBpe> LoadChanged(const std::function<void(Json* vocab, std::string* merges)>& change) {
  ScratchFolder folder;
  Json vocab = Json::parse(MiniFile("vocab.json"));
  std::string merges = MiniFile("merges.txt");
  change(&vocab, &merges);
  folder.Write("vocab.json", vocab.dump());
  folder.Write("merges.txt", merges);
  return ClipBpe::Load(folder.path());
}

// The same vocabulary in the form of a tokenizer.json.
Json TokenizerJson(bool merges_as_pairs) {
  Json merges = Json::array();
  std::istringstream lines(MiniFile("merges.txt"));
  std::string left, right;
  std::getline(lines, left);  // "#version: 0.2"
  while (lines >> left >> right) {
    merges.push_back(merges_as_pairs ? Json{left, right} : Json(left + " " + right));
  }
  const Json vocab = Json::parse(MiniFile("vocab.json"));
  const auto token = [&](const std::string& content, bool normalized) {
    return Json{{"id", vocab[content]}, {"content", content}, {"normalized", normalized}};
  };
  return {
      {"added_tokens", {token("<|startoftext|>", true), token("<|endoftext|>", false)}},
      {"model",
       {{"type", "BPE"}, {"end_of_word_suffix", "</w>"}, {"vocab", vocab}, {"merges", merges}}}};
}

TEST(ClipBpe, CutsAndKeepsTheEnd) {
  const ClipBpe clip = Mini();
  std::string text;
  for (int i = 0; i < 100; ++i) text += "cat ";
  const Result<TokenIds> out = clip.Encode(text + "sad robot", 77);
  ASSERT_TRUE(out.ok()) << out.message();
  EXPECT_EQ(out->ids.size(), 77u);
  EXPECT_EQ(out->ids.front(), 1075);
  EXPECT_EQ(out->ids.back(), clip.eos_id());
  EXPECT_NE(out->ids[75], clip.eos_id());
  EXPECT_EQ(out->used, 77);
  EXPECT_EQ(out->dropped, 27);
  EXPECT_TRUE(out->dropped_text.ends_with("cat cat sad robot")) << out->dropped_text;
}

TEST(ClipBpe, PadsWithTheEnd) {
  const ClipBpe clip = Mini();
  const Result<TokenIds> out = clip.Encode("", 5);
  ASSERT_TRUE(out.ok());
  EXPECT_EQ(out->ids, (std::vector<int32_t>{1075, 1076, 1076, 1076, 1076}));
  EXPECT_EQ(out->used, 2);
  EXPECT_EQ(out->dropped, 0);
  EXPECT_EQ(out->dropped_text, "");
  EXPECT_EQ(clip.Encode("cat", 1).code(), Code::kUsage);
}

TEST(ClipBpe, DroppedTextIsUtf8WhereverTheCutFalls) {
  const ClipBpe clip = Mini();
  for (int length = 2; length < 20; ++length) {
    const Result<TokenIds> out = clip.Encode("a 🦊🦊🦊 猫の写真", length);
    ASSERT_TRUE(out.ok());
    EXPECT_NO_THROW(Json(out->dropped_text).dump()) << length;  // throws on bad UTF-8
  }
}

TEST(ClipBpe, NamesTheByteThatIsNoUtf8) {
  const ClipBpe clip = Mini();
  for (const std::string bad :
       {"abc\xFF", "abc\xC3", "abc\xE2\x82", "abc\xED\xA0\x80", "abc\xC0\x80"}) {
    const Result<TokenIds> out = clip.Encode(bad, 77);
    EXPECT_EQ(out.code(), Code::kBadInput);
    EXPECT_THAT(out.message(), HasSubstr("byte 3 "));
  }
}

TEST(ClipBpe, TokenizerJsonGivesTheSameIds) {
  const ClipBpe clip = Mini();
  for (bool pairs : {false, true}) {
    ScratchFolder folder;
    folder.Write("tokenizer.json", TokenizerJson(pairs).dump());
    const Result<ClipBpe> other = ClipBpe::Load(folder.path());
    ASSERT_TRUE(other.ok()) << other.message();
    EXPECT_EQ(other->vocab_size(), 1077);
    for (const char* text : {"put the cat in the city", "Don't<|endoftext|>make it café 12!"}) {
      EXPECT_EQ(other->Encode(text, 77)->ids, clip.Encode(text, 77)->ids) << text;
    }
  }
}

// One long piece and many short ones: with a heap, ten times the text takes about ten times as
// long, and 1 MB well under a second; a quadratic merge of 1 MB would take minutes.
TEST(ClipBpe, LongPromptsTakeLinearTime) {
  const ClipBpe clip = Mini();
  std::string many;
  while (many.size() < 1'000'000) many += "put the cat in the forest ";
  for (const std::string& text : {std::string(1'000'000, 'a'), many}) {
    const auto begin = std::chrono::steady_clock::now();
    const Result<TokenIds> out = clip.Encode(text, 77);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    ASSERT_TRUE(out.ok());
    EXPECT_GT(out->dropped, 100'000);
    EXPECT_LT(seconds.count(), 20) << "observed " << seconds.count() << " s";
    RecordProperty("seconds", std::to_string(seconds.count()));
  }
  EXPECT_EQ(clip.Encode(std::string((16 << 20) + 1, 'a'), 77).code(), Code::kBadInput);
}

struct HostileCase {
  const char* name;
  std::function<void(Json*, std::string*)> change;
  const char* message;
};

TEST(ClipBpe, HostileFilesAreErrorsThatSayWhy) {
  const HostileCase cases[] = {
      {"duplicate id", [](Json* v, std::string*) { (*v)["!"] = (*v)["\""]; }, "have the same id"},
      {"negative id", [](Json* v, std::string*) { (*v)["!"] = -1; }, "has the id -1"},
      {"too large", [](Json* v, std::string*) { (*v)["!"] = 1077; }, "need the ids 0 to 1076"},
      {"huge", [](Json* v, std::string*) { (*v)["!"] = UINT64_MAX; }, "need the ids 0 to 1076"},
      {"no integer", [](Json* v, std::string*) { (*v)["!"] = 1.5; }, "expected an integer"},
      {"a string", [](Json* v, std::string*) { (*v)["!"] = "0"; }, "expected an integer"},
      {"byte missing",
       [](Json* v, std::string*) {
         (*v)["new"] = (*v)["!"];
         v->erase("!");
       },
       "the token \"!\" of byte 33 is missing"},
      {"no start",
       [](Json* v, std::string*) {
         (*v)["new"] = (*v)["<|startoftext|>"];
         v->erase("<|startoftext|>");
       },
       "lacks <|startoftext|>"},
      {"a list", [](Json* v, std::string*) { *v = Json::array(); }, "expected an object"},
      {"empty", [](Json* v, std::string*) { *v = Json::object(); }, "got an empty one"},
      {"merge unknown", [](Json*, std::string* m) { *m += "zq x\n"; }, "line 565: \"zq\""},
      {"merged unknown", [](Json*, std::string* m) { *m += "z q\n"; }, "merged token \"zq\""},
      {"merge twice", [](Json*, std::string* m) { *m += "t h\n"; }, "a second time"},
      {"one part", [](Json*, std::string* m) { *m += "th\n"; }, "two tokens"},
      {"three parts", [](Json*, std::string* m) { *m += "t h e\n"; }, "two tokens"},
      {"a line of 90 MB", [](Json*, std::string* m) { m->append(90'000'000, 'x'); }, "two tokens"},
      {"two such tokens",
       [](Json*, std::string* m) {
         m->append(40'000'000, 'x');
         *m += ' ';
         m->append(40'000'000, 'x');
       },
       "(40000000 bytes) is not in the vocabulary"},
      {"too many bytes", [](Json*, std::string* m) { m->append(110'000'000, 'x'); }, "merges.txt"},
  };
  for (const HostileCase& c : cases) {
    const Result<ClipBpe> clip = LoadChanged(c.change);
    EXPECT_EQ(clip.code(), Code::kBadInput) << c.name;
    EXPECT_THAT(clip.message(), HasSubstr(c.message)) << c.name;
    EXPECT_LT(clip.message().size(), 1000u) << c.name;
  }
}

TEST(ClipBpe, HostileTokenizerJsonsAreErrors) {
  const std::pair<std::function<void(Json*)>, const char*> cases[] = {
      {[](Json* j) { *j = Json::array(); }, "expected an object"},
      {[](Json* j) { (*j)["model"]["type"] = "Unigram"; }, "not a BPE"},
      {[](Json* j) { (*j)["model"]["end_of_word_suffix"] = 7; }, "not a BPE"},
      {[](Json* j) { j->erase("model"); }, "not a BPE"},
      {[](Json* j) { (*j)["model"].erase("merges"); }, "needs the object vocab"},
      {[](Json* j) { (*j)["model"]["merges"][3] = 5; }, "merges[3]"},
      {[](Json* j) {
         (*j)["model"]["merges"][3] = {"a", "b", "c"};
       },
       "merges[3]"},
      {[](Json* j) {
         (*j)["model"]["merges"][3] = {"a", 5};
       },
       "merges[3]"},
      {[](Json* j) { (*j)["model"]["merges"][3] = "ab"; }, "merges[3]"},
      {[](Json* j) { (*j)["added_tokens"] = 5; }, "added_tokens is of type number"},
      {[](Json* j) { (*j)["added_tokens"][0]["id"] = -5; }, "id"},
      {[](Json* j) { (*j)["added_tokens"][0]["id"] = 3; }, "among the added tokens"},
      {[](Json* j) { (*j)["added_tokens"][0]["content"] = ""; }, "has 0 bytes"},
      {[](Json* j) { (*j)["added_tokens"][0].erase("content"); }, "no text"},
      {[](Json* j) { (*j)["added_tokens"][0]["rstrip"] = "yes"; }, "expected true or false"},
      {[](Json* j) { (*j)["added_tokens"][0]["single_word"] = true; }, "single_word"},
  };
  const Json good = TokenizerJson(true);
  for (const auto& [change, message] : cases) {
    Json json = good;
    change(&json);
    ScratchFolder folder;
    folder.Write("tokenizer.json", json.dump());
    const Result<ClipBpe> clip = ClipBpe::Load(folder.path());
    EXPECT_EQ(clip.code(), Code::kBadInput) << message;
    EXPECT_THAT(clip.message(), HasSubstr(message));
  }
}

TEST(ClipBpe, SaysWhichFilesItWants) {
  const Result<ClipBpe> clip = ClipBpe::Load("/nowhere");
  EXPECT_EQ(clip.code(), Code::kBadInput);
  EXPECT_THAT(clip.message(), HasSubstr("vocab.json and merges.txt"));
}

}  // namespace
}  // namespace kontext
