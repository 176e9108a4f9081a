// kontext.h's Doctor: which files of a folder make a model, what is wrong with the others, and the
// command that would run.
#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <string_view>

#include "api/doctor_walk.h"
#include "api/look.h"
#include "base/guard.h"
#include "tokenize/clip_bpe.h"
#include "tokenize/t5_unigram.h"

namespace kontext {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kSumUpToBytes = 1'000'000'000;  // a second's work; larger ones: inspect --sha256
constexpr int64_t kFluxClipVocab = 49408, kFluxT5Vocab = 32128;

// Where ComfyUI looks for what.
struct ComfyFolder {
  const char* name;
  Family family;
};
constexpr std::array<ComfyFolder, 8> kComfyFolders = {
    {{"diffusion_models", Family::kFluxTransformer},
     {"unet", Family::kFluxTransformer},
     {"text_encoders", Family::kT5},
     {"text_encoders", Family::kClip},
     {"clip", Family::kClip},
     {"clip", Family::kT5},
     {"vae", Family::kFluxVae},
     {"loras", Family::kLora}}};

struct Candidate {
  std::string path;
  std::string configs;  // of a tokenizers folder that says what shapes cannot tell
  Look look;
  bool Whole(Part part) const { return look.widths.contains(part); }
  const PartWidths& of(Part part) const { return look.widths.at(part); }
  int64_t bytes() const { return look.inspection.bytes; }
};

// The parts of one model. Several may be the same candidate.
struct Choice {
  std::array<const Candidate*, kParts.size()> parts = {};
  const Candidate*& at(Part part) { return parts[static_cast<size_t>(part)]; }
  int missing() const { return static_cast<int>(std::count(parts.begin(), parts.end(), nullptr)); }
};

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

// A text encoder in four bits or fewer loses words of an instruction.
bool IsCoarse(const std::string& encoding) {
  const std::string e = Lower(encoding);
  constexpr const char* kCoarse[] = {"q2_", "q3_", "q4_", "iq4", "nf4", "fp4", "int4"};
  return std::any_of(std::begin(kCoarse), std::end(kCoarse),
                     [&](const char* name) { return e.find(name) != std::string::npos; });
}

std::string MainEncodingOf(const Inspection& i) {
  const auto most =
      std::max_element(i.dtypes.begin(), i.dtypes.end(),
                       [](const auto& a, const auto& b) { return a.parameters < b.parameters; });
  return most == i.dtypes.end() ? "" : most->dtype;
}

// What is odd about the folder that a file lies in; empty if nothing.
std::string Misplaced(const std::string& path, const Identity& id) {
  const std::string folder = Lower(fs::path(path).parent_path().filename().string());
  bool known = false;
  std::string belongs;
  for (const ComfyFolder& place : kComfyFolders) {
    const bool same = id.family == place.family;
    if (folder == place.name && same) return "";
    known = known || folder == place.name;
    if (same && belongs.empty()) belongs = place.name;
  }
  if (!known || belongs.empty()) return "";
  return fmt::format(
      "is {}, in the folder {}/: ComfyUI looks for it in {}/ (kontext takes it from "
      "anywhere)",
      id.description, folder, belongs);
}

class Examiner {
 public:
  explicit Examiner(Walked walked) : walked_(std::move(walked)) {}

  Diagnosis Examine(const std::string& folder) {
    out_.folder = folder;
    out_.notes = walked_.notes;
    for (const std::string& path : walked_.weights) LookAt(path);
    for (const Walked::Odd& odd : walked_.odd)
      out_.files.push_back({odd.path, odd.what, false, {odd.problem}});
    std::sort(out_.files.begin(), out_.files.end(),
              [](const auto& a, const auto& b) { return a.path < b.path; });
    Choose();
    return std::move(out_);
  }

 private:
  void LookAt(const std::string& path) {
    const LookOptions options{.sha256 = false, .sum_up_to_bytes = kSumUpToBytes};
    Result<Look> look = LookAtWeights(path, "", options);
    if (!look.ok()) {
      out_.files.push_back(
          {path, "a damaged weight file", false, {look.message() + " (download it again)"}});
      return;
    }
    std::string configs;
    for (const std::string& folder : walked_.tokenizers) {
      if (look->inspection.problems.empty()) break;
      Result<Look> again = LookAtWeights(path, folder, options);
      if (!again.ok() || !again->inspection.problems.empty()) continue;
      *look = *std::move(again);
      configs = folder;
    }
    Report(path, *look);
    candidates_.push_back({path, configs, *std::move(look)});
  }

  void Report(const std::string& path, const Look& look) {
    Diagnosis::File file;
    file.path = path;
    const std::string encoding = MainEncodingOf(look.inspection);
    file.what = fmt::format(
        "{}, {}, {}", look.identity.description.empty() ? "unknown" : look.identity.description,
        encoding, GigaBytes(look.inspection.bytes));
    if (!look.variant.text.empty()) file.what += "; " + look.variant.text;
    if (!look.inspection.published.empty()) file.what += "; " + look.inspection.published;
    file.problems = look.inspection.problems;
    file.usable = file.problems.empty() && look.identity.family != Family::kUnknown;
    if (const std::string odd = Misplaced(path, look.identity); !odd.empty())
      file.problems.push_back(odd);
    if (look.variant.variant == Variant::kDev || look.variant.variant == Variant::kOther)
      file.problems.push_back("is " + look.variant.text + "; get flux1-kontext-dev.safetensors");
    if (look.identity.Holds(Family::kT5) && IsCoarse(encoding)) {
      file.problems.push_back(fmt::format(
          "a T5 in {} loses words of an instruction; t5xxl_fp8_e4m3fn_scaled or a Q8_0 keeps them",
          encoding));
    }
    out_.files.push_back(std::move(file));
  }

  // Kontext before what may be Kontext before dev; then the most bits.
  static std::pair<int, int64_t> Rank(const Candidate& c) {
    const Variant v = c.look.variant.variant;
    const int variant = v == Variant::kKontext ? 2 : v == Variant::kUnknown ? 1 : 0;
    return {variant, c.bytes()};
  }

  // Of equal fitness the name decides: SD3's autoencoder has FLUX.1's shapes, and ae is FLUX.1's.
  static std::pair<bool, int64_t> PartRank(const Candidate& c) {
    const std::string name = Lower(fs::path(c.path).filename().string());
    const bool foreign = name.find("sd3") != std::string::npos;
    const bool published = c.look.inspection.published.starts_with("the published");
    return {!foreign, published ? std::numeric_limits<int64_t>::max() : c.bytes()};
  }

  const Candidate* BestFor(Part part, const Candidate& transformer) const {
    const PartWidths& want = transformer.of(Part::kTransformer);
    const Candidate* best = nullptr;
    if (transformer.Whole(part)) return &transformer;
    for (const Candidate& c : candidates_) {
      if (!c.Whole(part) || c.Whole(Part::kTransformer)) continue;
      const PartWidths& has = c.of(part);
      const bool fits = part == Part::kClip ? has.pooled == want.pooled
                        : part == Part::kT5 ? has.context == want.context
                                            : has.latents == want.latents;
      if (fits && (best == nullptr || PartRank(c) > PartRank(*best))) best = &c;
    }
    return best;
  }

  void Choose() {
    std::vector<const Candidate*> transformers;
    for (const Candidate& c : candidates_) {
      if (c.Whole(Part::kTransformer) && c.look.variant.variant != Variant::kOther)
        transformers.push_back(&c);
    }
    std::stable_sort(transformers.begin(), transformers.end(),
                     [](const Candidate* a, const Candidate* b) { return Rank(*a) > Rank(*b); });
    Choice best;
    for (const Candidate* transformer : transformers) {
      Choice choice;
      for (const Part part : kParts) choice.at(part) = BestFor(part, *transformer);
      choice.at(Part::kTransformer) = transformer;
      if (choice.missing() < best.missing()) best = choice;
    }
    for (const Part part : kParts) {
      if (best.at(part) == nullptr) {
        out_.missing.push_back(
            fmt::format("the {}: get {}", TraitsOf(part).name, TraitsOf(part).get));
      }
    }
    if (best.missing() == 0) Command(best);
  }

  // A whole model directory of which all parts are chosen is named as one.
  std::string ModelDirectory(Choice& choice) const {
    for (const std::string& model : walked_.models) {
      const bool all = std::all_of(kParts.begin(), kParts.end(), [&](Part part) {
        return fs::path(choice.at(part)->path).parent_path() ==
               fs::path(model) / TraitsOf(part).folder;
      });
      if (all) return model;
    }
    return "";
  }

  void Command(Choice& choice) {
    const Candidate& transformer = *choice.at(Part::kTransformer);
    const bool draws_only = transformer.look.variant.variant == Variant::kDev;
    std::vector<std::string> command = {draws_only ? "generate" : "edit", "-m"};
    if (const std::string model = ModelDirectory(choice); !model.empty()) {
      command.push_back(model);
    } else {
      command.push_back(transformer.path);
      for (const Part part : {Part::kClip, Part::kT5, Part::kVae}) {
        if (choice.at(part) == &transformer) continue;
        command.insert(command.end(), {TraitsOf(part).flag, choice.at(part)->path});
      }
      if (!AddTokenizers(choice, command)) return;
    }
    if (!draws_only) command.insert(command.end(), {"-i", "in.png"});
    command.insert(command.end(), {"-p", draws_only ? "a red hat" : "make the hat red"});
    if (draws_only) {
      out_.missing.push_back(fmt::format("a transformer that edits: {} is {}; get {}",
                                         transformer.path, transformer.look.variant.text,
                                         TraitsOf(Part::kTransformer).get));
    }
    out_.command = command;
    out_.command_line = "kontext";
    for (const std::string& word : command) out_.command_line += " " + ShellQuoted(word);
  }

  // FLUX.1's come with the program; another model needs its own.
  bool AddTokenizers(Choice& choice, std::vector<std::string>& command) {
    const int64_t clip = choice.at(Part::kClip)->of(Part::kClip).vocab;
    const int64_t t5 = choice.at(Part::kT5)->of(Part::kT5).vocab;
    if (clip == kFluxClipVocab && t5 == kFluxT5Vocab) return true;
    for (const std::string& folder : walked_.tokenizers) {
      const auto clip_tokens = ClipBpe::Load((fs::path(folder) / "tokenizer").string());
      const auto t5_tokens = T5Unigram::Load((fs::path(folder) / "tokenizer_2").string());
      const auto fits = [](int64_t tokens, int64_t rows) {  // as OpenModel asks
        return tokens <= rows && rows <= 2 * tokens;
      };
      if (!clip_tokens.ok() || !fits(clip_tokens->vocab_size(), clip)) continue;
      if (!t5_tokens.ok() || !fits(t5_tokens->vocab_size(), t5)) continue;
      command.insert(command.end(), {"--tokenizers", folder});
      return true;
    }
    out_.missing.push_back(
        fmt::format("tokenizers of {} and {} tokens: get the folders tokenizer/ and tokenizer_2/ "
                    "that belong to these text encoders",
                    clip, t5));
    return false;
  }

  static std::string ShellQuoted(const std::string& word) {
    constexpr std::string_view kPlain =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+:,@%-";
    if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
    std::string quoted = "'";
    for (const char c : word) {
      if (c == '\'') {
        quoted += "'\\''";
      } else {
        quoted += c;
      }
    }
    return quoted + "'";
  }

  const Walked walked_;
  std::vector<Candidate> candidates_;
  Diagnosis out_;
};

}  // namespace

Result<Diagnosis> Doctor(const std::string& folder) {
  return Guard([&]() -> Result<Diagnosis> {
    // A name that begins with a dash would be taken for a flag in the proposed command.
    const std::string named = folder.starts_with('-') ? "./" + folder : folder;
    KX_ASSIGN_OR_RETURN(Walked walked, WalkFolder(named));
    return Examiner(std::move(walked)).Examine(named);
  });
}

}  // namespace kontext
