// What the parts of AUTOMATIC1111's API (/sdapi/v1) share.
#ifndef KONTEXT_SERVE_A1111_H_
#define KONTEXT_SERVE_A1111_H_

#include <string>
#include <vector>

#include "serve/exchange.h"

namespace kontext::serve {

// FastAPI's and A1111's answer to a request that cannot be served.
Json A1111Error(const std::string& code, const std::string& message);

// Reads the fields of a body by type; what is wrong is collected as FastAPI tells it.
class A1111Fields {
 public:
  explicit A1111Fields(const Json& body) : body_(body) {}

  // Absent and null are the same: nullptr.
  const Json* Find(const std::string& name);
  std::string Text(const std::string& name, size_t most);
  int64_t Integer(const std::string& name, int64_t low, int64_t high, int64_t otherwise);
  double Number(const std::string& name, double low, double high, double otherwise);
  bool Flag(const std::string& name, bool otherwise);
  std::vector<std::string> Texts(const std::string& name, size_t most_items);

  void Wrong(const std::string& name, const std::string& message, const std::string& type);
  // Refuses a field that would change the picture in a way that is not offered.
  void NotOffered(const std::string& name, const std::string& what);
  bool sound() const { return detail_.empty(); }
  const Json& detail() const { return detail_; }
  // Names in the body that nobody asked for.
  std::vector<std::string> Others() const;

 private:
  const Json& body_;
  Json detail_ = Json::array();
  std::vector<std::string> known_;
};

// POST txt2img and img2img, from the request to the pictures.
void A1111Draw(Exchange& exchange, bool img2img);

// Of the fields that drawing does not read (a1111_others.cc).
void A1111RefuseOthers(A1111Fields& in);
void A1111NoteIgnored(A1111Fields& in, bool img2img, bool masked, std::vector<std::string>& notes);

// "PROMPT\nSteps: 28, Sampler: Euler, ...": A1111's text in pictures and in `info`. `facts` has
// prompt, negative, steps, guidance, true_cfg, seed, width, height, where they are known.
std::string A1111Infotext(const Json& facts, const std::string& model);

// A1111's settings that cannot be other than they are, with their values.
Json A1111Options(Exchange& exchange);
// What stands in the way of these settings; empty: nothing. What is harmless goes to `ignored`.
// samples_format is left to the caller.
std::string A1111CheckOptions(Exchange& exchange, const Json& settings,
                              std::vector<std::string>& ignored);

// "mini [0123456789]": the model as A1111 titles its checkpoints.
std::string A1111Title(const ModelInfo& model);
// The short hash in it.
std::string A1111Hash(const ModelInfo& model);

}  // namespace kontext::serve

#endif  // KONTEXT_SERVE_A1111_H_
