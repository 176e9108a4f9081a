#include "tokenize/t5_unigram.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>

#include "io/json.h"
#include "io/mapped_file.h"
#include "scratch_folder.h"

namespace kontext {
namespace {

using ::testing::HasSubstr;
using Ids = std::vector<int32_t>;

const std::string kMini = KX_SOURCE_DIR "/models/mini/tokenizer_2";
const std::string kFlux = KX_SOURCE_DIR "/models/flux1-tokenizers/tokenizer_2";

std::string MiniFile(const std::string& name) {
  Result<std::string> text = ReadTextFile(kMini + "/" + name, 1 << 24);
  EXPECT_TRUE(text.ok()) << text.message();
  return text.ok() ? *text : "";
}

Result<T5Unigram> LoadFiles(const std::vector<std::pair<std::string, std::string>>& files) {
  ScratchFolder folder;
  for (const auto& [name, content] : files) folder.Write(name, content);
  return T5Unigram::Load(folder.path());
}

// A tokenizer from JSON texts; `pieces` follow 0 <pad>, 1 </s>, 2 <unk>.
Result<T5Unigram> Small(const std::string& pre_tokenizer, const std::string& pieces,
                        const std::string& added = "[]", const std::string& normalizer = "null") {
  const std::string vocab = R"([["<pad>", 0], ["</s>", 0], ["<unk>", 0], )" + pieces + "]";
  const std::string model = R"({"type": "Unigram", "unk_id": 2, "vocab": )" + vocab + "}";
  return LoadFiles({{"tokenizer.json", R"({"model": )" + model + R"(, "added_tokens": )" + added +
                                           R"(, "normalizer": )" + normalizer +
                                           R"(, "pre_tokenizer": )" + pre_tokenizer + "}"}});
}

// A Metaspace rule with further fields, each with a comma in front.
std::string Metaspace(const std::string& fields) {
  return R"({"type": "Metaspace", "replacement": "▁")" + fields + "}";
}

TEST(T5Unigram, CutsAndKeepsTheEnd) {
  const Result<T5Unigram> t5 = T5Unigram::Load(kMini);
  ASSERT_TRUE(t5.ok()) << t5.message();
  std::string text;
  for (int i = 0; i < 60; ++i) text += "cat ";
  const Ids whole = t5->EncodeWhole(text + "the robot")->ids;
  const Result<TokenIds> out = t5->Encode(text + "the robot", t5->max_length());
  ASSERT_TRUE(out.ok()) << out.message();
  EXPECT_EQ(out->ids.size(), 48u);
  EXPECT_EQ(out->used, 48);
  EXPECT_EQ(out->ids.back(), 1);
  EXPECT_TRUE(std::equal(out->ids.begin(), out->ids.end() - 1, whole.begin()));
  EXPECT_EQ(static_cast<size_t>(out->dropped), whole.size() - 48);
  EXPECT_TRUE(out->dropped_text.ends_with("cat cat the robot")) << out->dropped_text;
  EXPECT_EQ(t5->Encode("cat", 0).code(), Code::kUsage);
}

TEST(T5Unigram, PadsWithZero) {
  const Result<T5Unigram> t5 = T5Unigram::Load(kMini);
  ASSERT_TRUE(t5.ok());
  const Result<TokenIds> out = t5->Encode("  ", 4);
  ASSERT_TRUE(out.ok());
  EXPECT_EQ(out->ids, (Ids{1, 0, 0, 0}));
  EXPECT_EQ(out->used, 1);
  EXPECT_EQ(t5->Encode("ab\xFF", 4).code(), Code::kBadInput);
}

TEST(T5Unigram, MaxLengthComesFromTheConfig) {
  const std::string json = MiniFile("tokenizer.json");
  EXPECT_EQ(LoadFiles({{"tokenizer.json", json}})->max_length(), 512);
  for (const auto& [text, want] : {std::pair{"48", 48},
                                   {"1e30", 512},
                                   {"100001", 512},
                                   {"0", 512},
                                   {"-3", 512},
                                   {"\"x\"", 512},
                                   {"100000", 100000}}) {
    const std::string config = std::string("{\"model_max_length\": ") + text + "}";
    const Result<T5Unigram> t5 =
        LoadFiles({{"tokenizer.json", json}, {"tokenizer_config.json", config}});
    ASSERT_TRUE(t5.ok()) << t5.message();
    EXPECT_EQ(t5->max_length(), want) << text;
  }
  EXPECT_EQ(LoadFiles({{"tokenizer.json", json}, {"tokenizer_config.json", "[]"}}).code(),
            Code::kBadInput);
}

TEST(T5Unigram, ExtraIdsOfASpieceModel) {
  const std::string spiece = MiniFile("spiece.model");
  for (
      const char* config :
      {R"({"extra_ids": 100})",
       R"({"added_tokens_decoder": {"629": {"content": "<extra_id_0>"}, "530": {"content": "<extra_id_99>"}}})"}) {
    const Result<T5Unigram> t5 =
        LoadFiles({{"spiece.model", spiece}, {"tokenizer_config.json", config}});
    ASSERT_TRUE(t5.ok()) << t5.message();
    EXPECT_EQ(t5->vocab_size(), 630);
    EXPECT_EQ(t5->EncodeWhole("<extra_id_0><extra_id_99>")->ids, (Ids{629, 530, 1}));
  }
  EXPECT_EQ(LoadFiles({{"spiece.model", spiece}, {"tokenizer_config.json", R"({"extra_ids": -1})"}})
                .code(),
            Code::kBadInput);
}

// Unknown characters become one id; the best sum wins, not the longest piece.
TEST(T5Unigram, FusesUnknownsAndTakesTheBestSum) {
  const Result<T5Unigram> t5 =
      Small(Metaspace(R"(, "prepend_scheme": "first")"),
            R"(["▁", -1.0], ["a", -2.0], ["b", -2.0], ["ab", -5.0], ["▁c", -1.0], ["bb", -3.0])");
  ASSERT_TRUE(t5.ok()) << t5.message();
  EXPECT_EQ(t5->EncodeWhole("ab")->ids, (Ids{3, 4, 5, 1}));  // -2-2 > -5
  EXPECT_EQ(t5->EncodeWhole("bb")->ids, (Ids{3, 8, 1}));     // -3 > -2-2
  EXPECT_EQ(t5->EncodeWhole("axyzb c")->ids, (Ids{3, 4, 2, 5, 7, 1}));
}

TEST(T5Unigram, WhereMetaspacePrepends) {
  const std::pair<const char*, Ids> cases[] = {
      {R"(, "prepend_scheme": "always")", {3, 4, 1, 3, 4, 3, 4, 1}},
      {R"(, "prepend_scheme": "first")", {3, 4, 1, 4, 3, 4, 1}},
      {R"(, "prepend_scheme": "never")", {4, 1, 4, 3, 4, 1}},
      {"", {3, 4, 1, 3, 4, 3, 4, 1}},
      {R"(, "add_prefix_space": false)", {4, 1, 4, 3, 4, 1}},
      {R"(, "add_prefix_space": true, "prepend_scheme": "first")", {3, 4, 1, 4, 3, 4, 1}},
  };
  for (const auto& [fields, want] : cases) {
    const Result<T5Unigram> t5 = Small(Metaspace(fields), R"(["▁", -1.0], ["a", -1.0])",
                                       R"([{"id": 1, "content": "</s>"}])");
    ASSERT_TRUE(t5.ok()) << t5.message();
    EXPECT_EQ(t5->EncodeWhole("a</s>a a")->ids, want) << fields;
  }
}

// Where SentencePiece 0.1.97's own search differs from Hugging Face's: a NUL between characters
// that are pieces, and sums that tie but for rounding ("r oo t" and "ro o t" after "▁i{").
TEST(T5Unigram, NulsAndTiesAsHuggingFaceHasThem) {
  const Result<T5Unigram> spiece = T5Unigram::Load(kMini);
  const Result<T5Unigram> json = LoadFiles({{"tokenizer.json", MiniFile("tokenizer.json")}});
  ASSERT_TRUE(spiece.ok() && json.ok());
  using namespace std::string_literals;
  for (const T5Unigram* t5 : {&*spiece, &*json}) {
    EXPECT_EQ(t5->EncodeWhole("the sa \0cat"s)->ids, (Ids{71, 139, 4, 2, 169, 92, 1}));
    EXPECT_EQ(t5->EncodeWhole("i{root"s)->ids, (Ids{4, 16, 2, 10, 120, 5, 1}));
  }
}

// Some exports of T5 let <extra_id_N> swallow the spaces around it.
TEST(T5Unigram, AddedTokensMayStrip) {
  const Result<T5Unigram> t5 =
      Small(Metaspace(R"(, "prepend_scheme": "never")"), R"(["▁", -1.0], ["a", -1.0])",
            R"([{"id": 5, "content": "<x>", "lstrip": true, "rstrip": true},
                {"id": 6, "content": "<x>y"}])");
  ASSERT_TRUE(t5.ok()) << t5.message();
  EXPECT_EQ(t5->vocab_size(), 7);
  EXPECT_EQ(t5->EncodeWhole("a  <x>\t a")->ids, (Ids{4, 5, 4, 1}));
  EXPECT_EQ(t5->EncodeWhole("a <x>ya")->ids, (Ids{4, 3, 6, 4, 1}));  // the longest
  EXPECT_EQ(t5->EncodeWhole("<x> <x>")->ids, (Ids{5, 5, 1}));
}

TEST(T5Unigram, NormalizerRules) {
  const Result<T5Unigram> t5 =
      Small(R"({"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}]})",
            R"(["a", -1.0], ["b", -1.0], ["c", -1.0])", "[]",
            R"({"type": "Sequence", "normalizers": [
                {"type": "Strip", "strip_left": true, "strip_right": false},
                {"type": "Replace", "pattern": {"String": "ab"}, "content": "c"}]})");
  ASSERT_TRUE(t5.ok()) << t5.message();
  EXPECT_EQ(t5->EncodeWhole("\u3000 abab b\ta ")->ids, (Ids{5, 5, 4, 3, 1}));
}

TEST(T5Unigram, LongPromptsTakeLinearTime) {
  for (const std::string& folder : {kMini, kFlux}) {
    const Result<T5Unigram> t5 = T5Unigram::Load(folder);
    ASSERT_TRUE(t5.ok());
    std::string many;
    while (many.size() < 1'000'000) many += "put the cat in the forest ";
    for (const std::string& text : {std::string(1'000'000, 'a'), many}) {
      const auto begin = std::chrono::steady_clock::now();
      EXPECT_TRUE(t5->EncodeWhole(text).ok());
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
      EXPECT_LT(seconds.count(), 20) << "observed " << seconds.count() << " s";
      RecordProperty("seconds", std::to_string(seconds.count()));
    }
  }
}

TEST(T5Unigram, HostileTokenizerJsonsAreErrors) {
  const std::string blob_past_end = "EAAAAAAAAAA=";  // says 16 bytes of trie, has 4
  const std::pair<std::function<void(Json*)>, const char*> cases[] = {
      {[](Json* j) { *j = Json::array(); }, "object \"model\""},
      {[](Json* j) { (*j)["model"]["type"] = "BPE"; }, "not a Unigram"},
      {[](Json* j) { (*j)["model"]["byte_fallback"] = true; }, "byte_fallback"},
      {[](Json* j) { (*j)["model"]["vocab"] = 5; }, "expected a list"},
      {[](Json* j) { (*j)["model"]["vocab"][7] = {"x"}; }, "vocab[7]"},
      {[](Json* j) {
         (*j)["model"]["vocab"][7] = {"x", "y"};
       },
       "vocab[7]"},
      {[](Json* j) { (*j)["model"]["vocab"][7][0] = ""; }, "piece 7"},
      {[](Json* j) { (*j)["model"]["vocab"][7][0] = std::string(1025, 'x'); }, "piece 7"},
      {[](Json* j) { (*j)["model"]["vocab"][7][0] = "e"; }, "the pieces 3 and 7 are the same"},
      {[](Json* j) { (*j)["model"]["vocab"] = Json::array(); }, "unk_id"},
      {[](Json* j) { (*j)["model"]["unk_id"] = 530; }, "unk_id is 530"},
      {[](Json* j) { (*j)["model"]["unk_id"] = -1; }, "unk_id"},
      {[](Json* j) { (*j)["model"].erase("unk_id"); }, "unk_id"},
      {[](Json* j) { (*j)["added_tokens"][1]["id"] = 9; }, "has the id 9"},
      {[](Json* j) { (*j)["normalizer"]["precompiled_charsmap"] = "a"; }, "base64"},
      {[](Json* j) { (*j)["normalizer"]["precompiled_charsmap"] = "a*=="; }, "base64"},
      {[&](Json* j) { (*j)["normalizer"]["precompiled_charsmap"] = blob_past_end; }, "the trie"},
      {[](Json* j) { (*j)["normalizer"]["precompiled_charsmap"] = 5; }, "expected a string"},
      {[](Json* j) {
         (*j)["normalizer"] = {{"type", "NFKC"}};
       },
       "\"NFKC\""},
      {[](Json* j) {
         (*j)["normalizer"] = {{"type", "Sequence"}};
       },
       "normalizers"},
      {[](Json* j) { (*j)["normalizer"] = 5; }, "normalizer"},
      {[](Json* j) {
         (*j)["normalizer"] = {{"type", "Replace"}, {"pattern", {{"Regex", "a*"}}}};
       },
       "expected a String"},
      {[](Json* j) {
         (*j)["pre_tokenizer"] = {{"type", "ByteLevel"}};
       },
       "\"ByteLevel\""},
      {[&](Json* j) {
         (*j)["pre_tokenizer"] = Json::parse(R"({"type": "Metaspace", "replacement": ""})");
       },
       "Metaspace"},
      {[&](Json* j) {
         (*j)["pre_tokenizer"] = Json::parse(Metaspace(R"(, "prepend_scheme": "x")"));
       },
       "\"x\""},
      {[&](Json* j) { (*j)["pre_tokenizer"] = Json::parse(Metaspace(R"(, "split": 5)")); },
       "split"},
  };
  const Json good = Json::parse(MiniFile("tokenizer.json"));
  for (const auto& [change, message] : cases) {
    Json json = good;
    change(&json);
    const Result<T5Unigram> t5 = LoadFiles({{"tokenizer.json", json.dump()}});
    EXPECT_EQ(t5.code(), Code::kBadInput) << message;
    EXPECT_THAT(t5.message(), HasSubstr(message));
  }
}

// Every file that a cut leaves is refused or gives a tokenizer that works; nothing is printed.
TEST(T5Unigram, TruncatedSpieceModels) {
  const std::string whole = MiniFile("spiece.model");
  testing::internal::CaptureStderr();
  int refused = 0;
  for (size_t size = 0; size < whole.size(); size += size < 6000 ? 97 : 9973) {
    const Result<T5Unigram> t5 = LoadFiles({{"spiece.model", whole.substr(0, size)}});
    if (t5.ok()) {
      EXPECT_TRUE(t5->EncodeWhole("put the cat").ok());
    } else {
      EXPECT_EQ(t5.code(), Code::kBadInput) << t5.message();
      ++refused;
    }
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_GT(refused, 60);
}

TEST(T5Unigram, HostileSpieceModelsAreErrors) {
  using namespace std::string_literals;
  const std::string whole = MiniFile("spiece.model");
  const std::pair<std::string, const char*> cases[] = {
      {""s, "SentencePiece cannot read it"},
      {"version https://git-lfs.github.com/spec/v1\n"s, "not a SentencePiece model"},
      {whole + "\x12\x02\x18\x02"s, "of type 2, expected 1"},  // trainer: BPE
      {whole + "\x0A\x03\x0A\x01"
               "e"s,
       "SentencePiece cannot read it"},                               // "e" a second time
      {whole + "\x0A\x02\x0A\x00"s, "SentencePiece cannot read it"},  // an empty piece
      {whole + "\x0A\x08\x0A\x01\x10\x15\x00\x00\xC0\x7F"s, "must be 1 to 1024"},  // score NaN
      {whole + "\x1A\x04\x12\x02"
               "ab"s,
       "the trie"},                                                        // a map of two bytes
      {whole + "\x0A\xFF\xFF\xFF\xFF\x0F"s, "not a SentencePiece model"},  // 4 GB of piece
  };
  testing::internal::CaptureStderr();
  for (const auto& [bytes, message] : cases) {
    const Result<T5Unigram> t5 = LoadFiles({{"spiece.model", bytes}});
    EXPECT_EQ(t5.code(), Code::kBadInput) << bytes.size() - whole.size();
    EXPECT_THAT(t5.message(), HasSubstr(message));
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(T5Unigram, SaysWhichFilesItWants) {
  const Result<T5Unigram> t5 = T5Unigram::Load("/nowhere");
  EXPECT_EQ(t5.code(), Code::kBadInput);
  EXPECT_THAT(t5.message(), HasSubstr("spiece.model or tokenizer.json"));
}

}  // namespace
}  // namespace kontext
