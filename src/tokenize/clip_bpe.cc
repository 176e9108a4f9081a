#include "tokenize/clip_bpe.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "io/json.h"
#include "io/mapped_file.h"
#include "tokenize/added_tokens.h"
#include "tokenize/bpe_model.h"
#include "tokenize/clip_pretokenize.h"
#include "tokenize/utf8.h"

namespace kontext {
namespace {

constexpr const char* kBos = "<|startoftext|>";
constexpr const char* kEos = "<|endoftext|>";
constexpr int64_t kMaxFileBytes = 100 << 20;

bool Exists(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

struct Parts {
  BpeModel model;
  AddedTokens added;
};

Result<Parts> LoadVocabAndMerges(const std::string& vocab_path, const std::string& merges_path) {
  KX_ASSIGN_OR_RETURN(const Json vocab, ReadJsonFile(vocab_path));
  KX_ASSIGN_OR_RETURN(const std::string merges, ReadTextFile(merges_path, kMaxFileBytes));
  Parts parts;
  KX_ASSIGN_OR_RETURN(parts.model,
                      BpeModel::FromVocabAndMerges(vocab, vocab_path, merges, merges_path));
  return parts;
}

Result<Parts> LoadTokenizerJson(const std::string& path) {
  KX_ASSIGN_OR_RETURN(const Json root, ReadJsonFile(path));
  Parts parts;
  if (!root.is_object()) return BadInput("{}: expected an object, got {}", path, root.type_name());
  KX_ASSIGN_OR_RETURN(parts.model, BpeModel::FromTokenizerJson(root.value("model", Json()), path));
  if (root.contains("added_tokens")) {
    KX_ASSIGN_OR_RETURN(parts.added, AddedTokens::FromList(root["added_tokens"], path));
  }
  return parts;
}

// The text that the ids stand for, from which a cut may have taken the first bytes of a character.
std::string TextOf(const BpeModel& model, const int32_t* ids, size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += model.Text(ids[i]);
  while (!text.empty() && text.back() == ' ') text.pop_back();
  std::string clean;
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = CodePointAt(text, i);
    AppendUtf8(c.value, &clean);
    i = c.end;
  }
  return clean;
}

}  // namespace

struct ClipBpe::Impl {
  BpeModel model;
  AddedTokens added;
  int32_t bos = 0;
  int32_t eos = 0;
  int vocab_size = 0;
};

ClipBpe::ClipBpe(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ClipBpe::~ClipBpe() = default;
ClipBpe::ClipBpe(ClipBpe&&) noexcept = default;
ClipBpe& ClipBpe::operator=(ClipBpe&&) noexcept = default;

Result<ClipBpe> ClipBpe::Load(const std::string& folder) {
  const std::string vocab = folder + "/vocab.json", merges = folder + "/merges.txt";
  const std::string json = folder + "/tokenizer.json";
  const bool pair = Exists(vocab) && Exists(merges);
  if (!pair && !Exists(json)) {
    return BadInput("{}: no CLIP tokenizer; expected vocab.json and merges.txt, or tokenizer.json",
                    folder);
  }
  KX_ASSIGN_OR_RETURN(Parts parts,
                      pair ? LoadVocabAndMerges(vocab, merges) : LoadTokenizerJson(json));

  auto impl = std::make_unique<Impl>();
  impl->bos = parts.model.Find(kBos);
  impl->eos = parts.model.Find(kEos);
  if (impl->bos < 0 || impl->eos < 0) {
    return BadInput("{}: the vocabulary lacks {}; is this CLIP's?", pair ? vocab : json,
                    impl->bos < 0 ? kBos : kEos);
  }
  // As CLIP's own files say it: the end is sought in the raw text, the start in the lower-cased
  // one. Tokens that a tokenizer.json spells out itself come first and stay.
  parts.added.Add(kBos, {.id = impl->bos, .normalized = true});
  parts.added.Add(kEos, {.id = impl->eos});
  impl->vocab_size = parts.model.size();
  for (const auto& [content, token] : parts.added.tokens()) {
    const int32_t known = parts.model.Find(content);
    if (known >= 0 && known != token.id) {
      return BadInput("{}: {} has the id {} among the added tokens and {} in the vocabulary", json,
                      Quoted(content), token.id, known);
    }
    impl->vocab_size = std::max(impl->vocab_size, token.id + 1);
  }
  impl->model = std::move(parts.model);
  impl->added = std::move(parts.added);
  return ClipBpe(std::move(impl));
}

Result<TokenIds> ClipBpe::Encode(std::string_view text, int length) const {
  if (length < 2) return Usage("{} tokens cannot hold a start and an end; give at least 2", length);
  KX_RETURN_IF_ERROR(CheckPrompt(text));
  std::vector<int32_t> ids;
  for (const TextPart& part : impl_->added.Split(text, /*normalized=*/false)) {
    if (part.id >= 0) {
      ids.push_back(part.id);
      continue;
    }
    KX_ASSIGN_OR_RETURN(const std::string normalized, NormalizeForClip(part.text));
    for (const TextPart& inner : impl_->added.Split(normalized, /*normalized=*/true)) {
      if (inner.id >= 0) {
        ids.push_back(inner.id);
        continue;
      }
      for (std::string_view piece : SplitForClip(inner.text)) impl_->model.Encode(piece, &ids);
    }
  }

  TokenIds out;
  const size_t kept = std::min(ids.size(), static_cast<size_t>(length) - 2);
  out.ids.push_back(impl_->bos);
  out.ids.insert(out.ids.end(), ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(kept));
  out.ids.push_back(impl_->eos);
  out.used = static_cast<int>(out.ids.size());
  out.dropped = static_cast<int>(ids.size() - kept);
  out.dropped_text = TextOf(impl_->model, ids.data() + kept, ids.size() - kept);
  out.ids.resize(static_cast<size_t>(length), impl_->eos);
  return out;
}

int ClipBpe::vocab_size() const { return impl_->vocab_size; }
int32_t ClipBpe::eos_id() const { return impl_->eos; }

}  // namespace kontext
