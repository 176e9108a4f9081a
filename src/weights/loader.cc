#include "weights/loader.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/cut_text.h"
#include "base/listed.h"

namespace kontext {
namespace {

constexpr size_t kMaxListed = 20;       // problems spelled out in a message
constexpr size_t kMaxEntryBytes = 300;  // of one of them: names come from the file

// A file's text, made fit for a terminal: no control characters, and an end.
std::string Printable(std::string text) {
  if (text.size() > kMaxEntryBytes) text = CutText(text, kMaxEntryBytes) + "...";
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  }
  return text;
}

// The rows [begin, end) of pieces stacked by rows.
template <class Piece>  // WeightRows or ConstTensorView
std::vector<Piece> CutRows(const std::vector<Piece>& pieces, RowRange rows) {
  std::vector<Piece> cut;
  int64_t start = 0;
  for (const Piece& piece : pieces) {
    const int64_t begin = std::max(rows.begin - start, int64_t{0});
    const int64_t end = std::min(rows.end - start, piece.dim(0));
    if (begin < end) cut.push_back(piece.Rows(begin, end));
    start += piece.dim(0);
  }
  return cut;
}

// The branches' share of the rows [begin, end).
std::vector<LowRank> CutBranches(const std::vector<LowRank>& branches, RowRange rows) {
  std::vector<LowRank> cut;
  for (LowRank branch : branches) {
    const int64_t begin = std::max(rows.begin, branch.first_row);
    const int64_t end = std::min(rows.end, branch.first_row + branch.up.dim(0));
    if (begin >= end) continue;
    branch.up = branch.up.Rows(begin - branch.first_row, end - branch.first_row);
    branch.first_row = begin - rows.begin;
    cut.push_back(branch);
  }
  return cut;
}

// Dense views of the pieces; of encoded ones, of copies that `decoded` keeps.
Result<std::vector<ConstTensorView>> Plain(const std::vector<WeightRows>& pieces,
                                           std::vector<Tensor>& decoded) {
  std::vector<ConstTensorView> views;
  for (const WeightRows& piece : pieces) {
    if (!piece.is_encoded()) {
      views.push_back(piece.dense());
      continue;
    }
    KX_ASSIGN_OR_RETURN(Tensor copy, Tensor::Allocate(DType::kF32, piece.shape()));
    piece.DecodeAll(copy.view().As<float>());
    views.push_back(copy.view());
    decoded.push_back(std::move(copy));
  }
  return views;
}

// Vectors one after the other.
Result<Tensor> Joined(const std::vector<WeightRows>& pieces) {
  int64_t size = 0;
  for (const WeightRows& piece : pieces) size += piece.dim(0);
  KX_ASSIGN_OR_RETURN(Tensor all, Tensor::Allocate(DType::kF32, {size}));
  float* values = all.view().As<float>();
  for (const WeightRows& piece : pieces) {
    piece.DecodeAll(values);
    values += piece.dim(0);
  }
  return all;
}

// A bias in the pieces that its matrix is in.
std::vector<ConstTensorView> CutAs(const std::vector<WeightRows>& matrix,
                                   const ConstTensorView& bias) {
  std::vector<ConstTensorView> cut;
  int64_t row = 0;
  for (const WeightRows& piece : matrix) {
    cut.push_back(bias.Rows(row, row + piece.dim(0)));
    row += piece.dim(0);
  }
  return cut;
}

// Looks every tensor up and notes how to prepare it; nothing is prepared before all are in order.
class LoadVisitor : public WeightVisitor {
 public:
  LoadVisitor(TensorSource& source, Ops& ops, const LoadOptions& options)
      : source_(source), ops_(ops), options_(options) {}

  void Section(int section, Use use) override {
    section_ = section;
    use_ = use;
  }

  void Coarsest(Precision precision) override { coarsest_ = precision; }

  void LinearRows(const std::string& name, LinearPtr& w, RowRange rows, int64_t out, int64_t in,
                  Bias bias) override {
    LinearSource linear;
    linear.coarsest = coarsest_;
    linear.weight = CutRows(Pieces(name + ".weight", {out, in}), rows);
    linear.low_rank = CutBranches(source_.Branches(name + ".weight"), rows);
    linear.copies = use_ == Use::kOnce ? Copies::kNone : options_.copies;
    for (const WeightRows& part : linear.weight) Touch(part);
    std::vector<WeightRows> bias_parts;
    if (bias == Bias::kYes) bias_parts = Pieces(name + ".bias", {out});
    Later(name, [this, linear = std::move(linear), bias_parts, rows, &w]() -> Status {
      LinearSource source = linear;
      std::vector<Tensor> decoded;
      KX_ASSIGN_OR_RETURN(auto bias_views, Plain(bias_parts, decoded));
      if (bias_parts.size() > 1 && linear.weight.size() == 1) {
        // An adapter has made one matrix of the file's several.
        KX_ASSIGN_OR_RETURN(Tensor joined, Joined(bias_parts));
        bias_views = {std::as_const(joined).view()};
        decoded.push_back(std::move(joined));
      }
      source.bias = CutRows(bias_views, rows);
      if (source.bias.size() == 1 && linear.weight.size() > 1) {  // or one bias of several
        source.bias = CutAs(linear.weight, source.bias[0]);
      }
      KX_ASSIGN_OR_RETURN(w, ops_.PrepareLinear(source));
      return {};
    });
  }

  void Conv(const std::string& name, ConvPtr& w, int64_t out, int64_t in, int64_t kernel) override {
    const WeightRows weight = Whole(name + ".weight", {out, in, kernel, kernel});  // [N,C,k,k]
    const WeightRows bias = Whole(name + ".bias", {out});                          // [N]
    Touch(weight);
    Later(name, [this, weight, bias, &w]() -> Status {
      std::vector<Tensor> decoded;
      KX_ASSIGN_OR_RETURN(const auto plain, Plain({weight, bias}, decoded));
      KX_ASSIGN_OR_RETURN(w, ops_.PrepareConv(plain[0], plain[1]));
      return {};
    });
  }

  void Vector(const std::string& name, VectorWeights& w, int64_t n) override {
    const WeightRows values = Whole(name, {n});
    Touch(values);
    Later(name, [values, n, &w]() -> Status {
      KX_ASSIGN_OR_RETURN(w.values, Tensor::Allocate(DType::kF32, {n}));
      values.DecodeAll(w.values.view().As<float>());
      return {};
    });
  }

  void Table(const std::string& name, TableWeights& w, int64_t rows, int64_t cols) override {
    const WeightRows table = Whole(name, {rows, cols});
    Later(name, [table, &w]() -> Status {
      w.table = table;
      return {};
    });
  }

  // Everything that is wrong, as one failure; else prepares all.
  Status Finish() {
    for (const std::string& name : source_.Unasked()) {
      problems_.push_back(fmt::format("unexpected \"{}\"", name));
    }
    if (!problems_.empty()) return Complaint();
    for (const auto& [name, prepare] : prepare_) {
      const Status status = prepare();
      if (status.ok()) continue;
      return Status(status.code(), fmt::format("{}: {}: {}", source_.description(),
                                               source_.NameInSource(name), status.message()));
    }
    return {};
  }

 private:
  void Touch(const WeightRows& rows) {
    if (options_.spans != nullptr) options_.spans->Add(section_, use_, rows);
  }

  void Later(const std::string& name, std::function<Status()> prepare) {
    if (problems_.empty()) prepare_.emplace_back(name, std::move(prepare));
  }

  // The tensor's pieces, or none and a note of the problem. A name that is visited in row ranges is
  // complained about once.
  std::vector<WeightRows> Pieces(const std::string& name, const Shape& shape) {
    const bool first = names_.insert(name).second;
    auto found = source_.Find(name, shape);
    std::string problem;
    if (!found.ok()) {
      problem = found.message();
    } else if (found->empty()) {
      problem = fmt::format("missing \"{}\" {}", source_.NameInSource(name), shape.Str());
    } else {
      problem = Check(name, shape, *found);
    }
    if (problem.empty()) return std::move(*found);
    if (first) problems_.push_back(std::move(problem));
    return {};
  }

  // As Pieces, for tensors that no source keeps in several.
  WeightRows Whole(const std::string& name, const Shape& shape) {
    const std::vector<WeightRows> pieces = Pieces(name, shape);
    if (pieces.size() == 1) return pieces[0];
    if (pieces.size() > 1) {
      problems_.push_back(fmt::format("\"{}\" is in {} pieces, expected one", name, pieces.size()));
    }
    return {};
  }

  // What is wrong with the pieces of a tensor of `shape`, which are brought into its form; empty if
  // nothing.
  std::string Check(const std::string& name, const Shape& shape, std::vector<WeightRows>& pieces) {
    std::string got;
    for (const WeightRows& piece : pieces) {
      if (!piece.is_encoded() && !IsFloat(piece.dense().dtype())) {
        return fmt::format("\"{}\" is {}, expected F32, BF16 or F16", source_.NameInSource(name),
                           piece.encoding());
      }
      if (!got.empty()) got += " + ";
      got += piece.shape().Str();
    }
    if (Stack(pieces, shape)) return {};
    return fmt::format("\"{}\" is {}, expected {}", source_.NameInSource(name), got, shape.Str());
  }

  Status Complaint() const {
    std::string list = Listed(problems_, kMaxListed, "; ", Printable);
    const std::string guess = source_.Guess();
    if (!guess.empty()) list += fmt::format(". It looks like {}", guess);
    return BadInput("{}: {} problem{} with the {} tensors needed: {}", source_.description(),
                    problems_.size(), problems_.size() == 1 ? "" : "s", names_.size(), list);
  }

  TensorSource& source_;
  Ops& ops_;
  const LoadOptions& options_;
  int section_ = 0;
  Use use_ = Use::kEveryStep;
  Precision coarsest_ = Precision::kExact;
  std::set<std::string> names_;  // visited
  std::vector<std::string> problems_;
  std::vector<std::pair<std::string, std::function<Status()>>> prepare_;
};

class CountVisitor : public WeightVisitor {
 public:
  void LinearRows(const std::string&, LinearPtr&, RowRange rows, int64_t, int64_t in,
                  Bias bias) override {
    if (rows.begin == 0) count.tensors += bias == Bias::kYes ? 2 : 1;
    count.parameters += (rows.end - rows.begin) * (in + (bias == Bias::kYes ? 1 : 0));
  }
  void Conv(const std::string&, ConvPtr&, int64_t out, int64_t in, int64_t kernel) override {
    count.tensors += 2;
    count.parameters += out * (in * kernel * kernel + 1);
  }
  void Vector(const std::string&, VectorWeights&, int64_t n) override { Add(n); }
  void Table(const std::string&, TableWeights&, int64_t rows, int64_t cols) override {
    Add(rows * cols);
  }

  WeightCount count;

 private:
  void Add(int64_t parameters) {
    count.tensors += 1;
    count.parameters += parameters;
  }
};

}  // namespace

Status LoadWeights(const std::function<void(WeightVisitor&)>& visit, TensorSource& source, Ops& ops,
                   const LoadOptions& options) {
  LoadVisitor loader(source, ops, options);
  visit(loader);
  return loader.Finish();
}

WeightCount CountWeights(const std::function<void(WeightVisitor&)>& visit) {
  CountVisitor counter;
  visit(counter);
  return counter.count;
}

}  // namespace kontext
