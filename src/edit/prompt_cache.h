// PromptCache: embeddings of prompts that were encoded before, so that the text encoders need not
// be read again. In memory for as long as the engine lives; in a folder, too, if one is named.
#ifndef KONTEXT_EDIT_PROMPT_CACHE_H_
#define KONTEXT_EDIT_PROMPT_CACHE_H_

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <utility>

#include "base/status.h"
#include "edit/prompt.h"

namespace kontext {

// SHA-256 in hex of everything that decides the embeddings' bits: the ids and their weights, the
// encoders' files and adapters, how they are computed and by which version of this program.
Result<std::string> PromptKey(const Model& model, const PromptIds& ids, const LikeProfile& like,
                              const Ops& ops, int threads);

class PromptCache {
 public:
  static constexpr size_t kMostInMemory = 8;                  // entries
  static constexpr int64_t kMostOnDisk = int64_t{256} << 20;  // bytes of files

  // `folder`: empty for none. It is made when something is first kept.
  explicit PromptCache(std::string folder) : folder_(std::move(folder)) {}

  // The entry, or what `make` returns, which is then kept. A file that is damaged, or whose shapes
  // are not [tokens, context] and [vec], is as good as none; a folder that cannot be written costs
  // a note, not the run.
  Result<std::shared_ptr<const Prompt>> Get(
      const std::string& key, const Shape& states, const Shape& pooled,
      const std::function<Result<std::shared_ptr<const Prompt>>()>& make,
      std::vector<std::string>& notes);

 private:
  std::string PathOf(const std::string& key) const;
  std::shared_ptr<const Prompt> Read(const std::string& key, const Shape& states,
                                     const Shape& pooled) const;
  Status Write(const std::string& key, const Prompt& prompt) const;
  void Prune() const;
  void Remember(const std::string& key, const std::shared_ptr<const Prompt>& prompt);

  const std::string folder_;
  std::list<std::pair<std::string, std::shared_ptr<const Prompt>>> recent_;  // newest first
};

}  // namespace kontext

#endif  // KONTEXT_EDIT_PROMPT_CACHE_H_
