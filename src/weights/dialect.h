// CheckpointSource: the tensors of a weight file under the names the networks ask for.
//
// A dialect is a table from our (canonical) name to the file's: every transform is a list of row
// ranges of the file's tensors, stacked. Three examples:
//   img_in.weight                        <- x_embedder.weight
//   double_blocks.0.img_attn.qkv.weight  <- ...attn.to_q.weight, ...attn.to_k.weight,
//   ...attn.to_v.weight final_layer.adaLN_modulation.1.bias  <- norm_out.linear.bias rows [D, 2D),
//   then rows [0, D)
// Nothing is edited as text beyond cutting off a known prefix.
#ifndef KONTEXT_WEIGHTS_DIALECT_H_
#define KONTEXT_WEIGHTS_DIALECT_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/status.h"
#include "weights/encodings.h"
#include "weights/table.h"

namespace kontext {

// A tensor of the file, whole or some of its rows.
struct FilePart {
  std::string name;  // without the prefix
  int64_t rows = 0;  // of the tensor; 0: whatever the network expects, and the part is all of it
  RowRange range = {0, 0};  // the rows meant; only with `rows`
};
using FileParts = std::vector<FilePart>;  // stacked by rows

struct NameTable {
  std::string dialect;                // for messages: "BFL", "Diffusers", "Hugging Face"
  std::vector<std::string> prefixes;  // what may precede every name; "" is one of them
  std::vector<std::string> probes;    // names that only this dialect has
  bool canonical = false;             // a name that `names` does not list is the file's name, too
  std::map<std::string, std::vector<FileParts>>
      names;  // every way in which a file may hold a tensor
  std::vector<std::string>
      ignored;  // tensors a file may have and nobody needs; "decoder.": all such
};

// What the names of a FLUX transformer depend on (dit/dit_config.h).
struct TransformerNames {
  int64_t depth = 0, depth_single = 0, hidden = 0, mlp = 0;
};
// What the names of the VAE depend on (vae/vae.h).
struct VaeNames {
  int64_t levels = 0, blocks_per_level = 0;
};

// The dialects of each network, in dialect_flux.cc, dialect_vae.cc and dialect_text.cc.
std::vector<NameTable> TransformerDialects(const TransformerNames& sizes);
std::vector<NameTable> VaeDialects(const VaeNames& sizes);
std::vector<NameTable> ClipDialects(int64_t layers);
std::vector<NameTable> T5Dialects();

class CheckpointSource : public TensorSource {
 public:
  // Chooses the dialect and the prefix by the names present; kBadInput, saying what the file looks
  // like, if none fits. `tensors` (WeightFile::tensors()) must outlive the source; `file` is for
  // messages.
  static Result<std::unique_ptr<CheckpointSource>> Create(const WeightMap& tensors,
                                                          std::string file,
                                                          const std::vector<NameTable>& dialects);

  Result<std::vector<WeightRows>> Find(const std::string& name, const Shape& shape) override;
  std::vector<std::string> Unasked() const override;
  std::string description() const override;  // "ae.safetensors (BFL names)"
  std::string NameInSource(const std::string& name) const override;
  std::string Guess() const override;

  const std::string& dialect() const { return table_.dialect; }
  const std::string& prefix() const { return prefix_; }

 private:
  CheckpointSource(const WeightMap& tensors, std::string file, NameTable table, std::string prefix)
      : tensors_(tensors),
        file_(std::move(file)),
        table_(std::move(table)),
        prefix_(std::move(prefix)) {}
  const WeightRows* Lookup(const std::string& file_name) const;  // without the prefix
  std::vector<FileParts> WaysToHold(const std::string& name) const;
  Result<std::vector<WeightRows>> Stack(const FileParts& parts);

  const WeightMap& tensors_;
  std::string file_;
  NameTable table_;
  std::string prefix_;
  std::set<std::string> asked_;  // full names in the file
};

}  // namespace kontext

#endif  // KONTEXT_WEIGHTS_DIALECT_H_
