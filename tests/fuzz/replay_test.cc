// Every input of a fuzz target's corpus once through the target, without libFuzzer: what a fuzzer
// has found stays found, in every build and under every compiler.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>

#include "io/mapped_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace kontext {
namespace {

TEST(FuzzCorpus, KX_CORPUS_NAME) {
  int inputs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(KX_CORPUS)) {
    SCOPED_TRACE(entry.path().string());
    const auto bytes = ReadTextFile(entry.path().string(), 1 << 24);
    ASSERT_TRUE(bytes.ok()) << bytes.message();
    // A target that finds a promise broken aborts: this line names the input that did it.
    std::printf("%s\n", entry.path().filename().c_str());
    std::fflush(stdout);
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes->data()), bytes->size());
    ++inputs;
  }
  EXPECT_GE(inputs, 5) << KX_CORPUS;
}

}  // namespace
}  // namespace kontext
