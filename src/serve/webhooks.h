// WebhookSender: tells those who asked for it that their edit has ended; docs/serve.md.
#ifndef KONTEXT_SERVE_WEBHOOKS_H_
#define KONTEXT_SERVE_WEBHOOKS_H_

#include <atomic>
#include <thread>

#include "serve/queue.h"

namespace kontext::serve {

class WebhookSender {
 public:
  explicit WebhookSender(Queue& queue);
  ~WebhookSender();  // after the attempt it is at; the others wait in the store
  WebhookSender(const WebhookSender&) = delete;
  WebhookSender& operator=(const WebhookSender&) = delete;

 private:
  void Work();
  void Try(Webhook webhook);
  void Log(const Webhook& webhook, const std::string& outcome) const;

  Queue& queue_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace kontext::serve

#endif  // KONTEXT_SERVE_WEBHOOKS_H_
