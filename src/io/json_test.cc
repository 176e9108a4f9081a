#include "io/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scratch_folder.h"

namespace kontext {
namespace {

using ::testing::HasSubstr;

TEST(Json, ReadsWhatItShould) {
  const auto json = ParseJson(R"( {"a": [1, -2.5, "\u00e9", null, true], "b": {}} )", "text");
  ASSERT_TRUE(json.ok()) << json.message();
  EXPECT_EQ((*json)["a"][2], "\xC3\xA9");
  EXPECT_EQ(json->size(), 2u);
}

TEST(Json, SaysWhatIsWrong) {
  const struct {
    const char* text;
    const char* reason;
  } cases[] = {
      {"", "no JSON"},
      {"{\"a\": 1", "no JSON"},
      {"{\"a\": 1} x", "no JSON"},
      {"{a: 1}", "no JSON"},
      {"[NaN]", "no JSON"},
      {"[1e999]", "no JSON"},
      {"[\"\xFF\"]", "no JSON"},
      {"[\"\xC0\x80\"]", "no JSON"},
      {"{\"a\": 1, \"b\": {\"a\": 2}, \"a\": 3}", "\"a\" stands twice"},
      {"{\"a\": 1, \"\\u0061\": 3}", "\"a\" stands twice"},
  };
  for (const auto& c : cases) {
    const auto json = ParseJson(c.text, "config.json");
    ASSERT_FALSE(json.ok()) << c.text;
    EXPECT_EQ(json.code(), Code::kBadInput);
    EXPECT_THAT(json.message(), HasSubstr(c.reason)) << c.text;
    EXPECT_THAT(json.message(), HasSubstr("config.json"));
    for (const char m : json.message()) EXPECT_TRUE(m >= ' ' && m <= '~') << json.message();
  }
}

TEST(Json, LimitsHoldAtTheirEdge) {
  const auto nested = [](int depth) {
    return std::string(static_cast<size_t>(depth), '[') +
           std::string(static_cast<size_t>(depth), ']');
  };
  EXPECT_TRUE(ParseJson(nested(64), "x").ok());
  EXPECT_THAT(ParseJson(nested(65), "x").message(), HasSubstr("more than 64 levels"));
  EXPECT_FALSE(ParseJson(std::string(1 << 20, '['), "x").ok());
  EXPECT_FALSE(ParseJson(std::string(1 << 20, '{'), "x").ok());
  EXPECT_TRUE(ParseJson("[1,2,3]", "x", {.max_values = 4}).ok());
  EXPECT_THAT(ParseJson("[1,2,3,4]", "x", {.max_values = 4}).message(),
              HasSubstr("more than 4 values"));
  EXPECT_TRUE(ParseJson("[1,2]", "x", {.max_bytes = 5}).ok());
  EXPECT_THAT(ParseJson("[1,23]", "x", {.max_bytes = 5}).message(), HasSubstr("the limit is 5"));
}

TEST(Json, FieldsAreCheckedForTypeAndRange) {
  const Json object = {{"n", 5},          {"big", UINT64_MAX}, {"text", "five"}, {"half", 0.5},
                       {"negative", -50}, {"list", {1, 2}},    {"five", 5.0}};
  const auto in = [&](const char* field) { return JsonInt(object, field, -10, 10, "config"); };
  ASSERT_TRUE(in("n").ok());
  EXPECT_EQ(*in("n"), 5);
  for (const char* field : {"big", "text", "half", "negative", "list", "five", "absent"}) {
    EXPECT_EQ(in(field).code(), Code::kBadInput) << field;
    EXPECT_THAT(in(field).message(), HasSubstr(field));
    EXPECT_THAT(in(field).message(), HasSubstr("config"));
  }
  EXPECT_FALSE(JsonInt(object, "n", 6, 9, "config").ok());
  EXPECT_TRUE(JsonInt(object, "n", 5, 5, "config").ok());
  EXPECT_FALSE(JsonInt(Json(3), "n", 0, 9, "config").ok());
  EXPECT_EQ(*JsonNumber(object, "half", 0, 1, "config"), 0.5);
  EXPECT_EQ(*JsonNumber(object, "n", 0, 9, "config"), 5.0);
  EXPECT_FALSE(JsonNumber(object, "half", 0.6, 1, "config").ok());
  EXPECT_FALSE(JsonNumber(object, "text", 0, 1, "config").ok());
}

TEST(Json, QuotedTextIsSafeToPrint) {
  EXPECT_EQ(Quoted("img_in.bias"), "\"img_in.bias\"");
  EXPECT_EQ(Quoted("\x1b[2J\n"), "\"\\u001b[2J\\n\"");
  EXPECT_EQ(Quoted("\xC3\xA9"), "\"\\u00e9\"");
  EXPECT_EQ(Quoted("\xFF"), "\"\\ufffd\"");
  EXPECT_THAT(Quoted(std::string(1000, 'x')), HasSubstr("(1000 bytes)"));
}

TEST(Json, FilesAreNamedInMessages) {
  const ScratchFolder folder;
  folder.Write("good.json", "{\"a\": 1}");
  folder.Write("bad.json", "{");
  EXPECT_TRUE(ReadJsonFile(folder.path() + "/good.json").ok());
  EXPECT_THAT(ReadJsonFile(folder.path() + "/bad.json").message(), HasSubstr("/bad.json"));
  EXPECT_THAT(ReadJsonFile(folder.path() + "/none.json").message(), HasSubstr("/none.json"));
}

}  // namespace
}  // namespace kontext
