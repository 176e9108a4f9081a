#include "model/variant.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/sha256.h"

namespace kontext {
namespace {

using testing::HasSubstr;

const std::string kKontextSum = "843a26dc765d3105dba081c30bce7b14c65b0988f9e8d14e9fbc8856a6deebd5";

TEST(Variant, SumBeforeMetadataBeforeName) {
  const std::map<std::string, std::string> dev = {{"title", "FLUX.1-dev"}}, none;
  const ToldVariant by_sum = TellVariant(kKontextSum, 1, dev, "flux1-dev.safetensors");
  EXPECT_EQ(by_sum.variant, Variant::kKontext);
  EXPECT_THAT(by_sum.text, HasSubstr("by its SHA-256"));
  const ToldVariant by_size = TellVariant("", 23802932552, none, "kontext.safetensors");
  EXPECT_EQ(by_size.variant, Variant::kDev);
  EXPECT_THAT(by_size.text, HasSubstr("by its size"));
  // A sum that was made and is unknown outweighs a size that is known.
  EXPECT_EQ(TellVariant(std::string(64, '0'), 23802932552, none, "x").variant, Variant::kUnknown);
  const ToldVariant by_metadata = TellVariant("", 1, dev, "flux1-kontext-dev.safetensors");
  EXPECT_EQ(by_metadata.variant, Variant::kDev);
  EXPECT_THAT(by_metadata.text, HasSubstr("by the metadata \"title\""));
  EXPECT_THAT(TellVariant("", 1, none, "flux1-kontext-dev.safetensors").text,
              HasSubstr("by the name"));
}

TEST(Variant, NamesFromTheFileUpwards) {
  const auto by_name = [](const char* path) { return TellVariant("", 0, {}, path).variant; };
  EXPECT_EQ(by_name("Flux1-Dev-Kontext_fp8_scaled.safetensors"), Variant::kKontext);
  EXPECT_EQ(by_name("kontext things/flux1-dev.safetensors"), Variant::kDev);
  EXPECT_EQ(by_name("models--black-forest-labs--FLUX.1-Kontext-dev/snapshots/a/transformer"),
            Variant::kKontext);
  EXPECT_EQ(by_name("flux1-krea-dev.safetensors"), Variant::kOther);
  EXPECT_EQ(by_name("developer/model.safetensors"), Variant::kUnknown);
  EXPECT_EQ(by_name("/home/kontext/1/2/3/4/x.safetensors"), Variant::kUnknown);
  EXPECT_EQ(by_name(""), Variant::kUnknown);
}

TEST(Published, SumsAndSizesAreThoseOfOneFile) {
  const PublishedFile* kontext = PublishedBySum(kKontextSum);
  ASSERT_NE(kontext, nullptr);
  EXPECT_EQ(PublishedBySize(kontext->bytes), kontext);
  EXPECT_EQ(kontext->variant, Variant::kKontext);
  EXPECT_EQ(PublishedBySize(0), nullptr);
  EXPECT_EQ(PublishedBySum(""), nullptr);
  const Result<std::string> sum = Sha256OfFile(KX_SOURCE_DIR "/LICENSE");
  ASSERT_TRUE(sum.ok()) << sum.message();
  EXPECT_EQ(sum->size(), 64u);
  EXPECT_FALSE(Sha256OfFile(KX_SOURCE_DIR "/absent").ok());
}

}  // namespace
}  // namespace kontext
