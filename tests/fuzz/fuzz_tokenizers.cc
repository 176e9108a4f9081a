// libFuzzer: the tokenizers with hostile files and hostile prompts. The first byte chooses what the
// rest is: a T5 tokenizer.json, a spiece.model, a CLIP merges.txt, vocab.json or tokenizer.json, or
// a prompt for the miniature's two tokenizers.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "io/json.h"
#include "io/mapped_file.h"
#include "tokenize/bpe_model.h"
#include "tokenize/clip_bpe.h"
#include "tokenize/t5_parts.h"
#include "tokenize/t5_unigram.h"

#ifndef KX_SOURCE_DIR
#define KX_SOURCE_DIR "."  // run it from the project's root
#endif

namespace kontext {
namespace {

const char kPrompt[] = "Put  the c\u00e4t\u0301 in\tthe \u732b\U0001F98A </s> 12's\u2581<x> ";

// A promise that does not hold ends the run, so that libFuzzer keeps the input.
void Require(bool holds) {
  if (!holds) std::abort();
}

template <class T>
T Loaded(Result<T> result) {
  Require(result.ok());
  return std::move(*result);
}

void RunT5(const Result<T5Parts>& parts) {
  if (!parts.ok()) {
    Require(!parts.message().empty());
    return;
  }
  const Result<T5Tokens> tokens = parts->Tokenize(kPrompt);
  if (!tokens.ok()) return;
  Require(tokens->ids.size() == tokens->begin.size());
  for (int32_t id : tokens->ids) Require(id >= 0 && id < parts->vocab_size);
  for (size_t begin : tokens->begin) Require(begin <= tokens->text.size());
}

void FuzzT5Json(std::string_view bytes) {
  const Result<Json> json = ParseJson(bytes, "fuzz");
  if (json.ok()) RunT5(T5FromTokenizerJson(*json, "fuzz"));
}

void FuzzSpiece(std::string_view bytes) {
  RunT5(T5FromSentencePiece(bytes, Json::object(), "fuzz"));
}

void RunBpe(const Result<BpeModel>& model) {
  if (!model.ok()) return;
  std::vector<int32_t> ids;
  model->Encode(kPrompt, &ids);
  for (int32_t id : ids) {
    Require(id >= 0 && id < model->size());
    model->Text(id);
  }
}

void FuzzMerges(std::string_view bytes) {
  static const Json vocab = Loaded(ReadJsonFile(KX_SOURCE_DIR "/models/mini/tokenizer/vocab.json"));
  RunBpe(BpeModel::FromVocabAndMerges(vocab, "vocab", bytes, "merges"));
}

void FuzzClipJson(std::string_view bytes) {
  const Result<Json> json = ParseJson(bytes, "fuzz");
  if (!json.ok()) return;
  RunBpe(BpeModel::FromVocabAndMerges(*json, "vocab", "t h\n", "merges"));
  RunBpe(BpeModel::FromTokenizerJson(*json, "fuzz"));
}

void CheckIds(const Result<TokenIds>& out, size_t length, int vocab_size) {
  if (!out.ok()) {
    Require(out.code() == Code::kBadInput);  // the prompt is not UTF-8
    return;
  }
  Require(out->ids.size() == length && out->used <= static_cast<int>(length));
  for (int32_t id : out->ids) Require(id >= 0 && id < vocab_size);
  Require(out->dropped == 0 || out->used == static_cast<int>(length));
  Require(out->dropped > 0 || out->dropped_text.empty());
  Require(ParseJson(Json(out->dropped_text).dump(), "dropped").ok());  // throws if not UTF-8
}

void FuzzPrompt(std::string_view bytes) {
  static const ClipBpe clip = Loaded(ClipBpe::Load(KX_SOURCE_DIR "/models/mini/tokenizer"));
  static const T5Unigram t5 = Loaded(T5Unigram::Load(KX_SOURCE_DIR "/models/mini/tokenizer_2"));
  static const T5Parts json = Loaded(T5FromTokenizerJson(
      Loaded(ReadJsonFile(KX_SOURCE_DIR "/models/mini/tokenizer_2/tokenizer.json")), "mini"));
  CheckIds(clip.Encode(bytes, 77), 77, clip.vocab_size());
  CheckIds(t5.Encode(bytes, 48), 48, t5.vocab_size());
  const Result<T5Tokens> own = json.Tokenize(bytes);
  // Without a special token's "<" both forms of the vocabulary give the same ids.
  if (!own.ok() || bytes.find('<') != std::string_view::npos) return;
  Result<TokenIds> library = t5.EncodeWhole(bytes);
  Require(library.ok());
  library->ids.pop_back();  // </s>
  Require(library->ids == own->ids);
}

}  // namespace
}  // namespace kontext

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0]) {
    case 'j':
      kontext::FuzzT5Json(bytes);
      break;
    case 's':
      kontext::FuzzSpiece(bytes);
      break;
    case 'm':
      kontext::FuzzMerges(bytes);
      break;
    case 'c':
      kontext::FuzzClipJson(bytes);
      break;
    default:
      kontext::FuzzPrompt(bytes);
  }
  return 0;
}
