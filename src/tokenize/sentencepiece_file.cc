// The library parses the file and checks it, and we take pieces and scores from it. Dividing words
// is UnigramModel's, for both forms of the vocabulary: the library adds scores as floats, so that
// ties fall otherwise than in Hugging Face's tokenizers, and at a NUL its trie (0.1.97) goes
// astray. The character map is not in its interface, for which we walk over the outermost protobuf
// fields.
#include "tokenize/sentencepiece_file.h"

#include <sentencepiece_processor.h>

#include <mutex>
#include <optional>

#include "io/json.h"

// Exported by the library and missing from its header (0.1.97, src/common.h).
namespace sentencepiece::logging {
void SetMinLogLevel(int level);
}

namespace kontext {
namespace {

constexpr int kLogNothing = 4;  // one above LOG_FATAL

struct WireField {
  uint64_t number;
  uint64_t varint;         // for wire type 0
  std::string_view bytes;  // for wire type 2
  std::string_view whole;  // tag included
};

std::optional<uint64_t> TakeVarint(std::string_view* in) {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 64 && !in->empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(in->front());
    in->remove_prefix(1);
    value |= uint64_t{byte & 0x7Fu} << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

// The next field of a protobuf message; nullopt where the bytes are none. Groups (types 3, 4) have
// no place in this format.
std::optional<WireField> TakeField(std::string_view* in) {
  const std::string_view start = *in;
  const auto tag = TakeVarint(in);
  if (!tag) return std::nullopt;
  WireField field{*tag >> 3, 0, {}, {}};
  uint64_t skip = 0;
  switch (*tag & 7) {
    case 0: {
      const auto value = TakeVarint(in);
      if (!value) return std::nullopt;
      field.varint = *value;
      break;
    }
    case 1:
      skip = 8;
      break;
    case 2: {
      const auto length = TakeVarint(in);
      if (!length) return std::nullopt;
      skip = *length;
      break;
    }
    case 5:
      skip = 4;
      break;
    default:
      return std::nullopt;
  }
  if (skip > in->size()) return std::nullopt;
  field.bytes = in->substr(0, static_cast<size_t>(skip));
  in->remove_prefix(static_cast<size_t>(skip));
  field.whole = start.substr(0, start.size() - in->size());
  return field;
}

// Calls f(field) for each field of the message; false where the bytes are none.
template <class F>
bool ForEachField(std::string_view message, const F& f) {
  while (!message.empty()) {
    const auto field = TakeField(&message);
    if (!field) return false;
    f(*field);
  }
  return true;
}

// The parts of a ModelProto that we use (sentencepiece_model.proto). The library does not get the
// normaliser, which we do not need and which may be hostile.
struct ModelProtoParts {
  std::string without_normalizer;  // all fields but the normaliser and its self tests
  std::string charsmap;
  uint64_t model_type = 1;  // UNIGRAM, which is also the default
};

bool ReadModelProto(std::string_view bytes, ModelProtoParts* parts) {
  bool inner_ok = true;
  const bool ok = ForEachField(bytes, [&](const WireField& field) {
    if (field.number == 3) {  // NormalizerSpec
      inner_ok &= ForEachField(field.bytes, [&](const WireField& f) {
        if (f.number == 2) parts->charsmap = f.bytes;
      });
      return;
    }
    if (field.number == 2) {  // TrainerSpec
      inner_ok &= ForEachField(field.bytes, [&](const WireField& f) {
        if (f.number == 3) parts->model_type = f.varint;
      });
    }
    if (field.number != 4) parts->without_normalizer += field.whole;  // 4: SelfTestData
  });
  return ok && inner_ok;
}

// Pieces, scores and the unknown id of what the library has loaded.
Status TakePieces(const sentencepiece::SentencePieceProcessor& processor, const std::string& what,
                  SentencePieceFile* file) {
  for (int id = 0; id < processor.GetPieceSize(); ++id) {
    if (processor.IsByte(id)) {
      return BadInput("{}: piece {} is a byte, which no T5 vocabulary has", what, id);
    }
    file->vocab.emplace_back(processor.IdToPiece(id), double{processor.GetScore(id)});
  }
  file->unk_id = processor.unk_id();
  return Status();
}

}  // namespace

Result<SentencePieceFile> ReadSentencePieceFile(std::string_view bytes, const std::string& what) {
  static std::once_flag quiet;  // the library writes to stderr otherwise
  std::call_once(quiet, [] { sentencepiece::logging::SetMinLogLevel(kLogNothing); });

  ModelProtoParts parts;
  if (!ReadModelProto(bytes, &parts)) {
    return BadInput("{}: not a SentencePiece model (its protobuf fields end in the middle)", what);
  }
  if (parts.model_type != 1) {
    return BadInput("{}: its SentencePiece model is of type {}, expected 1 (unigram), as T5's is",
                    what, parts.model_type);
  }
  SentencePieceFile file;
  try {
    sentencepiece::SentencePieceProcessor processor;
    const auto status = processor.LoadFromSerializedProto(parts.without_normalizer);
    if (!status.ok()) {
      return BadInput("{}: SentencePiece cannot read it: {}", what, Quoted(status.error_message()));
    }
    KX_RETURN_IF_ERROR(TakePieces(processor, what, &file));
  } catch (const std::exception& error) {
    return BadInput("{}: SentencePiece cannot read it: {}", what, Quoted(error.what()));
  }
  file.charsmap = std::move(parts.charsmap);
  return file;
}

}  // namespace kontext
