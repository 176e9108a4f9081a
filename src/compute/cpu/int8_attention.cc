#include "compute/cpu/int8_attention.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "compute/cpu/attention.h"
#include "compute/cpu/int8_heads.h"
#include "compute/cpu/int8_softmax.h"
#include "compute/cpu/int8_tile.h"
#include "compute/cpu/parallel.h"

namespace kontext::cpu {
namespace {

constexpr int64_t kQueryBlocks = 2;  // blocks of 16 queries that share the passing keys
constexpr int64_t kQueries = kQueryBlocks * kInt8Features;

// What a thread works on, in memory of its own on a 64-byte boundary.
struct Mine {
  int8_t* q;      // [4][Dh/4][16][4]
  int8_t* p;      // [4][48][16][4]
  int32_t* sums;  // of either product: [4][row panels][6][16]
  float* out;     // [4][Channels()][16]
  float* scale;   // [64] each, as in Int8Queries
  float *max, *sum, *shrink, *grow;
  float* poison;
  std::byte* scratch;  // of packing and storing
};

int64_t Aligned(int64_t bytes) { return CeilDiv(bytes, int64_t{64}) * 64; }

class Run {
 public:
  Run(Int8Path path, ConstTensorView q, ConstTensorView k, ConstTensorView v,
      const AttentionOptions& o, TensorView dst)
      : path_(path == Int8Path::kAmx ? Int8Path::kAvx512Vnni : path),
        q_(q),
        k_(k),
        v_(v),
        scale_(o.scale * kLog2E),
        dst_(dst) {}

  Status Execute(Workspace& space) {
    const int64_t heads = q_.dim(0), queries = q_.dim(1), channels = q_.dim(2), keys = k_.dim(1);
    const int threads = ThreadsFor(static_cast<double>(heads * queries) *
                                   static_cast<double>(keys * channels) / 16);
    const int64_t group = HeadsPerGroup(heads, queries, kQueries, threads);
    const Int8Head shape(keys, channels);
    KX_ASSIGN_OR_RETURN(std::byte * packed, space.Bytes(Slot::kRowPanels, group * shape.Bytes()));
    for (int64_t i = 0; i < group; ++i) {
      packed_.push_back(shape);
      packed_.back().Place(packed + i * shape.Bytes());
    }
    KX_ASSIGN_OR_RETURN(std::byte * memory,
                        space.Bytes(Slot::kThreads, threads * ThreadBytes(keys, channels)));
#pragma omp parallel num_threads(threads)
    {
      const Mine mine = Place(memory + omp_get_thread_num() * ThreadBytes(keys, channels));
      for (int64_t first = 0; first < heads; first += group) {
        Group(first, std::min(group, heads - first), mine);
      }
    }
    return Status();
  }

  static int64_t ThreadBytes(int64_t keys, int64_t channels) {
    const Int8Head shape(keys, channels);
    return Aligned(kQueries * shape.quads * kInt8Depth) + kQueries * kInt8AttentionKeys +
           SumBytes(shape) + kQueries * shape.Channels() * 4 + 6 * kQueries * 4 +
           Aligned(Int8PackBytes(channels));
  }

 private:
  static int64_t SumBytes(const Int8Head& shape) {
    return kQueries * std::max(kInt8AttentionKeys, shape.Channels()) * 4;
  }

  Mine Place(std::byte* memory) const {
    const Int8Head& shape = packed_.front();
    const auto take = [&](int64_t bytes) {
      std::byte* at = memory;
      memory += Aligned(bytes);
      return at;
    };
    Mine m;
    m.q = reinterpret_cast<int8_t*>(take(kQueries * shape.quads * kInt8Depth));
    m.p = reinterpret_cast<int8_t*>(take(kQueries * kInt8AttentionKeys));
    m.sums = reinterpret_cast<int32_t*>(take(SumBytes(shape)));
    m.out = reinterpret_cast<float*>(take(kQueries * shape.Channels() * 4));
    for (float** vector : {&m.scale, &m.max, &m.sum, &m.shrink, &m.grow, &m.poison}) {
      *vector = reinterpret_cast<float*>(take(kQueries * 4));
    }
    m.scratch = memory;
    return m;
  }

  // Called by all threads of a team.
  void Group(int64_t first, int64_t heads, const Mine& mine) {
#pragma omp for schedule(static)
    for (int64_t i = 0; i < heads; ++i) PackMean(k_.At(first + i), packed_[Index(i)]);
    const int64_t blocks = packed_.front().blocks;
#pragma omp for schedule(static)
    for (int64_t i = 0; i < heads * blocks; ++i) {
      const int64_t head = i / blocks;
      PackKeyBlock(k_.At(first + head), v_.At(first + head), i % blocks, mine.scratch,
                   packed_[Index(head)]);
    }
    const int64_t tasks = CeilDiv(q_.dim(1), kQueries);
#pragma omp for schedule(dynamic)
    for (int64_t i = 0; i < heads * tasks; ++i) {
      Attend(first + i / tasks, packed_[Index(i / tasks)], i % tasks * kQueries, mine);
    }
  }
  static size_t Index(int64_t i) { return static_cast<size_t>(i); }

  // The queries [begin, begin + 64) of a head.
  void Attend(int64_t head, const Int8Head& packed, int64_t begin, const Mine& m) const {
    const int64_t blocks = CeilDiv(std::min(kQueries, q_.dim(1) - begin), kInt8Features);
    Start(head, packed, begin, blocks, m);
    for (int64_t b = 0; b < packed.blocks; ++b) Block(packed, b, blocks, m);
    for (int64_t j = 0; j < blocks; ++j) {
      const int64_t row = begin + j * kInt8Features;
      StoreQueries(Queries(packed, j, m), m.poison + j * kInt8Features, row,
                   std::min(kInt8Features, q_.dim(1) - row), head * q_.dim(2), q_.dim(2),
                   reinterpret_cast<float*>(m.scratch), dst_);
    }
  }

  static Int8Queries Queries(const Int8Head& packed, int64_t j, const Mine& m) {
    const int64_t at = j * kInt8Features;
    return {m.scale + at,  m.max + at,  m.sum + at,
            m.shrink + at, m.grow + at, m.out + at * packed.Channels()};
  }

  void Start(int64_t head, const Int8Head& packed, int64_t begin, int64_t blocks,
             const Mine& m) const {
    PackQueryBlocks(q_.At(head), begin, blocks, m.scratch, m.q, m.scale);
    // 0, or NaN if a key or the query is no number. (A value that is none makes its channel none.)
    float poison = 0;
    for (int64_t j = 0; j < k_.dim(1); ++j) poison += 0.0f * packed.k_scale[j];
    for (int64_t i = 0; i < blocks * kInt8Features; ++i) {
      m.poison[i] = poison + 0.0f * m.scale[i];
      m.scale[i] *= scale_;
      m.max[i] = -std::numeric_limits<float>::infinity();
      m.sum[i] = 0;
    }
    std::fill_n(m.out, blocks * kInt8Features * packed.Channels(), 0.0f);
  }

  // The keys of a block pass by `blocks` blocks of queries.
  void Block(const Int8Head& packed, int64_t b, int64_t blocks, const Mine& m) const {
    const int64_t first = b * kInt8AttentionKeys;
    const int64_t count = std::min(kInt8AttentionKeys, k_.dim(1) - first);
    Int8Tiles t;
    t.unsigned_b = true;
    t.a = packed.k + b * packed.KeyBlockBytes();
    t.a_stride = packed.KeyPanelBytes();
    t.b = m.q;
    t.b_stride = packed.quads * kInt8Features * kInt8Depth;
    t.panels = CeilDiv(count, kInt8Rows);
    t.blocks = blocks;
    t.quads = packed.quads;
    t.sums = m.sums;
    ComputeInt8Tiles(path_, t);  // S^T [keys][16] of each block
    constexpr int64_t kPBytes = kInt8AttentionKeys * kInt8Features;
    for (int64_t j = 0; j < blocks; ++j) {
      Probabilities(packed.k_scale + first, packed.k_sums + first, count,
                    m.sums + j * t.panels * kInt8Rows * kInt8Features, Queries(packed, j, m),
                    m.p + j * kPBytes);
    }
    t.a = packed.v + b * packed.ValueBlockBytes();
    t.a_stride = Int8Head::kValuePanelBytes;
    t.b = m.p;
    t.b_stride = kPBytes;
    t.panels = packed.panels;
    t.quads = CeilDiv(count, kInt8Depth);
    ComputeInt8Tiles(path_, t);  // O^T [Channels()][16] of each block
    for (int64_t j = 0; j < blocks; ++j) {
      Accumulate(m.sums + j * packed.Channels() * kInt8Features,
                 packed.v_scale + b * packed.Channels(), packed.Channels(), Queries(packed, j, m));
    }
  }

  Int8Path path_;
  ConstTensorView q_, k_, v_;  // [H,Tq,Dh], [H,Tk,Dh]
  float scale_;                // times log2(e)
  TensorView dst_;             // [Tq,H*Dh]
  std::vector<Int8Head> packed_;
};

}  // namespace

Status AttendInt8(Int8Path path, ConstTensorView q, ConstTensorView k, ConstTensorView v,
                  const AttentionOptions& o, TensorView dst, Workspace& space) {
  return Run(path, q, k, v, o, dst).Execute(space);
}

void Int8AttentionSlots(int64_t heads, int64_t queries, int64_t keys, int64_t channels,
                        SlotBytes& bytes) {
  if (heads == 0 || queries == 0) return;
  const int threads = omp_get_max_threads();
  Raise(bytes, Slot::kRowPanels,
        HeadsPerGroup(heads, queries, kQueries, threads) * Int8Head(keys, channels).Bytes());
  Raise(bytes, Slot::kThreads, threads * Run::ThreadBytes(keys, channels));
}

}  // namespace kontext::cpu
