#include "io/container.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <fstream>

namespace kontext {
namespace {

constexpr int64_t kMaxHeaderBytes = 100'000'000;  // of safetensors
constexpr size_t kHeadBytes = 512;

// u64 little-endian length, then a JSON object.
bool LooksLikeSafetensors(std::string_view head) {
  if (head.size() < 9) return false;
  uint64_t n = 0;
  for (size_t i = 0; i < 8; ++i) n |= uint64_t{static_cast<unsigned char>(head[i])} << (8 * i);
  return n >= 2 && n <= kMaxHeaderBytes && head[8] == '{';
}

// ModelProto (onnx.proto): field 1, ir_version, as a small varint, then the producer's name (2) or
// domain (4), the graph (7) or the operator sets (8), each with a length.
bool LooksLikeOnnx(std::string_view head) {
  return head.size() > 3 && head[0] == '\x08' && head[1] > 0 && head[1] < 64 &&
         (head[2] == '\x12' || head[2] == '\x1a' || head[2] == '\x22' || head[2] == '\x3a' ||
          head[2] == '\x42');
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

Container SniffText(std::string_view head) {
  const size_t start = head.find_first_not_of(" \t\r\n\xEF\xBB\xBF");
  if (start == std::string_view::npos) return Container::kUnknown;
  const std::string text = Lower(head.substr(start, 64));
  if (text.starts_with("version https://git-lfs")) return Container::kLfsPointer;
  for (const char* page : {"<!doctype", "<html", "<?xml", "<head", "<body"}) {
    if (text.starts_with(page)) return Container::kWebPage;
  }
  return text.starts_with("{") ? Container::kJson : Container::kUnknown;
}

}  // namespace

Container SniffContainer(std::string_view head, int64_t bytes) {
  if (bytes == 0) return Container::kEmpty;
  if (head.starts_with("GGUF")) return Container::kGguf;
  if (LooksLikeSafetensors(head)) return Container::kSafetensors;
  if (head.starts_with("PK\x03\x04")) return Container::kPickle;
  if (head.size() > 2 && head[0] == '\x80' && head[1] >= 2 && head[1] <= 5)
    return Container::kPickle;
  if (head.starts_with("ptrt") || head.starts_with("ftrt")) return Container::kTensorRt;
  if (LooksLikeOnnx(head)) return Container::kOnnx;
  return SniffText(head);
}

Result<Container> SniffFile(const std::string& path) {
  std::error_code ec;
  const std::filesystem::file_status status = std::filesystem::status(path, ec);
  if (ec) return BadInput("{}: cannot be examined: {}", path, ec.message());
  if (!std::filesystem::is_regular_file(status)) return BadInput("{}: is no regular file", path);
  std::ifstream file(path, std::ios::binary);
  std::array<char, kHeadBytes> head{};
  file.read(head.data(), static_cast<std::streamsize>(head.size()));
  const auto got = static_cast<size_t>(file.gcount());
  if (file.bad() || (got == 0 && !file.eof())) return BadInput("{}: cannot be read", path);
  return SniffContainer({head.data(), got}, static_cast<int64_t>(got));
}

ContainerWords Describe(Container container) {
  switch (container) {
    case Container::kSafetensors:
      return {"safetensors", ""};
    case Container::kGguf:
      return {"GGUF", ""};
    case Container::kEmpty:
      return {"an empty file", "the download did not begin; get it again"};
    case Container::kPickle:
      return {"a zip archive or PyTorch pickle",
              "pickles can run code when opened and are never read; get the .safetensors file of "
              "the same model"};
    case Container::kOnnx:
      return {
          "an ONNX graph",
          "exporters keep the names of biases only, and matrices under numbers, transposed; get "
          "the .safetensors file of the same model"};
    case Container::kTensorRt:
      return {"a TensorRT engine",
              "engines are compiled for one GPU; get the .safetensors file of the same model"};
    case Container::kLfsPointer:
      return {"a Git LFS pointer",
              "the file itself was not downloaded; run \"git lfs pull\", or download it in the "
              "browser"};
    case Container::kWebPage:
      return {"a web page",
              "the download went wrong (a login or licence page was saved); accept the model's "
              "licence on its page, log in and download it again"};
    case Container::kJson:
      return {"JSON", "this is no weight file"};
    case Container::kUnknown:
      break;
  }
  return {"an unknown format", "this is no weight file that is known here, or a broken one"};
}

}  // namespace kontext
