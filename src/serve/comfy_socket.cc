// ComfyUI's /ws: what happens to the prompts of one client, told as ComfyUI's execution.py and
// server.py tell it. Each turn looks at the store and the queue, so that nothing is lost between
// two turns and a client that comes back is told from there.
#include <Poco/Net/NetException.h>
#include <Poco/Net/WebSocket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <climits>

#include "base/status.h"
#include "serve/comfy.h"
#include "serve/slot.h"

namespace kontext::serve {
namespace {

namespace net = Poco::Net;
constexpr int kMostSockets = 100;    // each holds a thread
constexpr int kMostFrame = 1 << 16;  // of what clients send: feature flags only
constexpr int kSocketSeconds = 10;   // for a client that does not read, or stops inside a frame
constexpr int kFin = net::WebSocket::FRAME_FLAG_FIN;
constexpr int kPing = kFin | int{net::WebSocket::FRAME_OP_PING};
constexpr int kPong = kFin | int{net::WebSocket::FRAME_OP_PONG};
constexpr double kPingSeconds = 20;
constexpr double kStatusSeconds = 0.5;  // at most as often as this while nothing ends
std::atomic<int> open_sockets = 0;

struct Watched {
  std::string id, node;  // the node that was told to be at work
  int64_t version = -1;
  bool begun = false, ended = false;
};

std::string BigEndian(uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16),
          static_cast<char>(value >> 8), static_cast<char>(value)};
}

int64_t Milliseconds() { return static_cast<int64_t>(Now() * 1000); }

class Socket {
 public:
  explicit Socket(Exchange& x) : x_(x), socket_(x.request, x.response) {
    const auto given = x.query.find("clientId");
    sid_ = given == x.query.end() || given->second.empty() ? RandomHex(32)
                                                           : given->second.substr(0, 200);
    socket_.setMaxPayloadSize(kMostFrame);
    socket_.setSendTimeout(Poco::Timespan(kSocketSeconds, 0));
    socket_.setReceiveTimeout(Poco::Timespan(kSocketSeconds, 0));
  }

  void Run() {
    const auto newest = x_.queue.store().List(x_.owner, 0, 1);
    last_ = newest.ok() && !newest->empty() ? newest->front().number : 0;
    FindUnfinished();
    TellStatus(ComfyRemaining(x_.queue, x_.owner), true);
    for (int64_t seen = 0; !x_.queue.stopping() && Receive();) {
      seen = x_.queue.WaitForAnyChange(seen, 0.25);
      // Counted before the prompts are looked at: one that is not counted any more is told to have
      // ended first.
      const bool due = Now() >= status_due_;
      const int64_t remaining = due ? ComfyRemaining(x_.queue, x_.owner) : remaining_;
      if (due) status_due_ = Now() + kStatusSeconds;
      FindNew();
      for (Watched& watched : watched_) Advance(watched);
      std::erase_if(watched_, [](const Watched& w) { return w.ended; });
      TellStatus(remaining, false);
      if (Now() < ping_due_) continue;
      ping_due_ = Now() + kPingSeconds;
      socket_.sendFrame("", 0, kPing);
    }
  }

 private:
  // False when the client has left.
  bool Receive() {
    std::string frame(kMostFrame, '\0');
    for (int i = 0; i < 16 && socket_.poll(Poco::Timespan(0), net::Socket::SELECT_READ); ++i) {
      int flags = 0;
      const int size = socket_.receiveFrame(frame.data(), kMostFrame, flags);
      const int kind = flags & net::WebSocket::FRAME_OP_BITMASK;
      if ((size == 0 && flags == 0) || size < 0) return false;
      if (kind == net::WebSocket::FRAME_OP_CLOSE) {
        socket_.shutdown();
        return false;
      }
      if (kind == net::WebSocket::FRAME_OP_PING) socket_.sendFrame(frame.data(), size, kPong);
      if (flags == net::WebSocket::FRAME_TEXT)
        Message(std::string_view(frame).substr(0, static_cast<size_t>(size)));
    }
    return true;
  }

  void Message(std::string_view text) {
    const auto message = ParseJson(text, "the message");
    if (!message.ok() || !message->is_object() || message->value("type", Json()) != "feature_flags")
      return;
    const Json data = message->value("data", Json::object());
    if (data.is_object())
      metadata_ = data.value("supports_preview_metadata", Json(false)) == Json(true);
    Send("feature_flags", {{"supports_preview_metadata", true},
                           {"max_upload_size", x_.queue.options().max_body_bytes}});
  }

  void Send(const char* type, const Json& data) {
    const std::string text =
        Json({{"type", type}, {"data", data}}).dump(-1, ' ', false, Json::error_handler_t::replace);
    socket_.sendFrame(text.data(), static_cast<int>(text.size()), net::WebSocket::FRAME_TEXT);
  }

  void SendPicture(const std::string& png, const std::string& node, const std::string& prompt_id) {
    std::string frame = BigEndian(1) + BigEndian(2);  // a preview; PNG
    if (metadata_) {
      const std::string about = Json({{"node_id", node},
                                      {"display_node_id", node},
                                      {"real_node_id", node},
                                      {"parent_node_id", nullptr},
                                      {"prompt_id", prompt_id},
                                      {"image_type", "image/png"}})
                                    .dump();
      frame = BigEndian(4) + BigEndian(static_cast<uint32_t>(about.size())) + about;
    }
    frame += png;
    socket_.sendFrame(frame.data(), static_cast<int>(frame.size()), net::WebSocket::FRAME_BINARY);
  }

  void TellStatus(int64_t remaining, bool first) {
    if (remaining == remaining_) return;
    remaining_ = remaining;
    Json data = {{"status", {{"exec_info", {{"queue_remaining", remaining}}}}}};
    if (first) data["sid"] = sid_;
    Send("status", data);
  }

  bool IsOwn(const StoredEdit& edit) const {
    return IsComfy(edit) && edit.owner == x_.owner &&
           edit.request["comfyui"].value("client_id", "") == sid_;
  }

  void FindUnfinished() {
    if (const auto waiting = x_.queue.store().Waiting(); waiting.ok()) {
      for (const StoredEdit& edit : *waiting) {
        if (IsOwn(edit)) watched_.push_back({edit.id, "", -1, false, false});
      }
    }
    for (const StoredEdit& edit : ComfyInReview(x_.queue, x_.owner)) {
      if (IsOwn(edit)) watched_.push_back({edit.id, "", -1, false, false});
    }
    const auto running = x_.queue.Get(x_.queue.running());
    if (running.ok() && *running && IsOwn(**running))
      watched_.push_back({(**running).id, "", -1, false, false});
  }

  void FindNew() {
    const auto newest = x_.queue.store().List(x_.owner, 0, 1);
    if (!newest.ok() || newest->empty() || newest->front().number <= last_) return;
    const auto edits = x_.queue.store().List(x_.owner, 0, 200);
    if (!edits.ok()) return;
    for (auto it = edits->rbegin(); it != edits->rend(); ++it) {
      const bool known = std::any_of(watched_.begin(), watched_.end(),
                                     [&](const Watched& w) { return w.id == it->id; });
      if (it->number > last_ && !known && IsOwn(*it))
        watched_.push_back({it->id, "", -1, false, false});
    }
    last_ = edits->front().number;
    status_due_ = 0;
  }

  void Advance(Watched& w) {
    const auto found = x_.queue.Get(w.id);
    if (!found.ok() || !*found) {
      w.ended = true;
      return;
    }
    const StoredEdit& edit = **found;
    const bool over = edit.finished > 0;
    if (edit.state == "queued" || (over && edit.started == 0)) {
      w.ended = over;  // taken out of the queue
      return;
    }
    const std::string prompt_id = PromptIdOf(edit.id);
    if (!w.begun) {
      w.begun = true;
      Send("execution_start", {{"prompt_id", prompt_id}, {"timestamp", Milliseconds()}});
      Send("execution_cached",
           {{"nodes", Json::array()}, {"prompt_id", prompt_id}, {"timestamp", Milliseconds()}});
      status_due_ = 0;
    }
    if (!over) return TellProgress(w, edit);
    w.ended = true;
    status_due_ = 0;
    if (edit.state == "ready") {
      TellResult(w, edit);
    } else {
      const auto [type, data] = ComfyFailure(edit);
      Send(type.c_str(), data);
    }
    Send("executing", {{"node", nullptr}, {"prompt_id", prompt_id}});
  }

  void TellNode(Watched& w, const std::string& node) {
    if (node.empty() || node == w.node) return;
    w.node = node;
    Send("executing", {{"node", node}, {"display_node", node}, {"prompt_id", PromptIdOf(w.id)}});
  }

  static std::string NodeOf(const StoredEdit& edit, const std::string& stage) {
    return edit.request["comfyui"]["stages"].value(stage, "");
  }

  void TellProgress(Watched& w, const StoredEdit& edit) {
    const Live live = x_.queue.Look(edit);
    if (live.version == w.version || !live.progress.is_object()) return;
    w.version = live.version;
    const auto stage = live.progress["stage"].get<std::string>();
    TellNode(w, NodeOf(edit, stage));
    if (stage != "steps") return;
    const int steps = live.progress.value("steps", 0);
    TellSteps(w, edit, live.progress.value("picture", 0) * steps + live.progress.value("step", 0),
              live.progress.value("pictures", 1) * steps);
    if (!live.preview.empty()) SendPicture(live.preview, w.node, PromptIdOf(edit.id));
  }

  void TellSteps(const Watched& w, const StoredEdit& edit, int value, int most) {
    const std::string prompt_id = PromptIdOf(edit.id);
    Send("progress_state", {{"prompt_id", prompt_id},
                            {"nodes",
                             {{w.node,
                               {{"value", value},
                                {"max", most},
                                {"state", value < most ? "running" : "finished"},
                                {"node_id", w.node},
                                {"prompt_id", prompt_id},
                                {"display_node_id", w.node},
                                {"parent_node_id", nullptr},
                                {"real_node_id", w.node}}}}}});
    Send("progress", {{"value", value}, {"max", most}, {"prompt_id", prompt_id}, {"node", w.node}});
  }

  void TellResult(Watched& w, const StoredEdit& edit) {
    TellNode(w, NodeOf(edit, "steps"));
    TellSteps(w, edit, edit.steps, edit.steps);
    TellNode(w, NodeOf(edit, "decode"));
    const std::string prompt_id = PromptIdOf(edit.id);
    const Json outputs = ComfyOutputs(edit);
    for (const Json& output : edit.request["comfyui"]["outputs"]) {
      const auto node = output["node"].get<std::string>();
      TellNode(w, node);
      if (outputs.contains(node))
        Send("executed", {{"node", node},
                          {"display_node", node},
                          {"output", outputs[node]},
                          {"prompt_id", prompt_id}});
      if (output["class"] != "SaveImageWebsocket") continue;
      std::vector<std::string> hashes;
      for (const StoredImage& image : edit.images) hashes.push_back(image.hash);
      if (output.contains("picture")) hashes = {output["picture"].get<std::string>()};
      for (const std::string& hash : hashes) {
        const auto png = x_.queue.store().GetPicture(hash);
        if (png.ok()) SendPicture(*png, node, prompt_id);
      }
    }
    Send("execution_success", {{"prompt_id", prompt_id}, {"timestamp", Milliseconds()}});
  }

  Exchange& x_;
  net::WebSocket socket_;
  std::string sid_;
  bool metadata_ = false;  // the client takes previews that say what they are of
  int64_t last_ = 0;       // number of the newest edit that was looked at
  int64_t remaining_ = -1;
  double status_due_ = 0, ping_due_ = Now() + kPingSeconds;
  std::vector<Watched> watched_;
};

}  // namespace

std::vector<StoredEdit> ComfyInReview(Queue& queue, const std::string& owner) {
  auto held = queue.store().InReview(0, INT_MAX);
  if (!held.ok()) return {};
  std::erase_if(*held, [&](const StoredEdit& e) { return e.owner != owner || !IsComfy(e); });
  return *std::move(held);
}

int64_t ComfyRemaining(Queue& queue, const std::string& owner) {
  int64_t count = std::ssize(ComfyInReview(queue, owner));
  const auto own = [&](const StoredEdit& edit) { return IsComfy(edit) && edit.owner == owner; };
  if (const auto waiting = queue.store().Waiting(); waiting.ok())
    count += std::count_if(waiting->begin(), waiting->end(), own);
  const auto running = queue.Get(queue.running());
  return count + (running.ok() && *running && own(**running) ? 1 : 0);
}

void ComfySocket(Exchange& x) {
  const Slot slot(open_sockets);
  if (slot.number() > kMostSockets)
    return x.Fail(503, "busy", fmt::format("at most {} WebSockets at once", kMostSockets));
  try {
    Socket(x).Run();
  } catch (const net::WebSocketException& error) {
    if (!x.response.sent()) x.Fail(400, "bad_websocket", error.message());
  } catch (const Poco::Exception&) {  // the client left, or reads too slowly
  }
}

}  // namespace kontext::serve
