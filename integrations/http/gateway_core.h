// GatewayCore: what the connections and requests of one gateway share.
#ifndef TRESTLE_INTEGRATIONS_HTTP_GATEWAY_CORE_H_
#define TRESTLE_INTEGRATIONS_HTTP_GATEWAY_CORE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/random/random.h"
#include "integrations/http/backend_pool.h"
#include "integrations/http/front_connection.h"
#include "integrations/http/http_cache.h"
#include "integrations/http/http_gateway.h"
#include "integrations/http/request_exchange.h"
#include "integrations/http/turn_queue.h"
#include "trestle/proxy/backend_chooser.h"

namespace trestle {

struct GatewayCore {
  GatewayCore(Scheduler& scheduler, Dialer& dialer, HttpGatewayOptions gateway_options,
              HttpObserver* observer)
      : scheduler(scheduler),
        options(std::move(gateway_options)),
        observer(observer),
        turns(scheduler),
        pool(scheduler, dialer, turns, options.limits, options.pool) {
    if (options.cache_bytes > 0) cache = std::make_unique<HttpCache>(options.cache_bytes);
  }

  Scheduler& scheduler;
  HttpGatewayOptions options;
  HttpObserver* const observer;
  TurnQueue turns;
  BackendPool pool;
  BackendChooser chooser;
  absl::BitGen random;
  std::unique_ptr<HttpCache> cache;  // Null without one.
  // The keys of the cache that a request fetches now, and the requests that wait for it.
  absl::flat_hash_map<std::string, std::vector<RequestExchange*>> fetches;
  bool draining = false;
  double retries_left = 10;  // Tokens; each request adds a part of one.
  absl::flat_hash_map<RequestExchange*, std::unique_ptr<RequestExchange>> exchanges;
  absl::flat_hash_map<FrontConnection*, std::unique_ptr<FrontConnection>> connections;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP_GATEWAY_CORE_H_
