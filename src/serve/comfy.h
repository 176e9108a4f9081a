// What the parts of ComfyUI's API share.
#ifndef KONTEXT_SERVE_COMFY_H_
#define KONTEXT_SERVE_COMFY_H_

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "serve/exchange.h"
#include "serve/picture_reader.h"

namespace kontext::serve {

// ---- Nodes (comfy_nodes.cc)
const Json& ComfyNodes();  // {"KSampler": {"in", "optional", "out", "category", "output_node"}}
using OrderedJson = nlohmann::ordered_json;
// /object_info of one node; `files` gives the names of a kind ("input", "vae").
OrderedJson ComfyObjectInfo(const std::string& name,
                            const std::function<Json(const std::string&)>& files);

// ---- Graphs (comfy_graph.cc): checked from their output nodes back, through links, by class.
struct ComfyLink {
  std::string node;
  size_t slot = 0;
};

class ComfyGraph {
 public:
  explicit ComfyGraph(const Json& nodes) : nodes_(nodes) {}

  // Checks classes, links, types, values and cycles of all that `targets` needs (empty: every
  // output node). False if anything is wrong: error() and node_errors() say what.
  bool Check(const std::set<std::string>& targets);

  // Of a checked graph.
  const std::vector<std::string>& order() const { return order_; }  // what is needed comes first
  const std::vector<std::string>& outputs() const { return outputs_; }
  std::string ClassOf(const std::string& id) const;
  bool Has(const std::string& id, const char* input) const;
  ComfyLink Link(const std::string& id, const char* input) const;
  // Values, through a Primitive node where one is linked.
  std::string Text(const std::string& id, const char* input) const;
  uint64_t Integer(const std::string& id, const char* input) const;
  double Number(const std::string& id, const char* input) const;
  bool Flag(const std::string& id, const char* input) const;

  void Wrong(const std::string& id, const std::string& input, const std::string& type,
             const std::string& message, const std::string& details);
  bool sound() const { return error_.is_null(); }
  const Json& error() const { return error_; }
  const Json& node_errors() const { return node_errors_; }

 private:
  const Json* Value(const std::string& id, const std::string& input) const;
  bool CheckClasses();
  void CheckNode(const std::string& id);
  void CheckInput(const std::string& id, const std::string& input, const Json& type, bool needed);
  void CheckValue(const std::string& id, const std::string& input, const Json& type,
                  const Json& value);
  void Walk(const std::string& from);

  const Json& nodes_;
  Json error_;
  Json node_errors_ = Json::object();
  std::vector<std::string> order_, outputs_;
  std::map<std::string, int> seen_;  // 1: on the way from an output, 2: done
};

// ---- Pictures in graphs (comfy_pictures.cc)
class ComfyFiles;
class ComfyPictures {
 public:
  ComfyPictures(ComfyGraph& graph, ComfyFiles& files, std::vector<Size> preferred)
      : graph_(graph), files_(files), preferred_(std::move(preferred)) {}
  // Computes every picture that the graph makes without the model; mistakes go to the graph.
  void Compute();
  const Pixels* Find(const std::string& node) const;  // null: made by the model
  // White where a MASK is 1; nothing after a mistake.
  std::optional<Pixels> MaskOf(const ComfyLink& link);

 private:
  std::optional<Pixels> Load(const std::string& id, bool keep_alpha);
  std::optional<Pixels> Stitch(const std::string& id);
  std::optional<Pixels> Scale(const std::string& id);
  std::optional<Pixels> ScaleForKontext(const std::string& id);
  std::optional<Pixels> Resized(const std::string& id, const Pixels& picture, Size size,
                                bool center);
  bool Afford(const std::string& id, int64_t width, int64_t height);

  PictureReader reader_;  // its turn is for all pictures of the graph
  ComfyGraph& graph_;
  ComfyFiles& files_;
  std::vector<Size> preferred_;
  std::map<std::string, Pixels> made_;
  int64_t pixels_ = 0;
};

// 4 channels -> 3, the colours as they are; 3 stay.
Pixels WithoutAlpha(const Pixels& picture);

// ---- From a graph to an edit (comfy_plan.cc)
// Fills the draft; false if the graph is not one that this server draws.
bool ComfyPlan(ComfyGraph& graph, ComfyFiles& files, const Engine& engine, Draft& draft);

// ---- Files (comfy_files.cc): what was uploaded, and the pictures of edits by their names.
struct ComfyName {
  std::string file, subfolder, type = "input";
};
class ComfyFiles {
 public:
  ComfyFiles(Queue& queue, std::string owner) : queue_(queue), owner_(std::move(owner)) {}
  // "sub/name.png [output]", as LoadImage has it.
  static ComfyName Parse(const std::string& text, const std::string& type);
  static bool IsSafe(const ComfyName& name);  // no way out of its folder
  Result<std::string> Read(const ComfyName& name);
  // Another name if this one is taken by other bytes and may not be overwritten.
  Result<ComfyName> Write(ComfyName name, const std::string& bytes, bool overwrite);
  Json List();  // names of uploaded pictures, newest first

 private:
  std::string Folder(const std::string& type) const;
  Status MakeRoom(int64_t bytes);
  Queue& queue_;
  std::string owner_;
};

// ---- Edits as prompts (comfy_history.cc)
bool IsComfy(const StoredEdit& edit);
std::string PromptIdOf(const std::string& edit_id);                 // as a UUID
std::optional<std::string> EditIdOf(const std::string& prompt_id);  // 32 hexadecimal digits
// [number, prompt_id, prompt, extra_data, outputs_to_execute]
Json ComfyQueueItem(Store& store, const StoredEdit& edit);
// {node: {"images": [{"filename", "subfolder", "type"}]}}
Json ComfyOutputs(const StoredEdit& edit);
Json ComfyHistoryItem(Store& store, const StoredEdit& edit);
// What execution_error and execution_interrupted tell, by the edit's state.
std::pair<std::string, Json> ComfyFailure(const StoredEdit& edit);
// The bytes of a picture that ComfyOutputs names.
Result<std::string> ComfyResult(Store& store, const std::string& owner, const ComfyName& name);

// ---- Pictures in and out (comfy_transfer.cc)
void ComfyUpload(Exchange& exchange, bool mask);
void ComfyView(Exchange& exchange);

// ---- /ws (comfy_socket.cc)
void ComfySocket(Exchange& exchange);
// Of this key, done but for their review: to clients they run.
std::vector<StoredEdit> ComfyInReview(Queue& queue, const std::string& owner);
int64_t ComfyRemaining(Queue& queue, const std::string& owner);

// ---- Routes (comfy.cc)
bool IsComfyRoute(const Exchange& exchange);
std::string ComfyText(const Json& object, const char* name);  // or empty
Json ComfyError(const std::string& code, const std::string& message);

}  // namespace kontext::serve

#endif  // KONTEXT_SERVE_COMFY_H_
