// spiece.model, read by the SentencePiece library: its pieces and its character map.
#ifndef KONTEXT_TOKENIZE_SENTENCEPIECE_FILE_H_
#define KONTEXT_TOKENIZE_SENTENCEPIECE_FILE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "tokenize/unigram_model.h"

namespace kontext {

struct SentencePieceFile {
  UnigramVocab vocab;
  int64_t unk_id = -1;
  std::string charsmap;  // for PrecompiledCharsmap; may be empty
};

// `bytes` is the file. Only unigram models without byte pieces, as T5's is.
Result<SentencePieceFile> ReadSentencePieceFile(std::string_view bytes, const std::string& what);

}  // namespace kontext

#endif  // KONTEXT_TOKENIZE_SENTENCEPIECE_FILE_H_
