#include "tokenize/t5_unigram.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "io/json.h"
#include "io/mapped_file.h"
#include "tokenize/t5_parts.h"
#include "tokenize/utf8.h"

namespace kontext {
namespace {

constexpr int64_t kMaxModelBytes = 100 << 20;
constexpr int kDefaultLength = 512;     // T5 v1.1 as FLUX.1 uses it
constexpr int64_t kMaxLength = 100000;  // above it the field means "no limit" (HF writes 1e30)

bool Exists(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

int MaxLength(const Json& config) {
  const auto it = config.find("model_max_length");
  if (it == config.end() || !it->is_number()) return kDefaultLength;
  const double length = it->get<double>();
  return length >= 1 && length <= kMaxLength ? static_cast<int>(length) : kDefaultLength;
}

// `text` from `begin` on with spaces again, without those at its ends.
std::string Readable(const std::string& text, size_t begin) {
  std::string out;
  for (size_t i = begin; i < text.size();) {
    if (std::string_view(text).substr(i, kMetaspace.size()) == kMetaspace) {
      out += ' ';
      i += kMetaspace.size();
    } else {
      out += text[i++];
    }
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  out.erase(0, std::min(out.find_first_not_of(' '), out.size()));
  return out;
}

}  // namespace

struct T5Unigram::Impl {
  T5Parts parts;
  int max_length = kDefaultLength;
};

T5Unigram::T5Unigram(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
T5Unigram::~T5Unigram() = default;
T5Unigram::T5Unigram(T5Unigram&&) noexcept = default;
T5Unigram& T5Unigram::operator=(T5Unigram&&) noexcept = default;

Result<T5Unigram> T5Unigram::Load(const std::string& folder) {
  const std::string spiece = folder + "/spiece.model", json = folder + "/tokenizer.json";
  const std::string config_path = folder + "/tokenizer_config.json";
  Json config = Json::object();
  if (Exists(config_path)) {
    KX_ASSIGN_OR_RETURN(config, ReadJsonFile(config_path));
    if (!config.is_object()) {
      return BadInput("{}: expected an object, got {}", config_path, config.type_name());
    }
  }
  auto impl = std::make_unique<Impl>();
  impl->max_length = MaxLength(config);
  if (Exists(spiece)) {
    KX_ASSIGN_OR_RETURN(const std::string bytes, ReadTextFile(spiece, kMaxModelBytes));
    KX_ASSIGN_OR_RETURN(impl->parts, T5FromSentencePiece(bytes, config, spiece));
  } else if (Exists(json)) {
    KX_ASSIGN_OR_RETURN(const Json root, ReadJsonFile(json));
    KX_ASSIGN_OR_RETURN(impl->parts, T5FromTokenizerJson(root, json));
  } else {
    return BadInput("{}: no T5 tokenizer; expected spiece.model or tokenizer.json", folder);
  }
  return T5Unigram(std::move(impl));
}

Result<TokenIds> T5Unigram::Encode(std::string_view text, int length) const {
  if (length < 1) return Usage("{} tokens cannot hold an end; give at least 1", length);
  KX_ASSIGN_OR_RETURN(T5Tokens tokens, impl_->parts.Tokenize(text));
  const size_t kept = std::min(tokens.ids.size(), static_cast<size_t>(length) - 1);
  TokenIds out;
  out.dropped = static_cast<int>(tokens.ids.size() - kept);
  if (out.dropped > 0) out.dropped_text = Readable(tokens.text, tokens.begin[kept]);
  out.ids = std::move(tokens.ids);
  out.ids.resize(kept);
  out.ids.push_back(impl_->parts.eos);
  out.used = static_cast<int>(out.ids.size());
  out.ids.resize(static_cast<size_t>(length), impl_->parts.pad);
  return out;
}

Result<TokenIds> T5Unigram::EncodeWhole(std::string_view text) const {
  KX_ASSIGN_OR_RETURN(T5Tokens tokens, impl_->parts.Tokenize(text));
  TokenIds out;
  out.ids = std::move(tokens.ids);
  out.ids.push_back(impl_->parts.eos);
  out.used = static_cast<int>(out.ids.size());
  return out;
}

int T5Unigram::vocab_size() const { return impl_->parts.vocab_size; }
int T5Unigram::max_length() const { return impl_->max_length; }

}  // namespace kontext
