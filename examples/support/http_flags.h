// The flags by which the example proxies read HTTP behind the client's TLS.
#ifndef TRESTLE_EXAMPLES_SUPPORT_HTTP_FLAGS_H_
#define TRESTLE_EXAMPLES_SUPPORT_HTTP_FLAGS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "integrations/http1/http1_inspector.h"
#include "integrations/http1/http_routes.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/ip_range.h"
#include "trestle/io/scheduler.h"
#include "trestle/proxy/content_routing.h"
#include "trestle/proxy/proxy_block.h"
#include "trestle/tls/tls_config.h"

namespace trestle::examples {

/// What was asked for; may be shared by threads.
struct HttpFlags {
  bool inspect = false;
  bool http2 = false;                        ///< Is offered to clients, and passes unread.
  bool unread_http2 = false;                 ///< The same beside what reads HTTP/1.1.
  std::shared_ptr<const HttpRoutes> routes;  ///< Null: the backend is fixed.
  TrustedPeers trusted_proxies;              ///< What they say of their clients is added to.
  std::vector<std::string> upgrades;         ///< Protocols that requests may ask for.
  bool client_cert = false;                  ///< Client-Cert and Client-Cert-Chain are sent.
  bool xfcc_cert = false;                    ///< X-Forwarded-Client-Cert has the certificate.
  std::vector<std::string> kept_fields;      ///< That only a proxy should set.
};

/// Reads --http, --http2, --dangerous_unread_http2, --http_routes, --http_trusted_proxies,
/// --http_upgrades, --http_client_cert, --http_xfcc_cert and --dangerous_http_keep.
absl::StatusOr<HttpFlags> HttpFromFlags();

/// Fails where `front` offers HTTP/2, which passes unread, beside flags that have HTTP read, unless
/// --dangerous_unread_http2 allows it; and where --http2 has no effect.
absl::Status CheckHttp2(const HttpFlags& flags, const ServerTlsOptions& front);

/// The application protocols to offer clients, where no flag says so.
std::vector<std::string> FrontProtocols(const HttpFlags& flags);

/// Says where connections may lead: the routes, or, without any, `backend` (--backend: one, or
/// several joined by +) alone. Fails where both or neither are given.
absl::StatusOr<std::vector<HttpRoute>> BackRoutes(const HttpFlags& flags,
                                                  absl::string_view backend);

/// Sets what a block on the loop of `scheduler` needs for it, where anything was asked for. `http`
/// may have guards, which come after the routes.
absl::Status ApplyHttp(const HttpFlags& flags, Scheduler& scheduler,
                       InspectorFactory& new_inspector, ContentRouting& content,
                       Http1Options http = {});

/// Tells whether any of `routes` leads back to `listener`; see `LeadsTo` of backends.h.
bool LeadsTo(const std::vector<HttpRoute>& routes, const Endpoint& listener);

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_HTTP_FLAGS_H_
