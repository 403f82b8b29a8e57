// ClientTlsTarget: the server that one client connection is for, and the name that it must prove.
#ifndef TRESTLE_TLS_CLIENT_TLS_TARGET_H_
#define TRESTLE_TLS_CLIENT_TLS_TARGET_H_

#include <string>
#include <vector>

#include "trestle/base/endpoint.h"
#include "trestle/tls/client_session_cache.h"

namespace trestle {

/// The target of one client connection.
struct ClientTlsTarget {
  /// Required: the DNS name that the peer must prove (SAN; the subject's CN is ignored), also sent
  /// as SNI. Or an IP address, which must be in the SAN and is not sent (RFC 6066 3). May be empty
  /// if `verify_name` or ClientTlsOptions::peer_uris is set: no SNI is sent then.
  std::string server_name;
  /// Application protocols to offer, in order; empty sends no ALPN. If the peer selects none, the
  /// handshake fails with ErrorCode::kAlpnMismatch.
  std::vector<std::string> alpn;
  /// Accepts a peer without ALPN. A peer that selects a protocol that was not offered is always
  /// refused.
  bool alpn_optional = false;
  /// The name that the peer must prove instead of `server_name`, which is then only sent. A DNS
  /// name, an IP address or a URI (SPIFFE ID). Empty: `server_name`. An empty name never means "no
  /// check". Has no effect with ClientTlsOptions::peer_uris.
  std::string verify_name = "";
  /// The endpoint of the connection. Sessions of one endpoint are not offered to another.
  Endpoint endpoint = {};
  /// The configured host and port of the server, if DNS led to `endpoint`. Sessions then go by it,
  /// and not by the address of today. Empty: `endpoint`.
  std::string host = "";
  /// Keeps sessions for later connections and offers those of earlier ones; may be null. Must
  /// outlive the connection.
  ClientSessionCache* sessions = nullptr;
};

}  // namespace trestle

#endif  // TRESTLE_TLS_CLIENT_TLS_TARGET_H_
