// GET /metrics: what an operator watches, as Prometheus reads it (text format 0.0.4).
#ifndef KONTEXT_SERVE_METRICS_H_
#define KONTEXT_SERVE_METRICS_H_

#include <cstdint>

#include "serve/exchange.h"

namespace kontext::serve {

// `requests`: of HTTP, since the start.
void SendMetrics(Exchange& exchange, int64_t requests);

}  // namespace kontext::serve

#endif  // KONTEXT_SERVE_METRICS_H_
