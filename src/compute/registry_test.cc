#include "compute/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace kontext {
namespace {

using testing::HasSubstr;

class RegistryTest : public testing::Test {
 protected:
  void SetUp() override { unsetenv("KONTEXT_BACKEND"); }
  void TearDown() override { unsetenv("KONTEXT_BACKEND"); }
};

TEST_F(RegistryTest, MakesEveryNamedBackend) {
  for (const std::string& name : BackendNames()) {
    auto ops = MakeOps({.name = name, .dtype = "f32"});
    ASSERT_TRUE(ops.ok()) << ops.message();
    EXPECT_EQ((*ops)->name(), name);
    EXPECT_EQ((*ops)->activation_dtype(), DType::kF32);
  }
}

TEST_F(RegistryTest, ReferenceKeepsActivationsAsAsked) {
  EXPECT_EQ((*MakeOps({"reference", "bf16"}))->activation_dtype(), DType::kBF16);
  EXPECT_EQ((*MakeOps({"reference", ""}))->activation_dtype(), DType::kF32);
}

TEST_F(RegistryTest, NoNameIsTheFirst) {
  auto ops = MakeOps({});
  ASSERT_TRUE(ops.ok()) << ops.message();
  EXPECT_EQ((*ops)->name(), BackendNames().front());
}

TEST_F(RegistryTest, EnvironmentChoosesUnlessNamed) {
  setenv("KONTEXT_BACKEND", "reference", 1);
  EXPECT_EQ((*MakeOps({}))->name(), "reference");
  setenv("KONTEXT_BACKEND", "abacus", 1);
  EXPECT_EQ((*MakeOps({.name = "reference", .dtype = ""}))->name(), "reference");
  auto ops = MakeOps({});
  EXPECT_EQ(ops.code(), Code::kUsage);
  EXPECT_THAT(ops.message(), HasSubstr("KONTEXT_BACKEND"));
  EXPECT_THAT(ops.message(), HasSubstr("\"abacus\" is unknown"));
}

TEST_F(RegistryTest, UnknownNamesListTheKnown) {
  auto backend = MakeOps({.name = "abacus", .dtype = ""});
  EXPECT_EQ(backend.code(), Code::kUsage);
  for (const std::string& name : BackendNames()) EXPECT_THAT(backend.message(), HasSubstr(name));
  auto dtype = MakeOps({.name = "", .dtype = "int3"});
  EXPECT_EQ(dtype.code(), Code::kUsage);
  EXPECT_THAT(dtype.message(), HasSubstr("\"int3\" is unknown; expected bf16 or f32"));
}

}  // namespace
}  // namespace kontext
