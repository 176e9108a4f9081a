#include "serve/metrics.h"

#include "base/process_memory.h"
#include "base/status.h"

namespace kontext::serve {
namespace {

// Label values may hold anything but these three as they are.
std::string Quoted(const std::string& text) {
  std::string quoted;
  for (const char c : text) {
    if (c == '\\' || c == '"') quoted += '\\';
    quoted += c == '\n' ? ' ' : c;
  }
  return '"' + quoted + '"';
}

class Page {
 public:
  void Head(const char* name, const char* type, const char* help) {
    text_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
  }
  template <class T>
  void Value(const std::string& name_and_labels, T value) {
    text_ += fmt::format("{} {}\n", name_and_labels, value);
  }
  template <class T>
  void Gauge(const char* name, const char* help, T value) {
    Head(name, "gauge", help);
    Value(name, value);
  }
  template <class T>
  void Counter(const char* name, const char* help, T value) {
    Head(name, "counter", help);
    Value(name, value);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

}  // namespace

void SendMetrics(Exchange& x, int64_t requests) {
  const Queue::Figures figures = x.queue.Tally();
  const ProcessMemory memory = MemoryOfProcess();
  const ModelInfo model = x.queue.engine().model();
  Page page;
  page.Head("kontext_info", "gauge", "What runs; always 1.");
  page.Value(
      fmt::format("kontext_info{{version={},model={}}}", Quoted(Version()), Quoted(model.name)), 1);
  page.Counter("kontext_http_requests_total", "Requests since the start.", requests);
  page.Head("kontext_edits_total", "counter",
            "Edits since the start: accepted, refused (429), and by the state they ended in.");
  for (const char* state : {"accepted", "refused", "ready", "failed", "cancelled", "moderated"}) {
    const auto it = figures.edits.find(state);
    page.Value(fmt::format("kontext_edits_total{{state=\"{}\"}}", state),
               it == figures.edits.end() ? 0 : it->second);
  }
  page.Counter("kontext_steps_total", "Steps since the start.", figures.steps);
  page.Gauge("kontext_edits_waiting", "Edits that wait for the engine.", figures.waiting);
  page.Gauge("kontext_edits_running", "Edits that run: 0 or 1.", figures.running);
  page.Gauge("kontext_edits_in_review", "Edits that wait for a reviewer.", figures.review);
  page.Gauge("kontext_oldest_waiting_seconds", "Since when the oldest waiting edit waits.",
             figures.oldest_waiting_seconds);
  page.Gauge("kontext_step_seconds", "The last measured time of a step; 0 before the first.",
             figures.seconds_per_step);
  page.Gauge("kontext_store_writable", "0: the disk is full or gives errors, and edits wait.",
             figures.stored ? 1 : 0);
  if (const auto bytes = x.queue.store().PictureBytes(); bytes.ok())
    page.Gauge("kontext_store_picture_bytes", "Of all pictures of edits; --keep bounds them.",
               *bytes);
  page.Gauge("process_resident_memory_bytes", "Anonymous memory, and mapped files in memory.",
             memory.anonymous + memory.mapped);
  page.Gauge("kontext_anonymous_memory_bytes", "Memory that only swap could free.",
             memory.anonymous);
  x.SendBytes("text/plain; version=0.0.4; charset=utf-8", page.text());
}

}  // namespace kontext::serve
