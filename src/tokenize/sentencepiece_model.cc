// spiece.model, read by the SentencePiece library. We only walk over the file's outermost protobuf
// fields: to take out the character map, and to hand the library a copy that normalises nothing,
// since the words that reach it are normalised as Hugging Face does it.
#include <sentencepiece_processor.h>

#include <algorithm>
#include <mutex>
#include <optional>

#include "io/json.h"
#include "tokenize/piece_model.h"
#include "tokenize/utf8.h"

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

// The parts of a ModelProto that we use (sentencepiece_model.proto).
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

class SentencePieceModel : public PieceModel {
 public:
  Status Load(const std::string& proto, const std::string& what) {
    const auto status = processor_.LoadFromSerializedProto(proto);
    if (status.ok()) return Status();
    return BadInput("{}: SentencePiece cannot read it: {}", what, Quoted(status.error_message()));
  }

  // The library's trie takes a NUL in the text for the end of a piece and walks on from there, so
  // it never sees one: no piece has a NUL, hence each is unknown and the stretches between are
  // apart.
  Status Segment(std::string_view word, std::vector<PieceSpan>* pieces) const override {
    const size_t first = pieces->size();
    for (size_t begin = 0; begin < word.size();) {
      if (word[begin] == '\0') {
        pieces->push_back({processor_.unk_id(), begin++});
        continue;
      }
      const size_t end = std::min(word.find('\0', begin), word.size());
      KX_RETURN_IF_ERROR(SegmentStretch(word.substr(begin, end - begin), begin, pieces));
      begin = end;
    }
    // Unknown neighbours across those borders are one piece, too.
    const auto both_unknown = [&](const PieceSpan& a, const PieceSpan& b) {
      return a.id == processor_.unk_id() && b.id == processor_.unk_id();
    };
    pieces->erase(std::unique(pieces->begin() + static_cast<std::ptrdiff_t>(first), pieces->end(),
                              both_unknown),
                  pieces->end());
    return Status();
  }
  int32_t Find(std::string_view piece) const override {
    const int id = processor_.PieceToId({piece.data(), piece.size()});
    return id >= 0 && id < size() && processor_.IdToPiece(id) == piece ? id : -1;
  }
  int size() const override { return processor_.GetPieceSize(); }

 private:
  Status SegmentStretch(std::string_view text, size_t offset,
                        std::vector<PieceSpan>* pieces) const {
    try {
      sentencepiece::ImmutableSentencePieceText result;
      const auto status = processor_.Encode({text.data(), text.size()}, result.mutable_proto());
      if (!status.ok()) return Internal("SentencePiece failed: {}", Quoted(status.error_message()));
      for (const auto& piece : result.pieces()) {
        pieces->push_back({static_cast<int32_t>(piece.id()), offset + piece.begin()});
      }
    } catch (const std::exception& error) {
      return Internal("SentencePiece failed: {}", error.what());
    }
    return Status();
  }

  sentencepiece::SentencePieceProcessor processor_;
};

}  // namespace

Result<std::unique_ptr<PieceModel>> MakeSentencePieceModel(std::string_view bytes,
                                                           const std::string& what,
                                                           std::string* charsmap) {
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
  // A NormalizerSpec with an empty character map (field 2) and without add_dummy_prefix,
  // remove_extra_whitespaces and escape_whitespaces (3, 4, 5).
  using namespace std::string_view_literals;
  parts.without_normalizer += "\x1A\x08\x12\x00\x18\x00\x20\x00\x28\x00"sv;
  auto model = std::make_unique<SentencePieceModel>();
  try {
    KX_RETURN_IF_ERROR(model->Load(parts.without_normalizer, what));
  } catch (const std::exception& error) {
    return BadInput("{}: SentencePiece cannot read it: {}", what, Quoted(error.what()));
  }
  *charsmap = std::move(parts.charsmap);
  return std::unique_ptr<PieceModel>(std::move(model));
}

}  // namespace kontext
