// Adapter: a LoRA, LoHa, LoKr or full-difference file, understood: which of our weights it changes,
// by what. Its numbers stay in the file. Formulas and key families: spec lora 1 to 5.
#ifndef KONTEXT_WEIGHTS_ADAPTER_H_
#define KONTEXT_WEIGHTS_ADAPTER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "tensor/view.h"
#include "weights/adapter_names.h"
#include "weights/delta.h"

namespace kontext {

// What changes one product. W' = W + s * factor * delta for strength s; with magnitudes m (DoRA)
// W' = W + s * (m / |V| * V - W), V = W + factor * delta, |V| by row or by column.
struct AdapterTerm {
  AdapterTarget target;
  std::shared_ptr<const Delta> delta;  // [target.rows, target.columns]; null: the bias alone
  float factor = 1;
  std::vector<float> magnitude;  // empty, or [target.rows], or [target.columns]
  bool magnitude_of_rows = true;
  std::vector<float> bias;  // [target.rows], added with the strength alone; or empty
};

struct Adapter {
  std::string file;
  std::string family;  // for people: "kohya", "ComfyUI", "Diffusers", "PEFT", ...
  std::vector<AdapterTerm> terms;
  int64_t keys = 0, used = 0;        // tensors of the file
  std::vector<std::string> unused;   // keys that name nothing of the model
  std::vector<std::string> skipped;  // products left as they are, each with the reason
};

struct AdapterFile {
  std::map<std::string, ConstTensorView> tensors = {};  // must outlive the Adapter
  std::map<std::string, std::string> metadata = {};
  std::string config = {};  // adapter_config.json beside the file, or empty
  std::string name = {};    // for messages
};

// Fails if nothing fits, if the file is for another model (control, Fill), or of a kind that cannot
// be applied (GLoRA, OFT, nunchaku's packed form). Products that do not fit are skipped, and said.
Result<Adapter> ParseAdapter(const AdapterFile& file, const AdapterNames& names);

}  // namespace kontext

#endif  // KONTEXT_WEIGHTS_ADAPTER_H_
