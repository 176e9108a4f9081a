// The walk of Doctor: which files of a folder are weights, and which only stand in their place.
#ifndef KONTEXT_API_DOCTOR_WALK_H_
#define KONTEXT_API_DOCTOR_WALK_H_

#include <string>
#include <vector>

#include "base/status.h"

namespace kontext {

struct WalkLimits {
  int depth = 12;
  size_t entries = 20000;  // files and folders looked at
  size_t weights = 500;    // weight files opened
};

struct Walked {
  struct Odd {
    std::string path, what, problem;
  };
  std::vector<std::string> weights;     // by content; of a model in shards its index
  std::vector<std::string> models;      // folders with model_index.json
  std::vector<std::string> tokenizers;  // folders with tokenizer/ and tokenizer_2/
  std::vector<Odd> odd;                 // named as weights, but none
  std::vector<std::string> notes;       // what was not looked at
};

// Links are followed, each folder and file once; the blobs of Hugging Face's cache are seen through
// the snapshots that name them. Everything in the order of names.
Result<Walked> WalkFolder(const std::string& folder, const WalkLimits& limits = {});

}  // namespace kontext

#endif  // KONTEXT_API_DOCTOR_WALK_H_
