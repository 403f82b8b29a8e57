// WebSocketAccept: the proof of a WebSocket's handshake in HTTP/1.1 (RFC 6455 4.2.2).
#ifndef TRESTLE_INTEGRATIONS_HTTP_WEBSOCKET_KEY_H_
#define TRESTLE_INTEGRATIONS_HTTP_WEBSOCKET_KEY_H_

#include <string>

#include "absl/strings/string_view.h"

namespace trestle {

/// Returns Sec-WebSocket-Accept for a client's Sec-WebSocket-Key.
std::string WebSocketAccept(absl::string_view key);

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP_WEBSOCKET_KEY_H_
