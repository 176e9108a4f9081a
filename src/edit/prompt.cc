#include "edit/prompt.h"

#include <algorithm>
#include <cmath>

#include "edit/prompt_weights.h"

namespace kontext {
namespace {

constexpr int kChunk = 256;  // T5 tokens; ComfyUI's minimum and stable-diffusion.cpp's chunk
constexpr int32_t kT5End = 1, kT5Pad = 0;

void Push(PromptIds& in, int32_t id, float weight) {
  in.t5.push_back(id);
  in.t5_weights.push_back(weight);
}

Status WeightedT5(const Model& model, const std::vector<WeightedText>& parts, T5Padding padding,
                  PromptIds& out) {
  PromptIds raw;
  for (const WeightedText& part : parts) {
    KX_ASSIGN_OR_RETURN(const TokenIds ids, model.t5_tokens.EncodeWhole(part.text));
    for (size_t i = 0; i + 1 < ids.ids.size(); ++i)
      Push(raw, ids.ids[i], part.weight);  // all but the EOS
    raw.weighted |= part.weight != 1.0f;
  }
  out.weighted = raw.weighted;
  for (size_t i = 0; i < raw.t5.size(); ++i) {
    // sd.cpp t5.hpp pad_tokens: every chunk is 255 ids and an EOS.
    if (padding == T5Padding::kChunks256 && i > 0 && i % (kChunk - 1) == 0) Push(out, kT5End, 1.0f);
    Push(out, raw.t5[i], raw.t5_weights[i]);
  }
  Push(out, kT5End, 1.0f);
  const bool chunks = padding == T5Padding::kChunks256;
  while (out.t5.size() < kChunk || (chunks && out.t5.size() % kChunk != 0)) Push(out, kT5Pad, 1.0f);
  out.t5_chunk = chunks ? kChunk : static_cast<int64_t>(out.t5.size());
  return Status();
}

std::string CutNote(const char* who, const TokenIds& ids, int length) {
  return fmt::format("the prompt is longer than {}'s {} tokens: {} were cut, from \"{}\" on", who,
                     length, ids.dropped, ids.dropped_text);
}

Status EncodeChunks(const Model& model, const std::vector<int32_t>& ids, int64_t chunk, Ops& ops,
                    Observer* observer, TensorView states) {
  for (int64_t begin = 0; begin < states.dim(0); begin += chunk) {
    const std::vector<int32_t> part(ids.begin() + begin, ids.begin() + begin + chunk);
    KX_RETURN_IF_ERROR(EncodeT5(model.t5_config, model.t5, part, ops, observer,
                                states.Rows(begin, begin + chunk)));
  }
  return Status();
}

// ComfyUI's ClipTokenWeightEncoder: z = z_empty + (z - z_empty) * weight, against the empty prompt.
Status Interpolate(const Model& model, const PromptIds& in, Ops& ops, Observer* observer,
                   TensorView states) {
  KX_ASSIGN_OR_RETURN(Tensor empty, Tensor::Allocate(DType::kF32, states.shape()));
  std::vector<int32_t> ids(in.t5.size(), kT5Pad);
  ids[0] = kT5End;
  KX_RETURN_IF_ERROR(EncodeChunks(model, ids, in.t5_chunk, ops, observer, empty.view()));
  const int64_t width = states.dim(1);
  for (int64_t t = 0; t < states.dim(0); ++t) {
    float* z = states.As<float>() + t * width;
    const float* e = empty.view().As<float>() + t * width;
    const float weight = in.t5_weights[static_cast<size_t>(t)];
    for (int64_t d = 0; d < width && weight != 1.0f; ++d) z[d] = e[d] + (z[d] - e[d]) * weight;
  }
  return Status();
}

// stable-diffusion.cpp's conditioner: every state times its weight, then all times mean before /
// mean after.
void ScaleToMean(const PromptIds& in, TensorView states) {
  const int64_t width = states.dim(1);
  double before = 0, after = 0;
  for (int64_t t = 0; t < states.dim(0); ++t) {
    float* z = states.As<float>() + t * width;
    for (int64_t d = 0; d < width; ++d) {
      before += z[d];
      z[d] *= in.t5_weights[static_cast<size_t>(t)];
      after += z[d];
    }
  }
  const float scale = after == 0 ? 1.0f : static_cast<float>(before / after);
  float* z = states.As<float>();
  for (int64_t i = 0; i < states.shape().NumElements(); ++i) z[i] *= scale;
}

// CLIP's ids for weighted text: each part tokenized by itself, as both programs do; the weights do
// not touch the pooled vector in either.
Result<TokenIds> WeightedClip(const Model& model, const std::vector<WeightedText>& parts,
                              int length) {
  std::string plain;
  for (const WeightedText& part : parts)
    plain += (plain.empty() || part.text.empty() ? "" : " ") + part.text;
  return model.clip_tokens.Encode(plain, length);
}

}  // namespace

Result<PromptIds> TokenizePrompt(const Model& model, const std::string& text,
                                 const LikeProfile& like) {
  PromptIds prompt;
  TokenIds clip;
  const int clip_length = static_cast<int>(model.clip_config.positions);
  if (like.weights == PromptWeights::kNone) {
    const int length = model.t5_tokens.max_length();
    KX_ASSIGN_OR_RETURN(const TokenIds ids, model.t5_tokens.Encode(text, length));
    if (ids.dropped > 0) prompt.notes.push_back(CutNote("T5", ids, length));
    prompt.t5 = ids.ids;
    prompt.t5_chunk = static_cast<int64_t>(ids.ids.size());
    KX_ASSIGN_OR_RETURN(clip, model.clip_tokens.Encode(text, clip_length));
  } else {
    const std::vector<WeightedText> parts = ParsePromptWeights(text);
    KX_RETURN_IF_ERROR(WeightedT5(model, parts, like.t5, prompt));
    KX_ASSIGN_OR_RETURN(clip, WeightedClip(model, parts, clip_length));
  }
  if (clip.dropped > 0) prompt.notes.push_back(CutNote("CLIP", clip, clip_length));
  prompt.clip = clip.ids;
  return prompt;
}

Result<std::shared_ptr<const Prompt>> EncodePrompt(const Model& model, const PromptIds& ids,
                                                   const LikeProfile& like, Ops& ops,
                                                   Observer* observer) {
  auto prompt = std::make_shared<Prompt>();
  const auto tokens = static_cast<int64_t>(ids.t5.size());
  KX_ASSIGN_OR_RETURN(prompt->states,
                      Tensor::Allocate(DType::kF32, {tokens, model.t5_config.model}));
  const TensorView states = prompt->states.view();  // [Tt, context]
  KX_RETURN_IF_ERROR(EncodeChunks(model, ids.t5, ids.t5_chunk, ops, observer, states));
  if (ids.weighted && like.weights == PromptWeights::kInterpolate) {
    KX_RETURN_IF_ERROR(Interpolate(model, ids, ops, observer, states));
  } else if (ids.weighted) {
    ScaleToMean(ids, states);
  }

  const int64_t width = model.clip_config.hidden;
  KX_ASSIGN_OR_RETURN(Tensor hidden,
                      Tensor::Allocate(DType::kF32, {std::ssize(ids.clip), width}));  // [77, vec]
  KX_RETURN_IF_ERROR(
      EncodeClip(model.clip_config, model.clip, ids.clip, ops, observer, hidden.view()));
  KX_ASSIGN_OR_RETURN(prompt->pooled, Tensor::Allocate(DType::kF32, {width}));
  const int64_t row = PooledPosition(model.clip_config, ids.clip);
  std::copy_n(hidden.view().As<float>() + row * width, width, prompt->pooled.view().As<float>());
  model.ReleaseTextEncoders();
  return std::shared_ptr<const Prompt>(std::move(prompt));
}

}  // namespace kontext
