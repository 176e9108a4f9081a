// kontext.h's Engine over edit/: threads, backend and model, opened once and used by many edits.
#include <algorithm>
#include <utility>

#include "base/guard.h"
#include "base/threads.h"
#include "base/version.h"
#include "compute/registry.h"
#include "edit/edit.h"
#include "kontext/kontext.h"
#include "model/model.h"

namespace kontext {

std::string Version() { return kVersion; }

struct Engine::Impl {
  EngineOptions options;
  std::unique_ptr<Ops> ops;
  std::unique_ptr<Model> model;  // after ops: its weights are in the backend's form
  std::unique_ptr<PromptCache> prompts;
};

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() = default;
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;

Result<Engine> Engine::Open(const EngineOptions& options) {
  return Guard([&]() -> Result<Engine> {
    if (options.threads < 0 || options.threads > 4096)
      return Usage("threads {}: must be 0..4096", options.threads);
    if (options.memory_limit < 0)
      return Usage("memory-limit {}: must not be negative", options.memory_limit);
    const ThreadScope threads(options.threads);
    auto impl = std::make_unique<Impl>();
    impl->options = options;
    KX_ASSIGN_OR_RETURN(impl->ops, MakeOps({options.backend, options.dtype}));
    const ModelFiles files{options.model, options.transformer, options.vae,   options.clip,
                           options.t5,    options.tokenizers,  options.loras, options.merge_loras};
    KX_ASSIGN_OR_RETURN(impl->model, OpenModel(files, *impl->ops, options.memory_limit));
    impl->prompts = std::make_unique<PromptCache>(options.cache);
    return Engine(std::move(impl));
  });
}

Result<std::vector<Edited>> Engine::Edit(const EditRequest& request, EditListener* listener) {
  return Guard([&]() -> Result<std::vector<Edited>> {
    const ThreadScope threads(impl_->options.threads);
    const int count = impl_->options.threads > 0 ? impl_->options.threads : AvailableThreads();
    const Variant variant = impl_->model->variant.variant;
    if (listener != nullptr && !request.images.empty() &&
        (variant == Variant::kDev || variant == Variant::kOther)) {
      listener->OnNote("the model is " + impl_->model->variant.text);
    }
    if (listener != nullptr) {
      for (const std::string& note : impl_->model->adapters.Notes()) listener->OnNote(note);
    }
    return RunEdit(*impl_->model, *impl_->ops, request, impl_->options.memory_limit, count,
                   {listener, nullptr}, impl_->prompts.get());
  });
}

ModelInfo Engine::model() const {
  const Model& m = *impl_->model;
  const FewStep* few = m.defaults.few_step;
  return {.name = m.defaults.name,
          .license = m.defaults.license,
          .fingerprint = m.fingerprint,
          .variant = m.variant.text,
          .preferred_sizes = m.defaults.preferred_sizes,
          .default_steps = few ? few->steps : m.defaults.steps,
          .default_guidance = few ? few->guidance : m.defaults.guidance,
          .t5_tokens = m.t5_tokens.max_length()};
}

Result<TokenCounts> Engine::CountTokens(const std::string& prompt) const {
  return Guard([&]() -> Result<TokenCounts> {
    const Model& m = *impl_->model;
    const int t5_length = m.t5_tokens.max_length();
    const int clip_length = static_cast<int>(m.clip_config.positions);
    KX_ASSIGN_OR_RETURN(const TokenIds t5, m.t5_tokens.Encode(prompt, t5_length));
    KX_ASSIGN_OR_RETURN(const TokenIds clip, m.clip_tokens.Encode(prompt, clip_length));
    return TokenCounts{t5.used + t5.dropped, t5_length, clip.used + clip.dropped, clip_length};
  });
}

EditLimits Engine::limits() const { return EditLimits{}; }

void Engine::StartTrace() { impl_->ops->StartTrace(); }

std::vector<OpTime> Engine::trace() const {
  std::vector<OpTime> times;
  for (const OpTrace& t : impl_->ops->trace()) {
    auto of_op = std::find_if(times.begin(), times.end(),
                              [&](const OpTime& time) { return time.op == t.op; });
    if (of_op == times.end()) of_op = times.insert(of_op, {.op = t.op, .result = ""});
    of_op->calls += t.calls;
    of_op->seconds += t.seconds;
    of_op->operations += t.operations;
    of_op->bytes += t.bytes;
  }
  std::sort(times.begin(), times.end(),
            [](const OpTime& a, const OpTime& b) { return a.seconds > b.seconds; });
  return times;
}

}  // namespace kontext
