// Ops: the op manual. Every tensor operation the networks use, with its shapes, formula and
// rounding.
//
// Letters: T tokens, D channels, H heads, Dh = D/H, K input and N output features of a matrix
// product, [h,w,C] pictures with the channel fastest (NHWC, one picture). All matrices are
// row-major.
//
// Activations are F32 or BF16 (any mixture of src and dst); every op computes in f32 and rounds
// once, at the store. Vectors (norm weights, shift, scale, gate, rope tables) are F32.
//
// An op does not return its failure: the first one is kept, later ops do nothing, and TakeStatus()
// hands it over. So a block reads as its formula, and one check at its end is enough.
#ifndef KONTEXT_COMPUTE_OPS_H_
#define KONTEXT_COMPUTE_OPS_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "tensor/arena.h"
#include "tensor/view.h"
#include "tensor/weight_rows.h"

namespace kontext {

// What a product applies to its result before the store.
enum class Activation { kNone, kSilu, kGeluTanh, kQuickGelu };

// How a product may round beside its store.
//
// kInt8: activations and weights in 8 bits. R turns groups of 256 columns (tensor/convrot.h); where
// K is no multiple of 256, R = 1.
//   weights      w R = q_w * s_w   s_w[n] = max_k |w R|[n] / 127 (tensor/packed_int8.h)
//   activations  x R = q_x * s_x   per row t and slice c of 3072 columns
//                                  s_x[t, c] = max_j max(|a_2j|, |a_2j+1|, |a_2j + a_2j+1|) / 127
//                                  of a = (x R)[t, c], odd K with a 0 behind
//   y[t, n] = s_w[n] * sum_c s_x[t, c] * sum_(k in c) q_x[t, k] * q_w[n, k]
// q are rounded to nearest, ties to even; sums over k are exact; all else is f32. (The pairs in
// s_x: 255 times a sum of two neighbours' q_x fits into 16 bits, which is what vpmaddubsw adds in.
// The slices: FLUX's width, so that linear2 scales attention apart from the MLP, whose largest
// values differ, and the MLP's own columns do not all pay for the largest of 12288.) Low-rank
// branches see x itself. A NaN or infinity in a row of x makes the row NaN or infinite.
//
// Attention in kInt8, with digits and scales as above (queries' scales as weights', the others'
// with pairs, as activations'; none is rotated):
//   q[i] = q_q * s_q[i];  k[j] - mean_j k = q_k * s_k[j]  (the softmax does not see a constant)
//   v[j, d] = q_v * s_v[b, d]  per channel over block b of 192 keys, pairs along the keys
//   s[i, j] = log2(e) * scale * s_q * s_k * sum_d q_q * q_k,  m_b[i] = max over block b of s[i, j]
//   p[i, j] = 255 * 2^(s[i, j] - m_b[i]), rounded to nearest (to within 0.03 before that)
//   dst = sum_b 2^m_b s_v[b] sum_j p q_v / sum_b 2^m_b sum_j p
// (smoothed keys: SageAttention, arXiv:2410.02367; a maximum for each block, so that one large
// score takes digits only from its own block.) A backend may attend exactly instead, where that
// takes no longer. A NaN or infinity in a query makes its row NaN, one in the keys all of the head,
// one in the values their channel NaN or infinite.
enum class Precision { kExact, kInt8 };
constexpr int64_t kInt8Slice = 3072;         // columns of a row of x that share a scale
constexpr int64_t kInt8AttentionKeys = 192;  // of a block

// A backend's own form of the weights of a product. Opaque: only the backend that made it uses it.
class LinearWeights {
 public:
  LinearWeights(int64_t out, int64_t in, bool bias)
      : out_features(out), in_features(in), has_bias(bias) {}
  virtual ~LinearWeights() = default;
  const int64_t out_features, in_features;
  const bool has_bias;
};
class ConvWeights {
 public:
  ConvWeights(int64_t out, int64_t in, int64_t k) : out_channels(out), in_channels(in), kernel(k) {}
  virtual ~ConvWeights() = default;
  const int64_t out_channels, in_channels, kernel;
};

// A low-rank branch beside a product, an adapter's form at run time: features
// [first_row, first_row + n) of dst also get factor * (src . down^T) . up^T, before the activation.
struct LowRank {
  ConstTensorView down;   // [R, K]
  ConstTensorView up;     // [n, R]; both F32, BF16 or F16, and mapped as long as the weight
  int64_t first_row = 0;  // of the whole weight [N, K]
  float factor = 1;
};

// Into which forms of its own a backend may copy a product's weights: there is memory for them, and
// they are used often enough.
enum class Copies {
  kNone,
  kInt8,  // only that of products in 8 bits, a byte a number
  kAll,
};

// A weight matrix [N, K] as the checkpoint has it: one tensor, or several stacked by rows
// (Diffusers keeps q, k and v apart), each F32, BF16, F16 or encoded. The backend may keep pointing
// into the memory of `weight`, which must stay mapped for as long as the handle lives; it copies
// the bias.
struct LinearSource {
  std::vector<WeightRows> weight;     // each [n_i, K]; sum n_i = N
  std::vector<ConstTensorView> bias;  // each [n_i]; or none at all
  std::vector<LowRank> low_rank = {};
  Copies copies = Copies::kAll;
  // The coarsest precision that this product may be run in.
  Precision coarsest = Precision::kExact;
};

struct AttentionOptions {
  float scale = 1.0f;   // multiplies q.k; FLUX 1/sqrt(Dh), T5 1
  bool causal = false;  // key j only for queries i >= j (Tq == Tk)
  ConstTensorView
      relative_bias;  // [H, Tq+Tk-1] F32, or empty: adds relative_bias[h, j - i + Tq - 1]
  // The coarsest precision it may be run in; kInt8 only without bias and mask, and scale > 0.
  Precision coarsest = Precision::kExact;
};

struct ConvOptions {
  int stride = 1;
  int pad_begin = 1;  // zero rows above and columns to the left
  int pad_end = 1;    // zero rows below and columns to the right
};

// What is done to a picture before a convolution reads it: GroupNorm, then act.
struct PictureNorm {
  ConstTensorView weight, bias;  // [C]
  int groups = 1;
  float eps = 0;
  Activation act = Activation::kNone;
};

// What is done to rows before a product reads them: n = LayerNorm(row) without weights of its own,
// then (1 + scale) * n + shift.
struct RowModulation {
  ConstTensorView shift, scale;  // [K]
  float eps = 0;
};

// The largest shapes that some ops of a plan meet: of products T, K and N (a convolution's are its
// pixels, its patch and its channels) and the elements of one result; of attention H, Tq, Tk, Dh.
struct OpSizes {
  int64_t rows = 0, in = 0, out = 0, results = 0;
  int64_t modulated = 0;  // K of the products that modulate their rows
  int64_t heads = 0, queries = 0, keys = 0, channels = 0;
  int64_t kernel = 0;            // of UpsampleConv2d: its weights
  int64_t width = 0, depth = 0;  // of pictures that are convolved: pixels of a row, channels
};

// Time spent in calls of one op of one size since tracing was switched on. Inner sizes are part of
// `operations`: products that differ in K alone are two entries.
struct OpTrace {
  std::string op;
  Shape result;  // dst
  int64_t calls = 0;
  double seconds = 0;
  double operations = 0;  // 2 x multiply-adds of products, attention and convolutions; else 0
  double bytes = 0;       // of activations and vectors, every operand once; weights are not counted
};

class OpCheck;

class Ops {
 public:
  virtual ~Ops() = default;

  virtual std::string_view name() const = 0;  // "reference", "cpu"
  // The dtype in which this backend wants the activations between ops. (The residual streams, the
  // latents and the vectors are F32 always.)
  virtual DType activation_dtype() const = 0;

  // At most the memory that ops of all these sizes leave this backend with, and what it holds now.
  virtual int64_t ScratchBytes(std::span<const OpSizes> groups) const;
  virtual int64_t HeldScratchBytes() const { return scratch_.bytes(); }

  // From here on products run in this precision, those that may not be so coarse exactly.
  void SetPrecision(Precision precision) { precision_ = precision; }
  Precision precision() const { return precision_; }

  // Memory that products in this precision will still take, and keep, for weights in another form.
  virtual int64_t PendingCopyBytes() const { return 0; }
  // What a number of a weight takes in such a form at most: 1 in 8 bits, more where the backend has
  // a layout of its own for other products.
  virtual int64_t CopyBytesPerWeight() const { return 1; }

  // The first failure since the last call, which it clears.
  Status TakeStatus();
  // Switches the record of times on; trace() is sorted by seconds, largest first.
  void StartTrace();
  std::vector<OpTrace> trace() const;

  // ---- Weights: checked, and brought into the backend's form.
  // -------------------------------------
  Result<std::unique_ptr<LinearWeights>> PrepareLinear(const LinearSource& source);
  // weight [N, C, k, k], bias [N]; F32, BF16 or F16. Both are copied.
  Result<std::unique_ptr<ConvWeights>> PrepareConv(ConstTensorView weight, ConstTensorView bias);

  // ---- Plain ops: every backend has them.
  // ----------------------------------------------------------- dst[t, n] = act(sum_k src[t, k] *
  // weight[n, k] + bias[n] + branches)  src [T,K], dst [T,N]
  void Linear(ConstTensorView src, const LinearWeights& w, Activation act, TensorView dst);
  // Softmax attention without a T x T matrix in memory.  q [H,Tq,Dh], k and v [H,Tk,Dh], dst
  // [Tq,H*Dh] dst[i, h*Dh + d] = sum_j p[j] * v[h, j, d],  p = softmax_j(scale * q[h,i,:].k[h,j,:]
  // + bias). Where activations are BF16, and q, k and v too, p may be rounded to it in the sum.
  void Attention(ConstTensorView q, ConstTensorView k, ConstTensorView v, const AttentionOptions& o,
                 TensorView dst);
  // dst = (src - mean) / sqrt(var + eps) * weight + bias over the last dimension, biased variance;
  // weight and bias [D] or both empty (then 1 and 0).                     src, dst [T,D]
  void LayerNorm(ConstTensorView src, ConstTensorView weight, ConstTensorView bias, float eps,
                 TensorView dst);
  // dst = src / sqrt(mean(src^2) + eps) * weight over the last dimension.  src, dst [..,D], weight
  // [D]
  void RmsNorm(ConstTensorView src, ConstTensorView weight, float eps, TensorView dst);
  // GroupNorm over [h,w,C]: statistics per group of C/groups channels over all pixels, biased
  // variance; then act.                                                             src, dst
  // [h,w,C]
  void GroupNorm(ConstTensorView src, ConstTensorView weight, ConstTensorView bias, int groups,
                 float eps, Activation act, TensorView dst);
  // Rotates interleaved pairs (x[2j], x[2j+1]) by the angle of pair j; in place is allowed.
  // x0' = cos*x0 - sin*x1, x1' = sin*x0 + cos*x1.   src, dst [H,T,Dh]; rope [T,Dh/2,2] = (cos, sin)
  // F32
  void Rope(ConstTensorView src, ConstTensorView rope, TensorView dst);
  // Convolution over NHWC, square kernel.   src [h,w,C], dst [(h+pads-k)/stride+1, .., N]
  void Conv2d(ConstTensorView src, const ConvWeights& w, const ConvOptions& o, TensorView dst);
  // Every pixel four times (nearest).                                     src [h,w,C], dst
  // [2h,2w,C]
  void Upsample2x(ConstTensorView src, TensorView dst);
  // dst = act(src), elementwise; in place is allowed.
  void Activate(ConstTensorView src, Activation act, TensorView dst);
  // dst = a + b and dst = a * b, elementwise, equal shapes; in place is allowed.
  void Add(ConstTensorView a, ConstTensorView b, TensorView dst);
  void Multiply(ConstTensorView a, ConstTensorView b, TensorView dst);
  // dst[t, d] += gate[d] * src[t, d]; an empty gate is 1.                 src, dst [T,D], gate [D]
  void GatedAdd(ConstTensorView src, ConstTensorView gate, TensorView dst);
  // Copies between any strides and between F32, BF16 and F16. Equal shapes.
  void Copy(ConstTensorView src, TensorView dst);
  // dst[t, :] = table[ids[t], :].   table [V,D] F32, BF16, F16 or encoded; ids [T] I32; dst [T,D]
  void GatherRows(const WeightRows& table, ConstTensorView ids, TensorView dst);

  // ---- Fused ops: a backend that has nothing better inherits bodies made of the plain ops.
  // ---------- dst[t, n] += gate[n] * (src @ weight^T + bias)[t, n]; an empty gate is 1.  (BFL
  // layers.py:185-191)
  void LinearGatedAdd(ConstTensorView src, const LinearWeights& w, ConstTensorView gate,
                      TensorView dst);
  // Linear of the modulated norm of src; where activations are BF16, that may be rounded to it.
  // src [T,K], dst [T,N]                                               (BFL layers.py:163-165)
  void ModulatedLinear(ConstTensorView src, const RowModulation& m, const LinearWeights& w,
                       Activation act, TensorView dst);
  // A block's MLP, and what lies beside it in the operand of its second product: dst[t] += gate *
  // out(operand[t]), where the last F columns of operand are gelu_tanh(in(modulated norm of dst)).
  // They may be written, and be other than that afterwards. The A columns before them are read.
  // dst [T,D], operand [T,A+F], in [F,D], out [D,A+F], gate [D]     (BFL layers.py:186, 230-239)
  void ModulatedMlp(TensorView operand, const RowModulation& m, const LinearWeights& in,
                    const LinearWeights& out, ConstTensorView gate, TensorView dst);
  // One of q, k, v out of a joint projection, as heads: dst[h, t, :] = src[t, h*Dh : (h+1)*Dh],
  // then RmsNorm over Dh by `norm` [Dh] and Rope by `rope` [T,Dh/2,2]; either may be empty
  // (skipped). src [T,H*Dh], a column range of the projection; dst [H,T,Dh]          (BFL
  // layers.py:164-167)
  void SplitHeadsNormRope(ConstTensorView src, ConstTensorView norm, float eps,
                          ConstTensorView rope, TensorView dst);
  // dst = Conv2d(src) + residual                                          residual as dst
  void Conv2dAdd(ConstTensorView src, const ConvWeights& w, const ConvOptions& o,
                 ConstTensorView residual, TensorView dst);
  // dst = Conv2d(act(GroupNorm(src))) + residual, a 3x3 kernel with pads of 1; an empty residual is
  // 0. src [h,w,C], dst [h,w,N]; residual as dst             (BFL autoencoder.py ResnetBlock)
  void NormConv2d(ConstTensorView src, const PictureNorm& norm, const ConvWeights& w,
                  ConstTensorView residual, TensorView dst);
  // dst = Conv2d(Upsample2x(src)), a 3x3 kernel with pads of 1.           src [h,w,C], dst
  // [2h,2w,N]                                                             (BFL autoencoder.py
  // Upsample)
  void UpsampleConv2d(ConstTensorView src, const ConvWeights& w, TensorView dst);

 protected:
  // Keeps the first failure.
  void Fail(Status status);
  // Memory for a fused op's default body; grows to the largest request and stays.
  TensorView Scratch(DType dtype, const Shape& shape);

 private:
  // The bodies. The public functions above have checked shapes and dtypes before they call these.
  virtual Result<std::unique_ptr<LinearWeights>> DoPrepareLinear(const LinearSource& source) = 0;
  virtual Result<std::unique_ptr<ConvWeights>> DoPrepareConv(ConstTensorView weight,
                                                             ConstTensorView bias) = 0;
  virtual void DoLinear(ConstTensorView src, const LinearWeights& w, Activation act,
                        TensorView dst) = 0;
  virtual void DoAttention(ConstTensorView q, ConstTensorView k, ConstTensorView v,
                           const AttentionOptions& o, TensorView dst) = 0;
  virtual void DoLayerNorm(ConstTensorView src, ConstTensorView weight, ConstTensorView bias,
                           float eps, TensorView dst) = 0;
  virtual void DoRmsNorm(ConstTensorView src, ConstTensorView weight, float eps,
                         TensorView dst) = 0;
  virtual void DoGroupNorm(ConstTensorView src, ConstTensorView weight, ConstTensorView bias,
                           int groups, float eps, Activation act, TensorView dst) = 0;
  virtual void DoRope(ConstTensorView src, ConstTensorView rope, TensorView dst) = 0;
  virtual void DoConv2d(ConstTensorView src, const ConvWeights& w, const ConvOptions& o,
                        TensorView dst) = 0;
  virtual void DoUpsample2x(ConstTensorView src, TensorView dst) = 0;
  virtual void DoActivate(ConstTensorView src, Activation act, TensorView dst) = 0;
  virtual void DoAdd(ConstTensorView a, ConstTensorView b, TensorView dst) = 0;
  virtual void DoMultiply(ConstTensorView a, ConstTensorView b, TensorView dst) = 0;
  virtual void DoGatedAdd(ConstTensorView src, ConstTensorView gate, TensorView dst) = 0;
  virtual void DoCopy(ConstTensorView src, TensorView dst) = 0;
  virtual void DoGatherRows(ConstTensorView table, ConstTensorView ids, TensorView dst) = 0;
  // Default bodies: ops_fused.cc.
  virtual void DoLinearGatedAdd(ConstTensorView src, const LinearWeights& w, ConstTensorView gate,
                                TensorView dst);
  virtual void DoModulatedLinear(ConstTensorView src, const RowModulation& m,
                                 const LinearWeights& w, Activation act, TensorView dst);
  virtual void DoModulatedMlp(TensorView operand, const RowModulation& m, const LinearWeights& in,
                              const LinearWeights& out, ConstTensorView gate, TensorView dst);
  virtual void DoSplitHeadsNormRope(ConstTensorView src, ConstTensorView norm, float eps,
                                    ConstTensorView rope, TensorView dst);
  virtual void DoConv2dAdd(ConstTensorView src, const ConvWeights& w, const ConvOptions& o,
                           ConstTensorView residual, TensorView dst);
  virtual void DoNormConv2d(ConstTensorView src, const PictureNorm& norm, const ConvWeights& w,
                            ConstTensorView residual, TensorView dst);
  virtual void DoUpsampleConv2d(ConstTensorView src, const ConvWeights& w, TensorView dst);

  // One public call: skipped after a failure, refused by `checked`, no work where dst has no
  // elements, else the body, timed when tracing. Exceptions of libraries below end here, as
  // failures.
  template <class Body>
  void Run(const OpCheck& checked, const ConstTensorView& dst, double operations, Body body);
  void Record(OpTrace one);  // call

  Status first_failure_;
  Buffer scratch_;
  Precision precision_ = Precision::kExact;
  bool tracing_ = false;
  std::vector<OpTrace> trace_;
};

}  // namespace kontext

#endif  // KONTEXT_COMPUTE_OPS_H_
