#include "serve/webhooks.h"

#include <fmt/chrono.h>

#include <array>

#include "base/status.h"
#include "serve/bfl.h"
#include "serve/outbound.h"
#include "serve/signature.h"

namespace kontext::serve {
namespace {

// From one attempt to the next; after the last one the receiver is given up.
constexpr std::array<int, 6> kRetrySeconds = {1, 5, 30, 120, 600, 3600};
constexpr double kAttemptSeconds = 10;
constexpr double kLookSeconds = 1;  // for those whose time has come

std::string Timestamp(double seconds) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(static_cast<std::time_t>(seconds)));
}

std::string Body(Queue& queue, const StoredEdit& edit, const std::string& base) {
  const Json result = BflResult(queue, edit, base);
  Json body = {
      {"id", edit.id}, {"status", result["status"]}, {"timestamp", Timestamp(edit.finished)}};
  if (edit.state == "ready") {
    body["result"] = result["result"];
  } else {
    body["error"] = edit.error_code;
    body["message"] = edit.error_message;
  }
  return body.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

WebhookSender::WebhookSender(Queue& queue) : queue_(queue), thread_([this] { Work(); }) {}

WebhookSender::~WebhookSender() {
  stop_ = true;
  thread_.join();
}

void WebhookSender::Work() {
  int64_t seen = 0;
  while (!stop_) {
    const auto due = queue_.store().DueWebhooks(Now());
    if (due.ok()) {
      for (const Webhook& webhook : *due) {
        if (stop_) return;
        Try(webhook);
      }
    }
    if (!due.ok() || due->empty()) seen = queue_.WaitForAnyChange(seen, kLookSeconds);
  }
}

void WebhookSender::Try(Webhook webhook) {
  const auto edit = queue_.Get(webhook.edit);
  if (!edit.ok() || !*edit) return;
  const auto attempt = [&]() -> Status {
    // Again, because the operator may have started the server with other hosts since.
    KX_ASSIGN_OR_RETURN(const Target target,
                        ParseTarget(webhook.url, queue_.options().webhook_hosts, "--webhook-host"));
    const std::string body = Body(queue_, **edit, webhook.base);
    std::vector<std::pair<std::string, std::string>> headers;
    if (!webhook.secret.empty())
      headers.emplace_back("X-BFL-Signature", "sha256=" + HmacHex(webhook.secret, body));
    KX_ASSIGN_OR_RETURN(const int code, PostJson(target, headers, body, kAttemptSeconds));
    if (code < 200 || code > 299) return BadInput("answered {}", code);
    return Status();
  };
  const Status status = attempt();
  const bool last = webhook.attempts == std::ssize(kRetrySeconds);
  if (status.ok() || last) {
    (void)queue_.store().ForgetWebhook(webhook.edit);
    return Log(webhook, status.ok() ? "delivered" : "given up: " + status.message());
  }
  webhook.next = Now() + kRetrySeconds[static_cast<size_t>(webhook.attempts)];
  ++webhook.attempts;
  (void)queue_.store().UpdateWebhook(webhook);
  Log(webhook, status.message());
}

// The URL may hold a client's secret: only the edit is named.
void WebhookSender::Log(const Webhook& webhook, const std::string& outcome) const {
  if (!queue_.options().log) return;
  queue_.options().log(
      Json({{"webhook", webhook.edit}, {"failed", webhook.attempts}, {"outcome", outcome}})
          .dump(-1, ' ', true, Json::error_handler_t::replace));
}

}  // namespace kontext::serve
