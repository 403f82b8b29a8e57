// What a RequestExchange does with a request for another protocol, between HTTP/1.1 and HTTP/2.

#include <optional>
#include <string>

#include "absl/strings/escaping.h"
#include "integrations/http/gateway_core.h"
#include "integrations/http/request_exchange.h"
#include "integrations/http/websocket_key.h"
#include "trestle/base/error.h"

namespace trestle {

// An extended CONNECT becomes an Upgrade of HTTP/1.1 (RFC 8441 5, RFC 6455 4.1).
void RequestExchange::AddTunnelFields() {
  request_.method = "GET";
  std::string key;
  for (int i = 0; i < 16; ++i) key.push_back(static_cast<char>(core_.random() & 0xff));
  request_.fields.Set("sec-websocket-key", absl::Base64Escape(key));
}

// The handshake of HTTP/2 has no proof, which clients of HTTP/1.1 need (RFC 8441 5).
void RequestExchange::ProveHandshake(HttpResponse& response) const {
  const std::string* const key = request_.fields.Find("sec-websocket-key");
  if (report_.backend_version != HttpVersion::kHttp2 || key == nullptr) return;
  response.fields.Set("sec-websocket-accept", WebSocketAccept(*key));
}

// Returns whether a backend refused a connection for a change of protocol because it was offered
// HTTP/1.1 only.
bool RequestExchange::NeedsHttp2(const absl::Status& why) const {
  constexpr uint8_t kNoApplicationProtocol = 120;  // RFC 7301 3.2.
  if (request_.protocol.empty() || tunnel_needs_http2_) return false;
  const std::optional<Error> error = GetError(why);
  return error.has_value() &&
         (error->code == ErrorCode::kAlpnMismatch || error->alert == kNoApplicationProtocol);
}

}  // namespace trestle
