#include "serve/draft.h"
#include "serve/exchange.h"

namespace kontext::serve {

std::string BodyHash(const Draft& draft) {
  std::string all = draft.fields.dump(-1, ' ', true, Json::error_handler_t::replace) + draft.mask;
  for (const std::string& picture : draft.pictures) all += HashOf(picture);
  if (draft.webhook) all += draft.webhook->url + draft.webhook->secret;
  return HashOf(all);
}

void Accept(Exchange& x, Draft& draft, std::vector<FieldError> errors) {
  if (errors.empty()) errors = CheckPictures(draft, x.queue.engine().limits());
  if (!errors.empty()) return x.Fail(400, "bad_request", errors[0].Told(), errors);
  draft.body_hash = BodyHash(draft);
  StoredEdit edit;
  if (x.Submit(draft, edit)) x.Send(202, EditJson(x.queue, edit));
}

}  // namespace kontext::serve
