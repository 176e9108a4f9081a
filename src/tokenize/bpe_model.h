// A byte-level BPE vocabulary with word ends, in OpenAI's CLIP layout: pieces of text -> ids.
#ifndef KONTEXT_TOKENIZE_BPE_MODEL_H_
#define KONTEXT_TOKENIZE_BPE_MODEL_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/status.h"
#include "io/json.h"

namespace kontext {

class BpeModel {
 public:
  // `vocab`: the object token -> id of a vocab.json. `merges`: the text of a merges.txt.
  static Result<BpeModel> FromVocabAndMerges(const Json& vocab, const std::string& vocab_name,
                                             std::string_view merges,
                                             const std::string& merges_name);
  // `model`: the "model" of a tokenizer.json.
  static Result<BpeModel> FromTokenizerJson(const Json& model, const std::string& what);

  // Appends the ids of one piece: its bytes as symbols, the last one with </w>, merged by rank.
  void Encode(std::string_view piece, std::vector<int32_t>* ids) const;

  // The bytes that `id` stands for, a word end as a space. Special tokens are spelled as they are.
  std::string Text(int32_t id) const;

  int size() const { return static_cast<int>(tokens_.size()); }
  int32_t Find(const std::string& token) const;  // -1 when there is none

 private:
  struct Merge {
    int32_t rank;
    int32_t id;  // of left + right
  };
  // Ids count from 0 without gaps, so 32 bits each hold any of them.
  static uint64_t Key(int32_t left, int32_t right) {
    return static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right);
  }
  Status ReadVocab(const Json& vocab, const std::string& what);
  Status FindBytes(const std::string& what);
  // `where` names the line or the element, for messages.
  Status AddMerge(std::string_view left, std::string_view right, const std::string& where);

  std::vector<std::string> tokens_;  // by id
  std::unordered_map<std::string, int32_t> ids_;
  std::unordered_map<uint64_t, Merge> merges_;
  std::array<int32_t, 256> byte_{};       // the id of each byte
  std::array<int32_t, 256> last_byte_{};  // and of each byte that ends a word
};

}  // namespace kontext

#endif  // KONTEXT_TOKENIZE_BPE_MODEL_H_
