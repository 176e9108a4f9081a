#include "tokenize/t5_parts.h"

#include <algorithm>
#include <utility>

#include "tokenize/sentencepiece_file.h"
#include "tokenize/utf8.h"

namespace kontext {
namespace {

constexpr int64_t kMaxExtraIds = 10000;  // T5 has 100

// Finds </s> and <pad> among the pieces and the added tokens, which must agree, and counts the ids.
Status FindSpecials(const std::string& what, T5Parts* parts) {
  parts->vocab_size = parts->model.size();
  for (const auto& [content, token] : parts->added.tokens()) {
    const int32_t known = parts->model.Find(content);
    if (known >= 0 && known != token.id) {
      return BadInput("{}: {} has the id {} among the added tokens and {} among the pieces", what,
                      Quoted(content), token.id, known);
    }
    parts->vocab_size = std::max(parts->vocab_size, token.id + 1);
  }
  for (const auto& [content, id] :
       {std::pair{"</s>", &parts->eos}, std::pair{"<pad>", &parts->pad}}) {
    const auto added = parts->added.tokens().find(content);
    *id = added != parts->added.tokens().end() ? added->second.id : parts->model.Find(content);
    if (*id < 0) return BadInput("{}: the vocabulary lacks {}; is this T5's?", what, content);
  }
  return Status();
}

Result<UnigramVocab> ReadVocab(const Json& vocab, const std::string& what) {
  if (!vocab.is_array()) {
    return BadInput("{}: model.vocab is of type {}, expected a list", what, vocab.type_name());
  }
  UnigramVocab pieces;
  pieces.reserve(vocab.size());
  for (const Json& entry : vocab) {
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number()) {
      return BadInput("{}: model.vocab[{}] is {}, expected [\"piece\", score]", what, pieces.size(),
                      Quoted(entry.dump()));
    }
    pieces.emplace_back(entry[0].get<std::string>(), entry[1].get<double>());
  }
  return pieces;
}

// The <extra_id_N> of a spiece.model are not in the file: tokenizer_config.json lists them, or says
// how many there are. The last one follows the last piece, <extra_id_0> is the very last.
Status AddExtraIds(const Json& config, int pieces, const std::string& what, AddedTokens* added) {
  if (config.contains("added_tokens_decoder")) {
    KX_ASSIGN_OR_RETURN(*added, AddedTokens::FromDecoder(config["added_tokens_decoder"], what));
    return Status();
  }
  if (!config.contains("extra_ids")) return Status();
  KX_ASSIGN_OR_RETURN(const int64_t count, JsonInt(config, "extra_ids", 0, kMaxExtraIds, what));
  for (int i = 0; i < count; ++i) {
    added->Add(fmt::format("<extra_id_{}>", i), {.id = pieces + static_cast<int>(count) - 1 - i});
  }
  return Status();
}

}  // namespace

Result<T5Parts> T5FromTokenizerJson(const Json& root, const std::string& what) {
  if (!root.is_object() || !root.contains("model") || !root["model"].is_object()) {
    return BadInput("{}: expected an object with the object \"model\"", what);
  }
  const Json& model = root["model"];
  if (model.value("type", Json()) != Json("Unigram") || !model.contains("vocab")) {
    return BadInput("{}: its model is not a Unigram with a vocab, as T5's is", what);
  }
  if (model.value("byte_fallback", Json(false)) != Json(false)) {
    return BadInput("{}: its model has byte_fallback, which T5 does not", what);
  }
  T5Parts parts;
  KX_ASSIGN_OR_RETURN(auto vocab, ReadVocab(model["vocab"], what));
  KX_ASSIGN_OR_RETURN(const int64_t unk_id, JsonInt(model, "unk_id", 0, INT32_MAX, what));
  KX_ASSIGN_OR_RETURN(parts.model, UnigramModel::Make(std::move(vocab), unk_id, what));
  if (root.contains("added_tokens")) {
    KX_ASSIGN_OR_RETURN(parts.added, AddedTokens::FromList(root["added_tokens"], what));
  }
  KX_ASSIGN_OR_RETURN(parts.pretokenizer,
                      T5Pretokenizer::FromJson(root.value("normalizer", Json()),
                                               root.value("pre_tokenizer", Json()), what));
  KX_RETURN_IF_ERROR(FindSpecials(what, &parts));
  return parts;
}

Result<T5Parts> T5FromSentencePiece(std::string_view bytes, const Json& config,
                                    const std::string& what) {
  T5Parts parts;
  KX_ASSIGN_OR_RETURN(SentencePieceFile file, ReadSentencePieceFile(bytes, what));
  KX_ASSIGN_OR_RETURN(parts.model, UnigramModel::Make(std::move(file.vocab), file.unk_id, what));
  KX_RETURN_IF_ERROR(AddExtraIds(config, parts.model.size(), what, &parts.added));
  for (const char* content : {"</s>", "<pad>", "<unk>"}) {
    if (const int32_t id = parts.model.Find(content); id >= 0) parts.added.Add(content, {.id = id});
  }
  KX_ASSIGN_OR_RETURN(PrecompiledCharsmap map, PrecompiledCharsmap::Parse(file.charsmap, what));
  parts.pretokenizer = T5Pretokenizer::ForSentencePiece(std::move(map));
  KX_RETURN_IF_ERROR(FindSpecials(what, &parts));
  return parts;
}

Result<T5Tokens> T5Parts::Tokenize(std::string_view text) const {
  KX_RETURN_IF_ERROR(CheckPrompt(text));
  T5Tokens out;
  const auto add_words = [&](const TextPart& part, bool at_start) -> Status {
    KX_ASSIGN_OR_RETURN(const auto words, pretokenizer.Split(part.text, at_start));
    std::vector<PieceSpan> pieces;
    for (const std::string& word : words) {
      pieces.clear();
      model.Segment(word, &pieces);
      for (const PieceSpan& piece : pieces) {
        out.ids.push_back(piece.id);
        out.begin.push_back(out.text.size() + piece.begin);
      }
      out.text += word;
    }
    return Status();
  };
  for (const TextPart& part : added.Split(text, /*normalized=*/false)) {
    if (part.id < 0) {
      KX_RETURN_IF_ERROR(add_words(part, part.text.data() == text.data()));
      continue;
    }
    out.ids.push_back(part.id);
    out.begin.push_back(out.text.size());
    out.text += part.text;
  }
  return out;
}

}  // namespace kontext
