// PeerName: what a peer has to prove that it is.
#ifndef TRESTLE_LIB_TLS_PEER_NAME_H_
#define TRESTLE_LIB_TLS_PEER_NAME_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace trestle {

/// The name that a peer must prove: one of the three is there.
struct PeerName {
  std::string dns_name;    ///< Normalised.
  std::string ip_address;  ///< 4 or 16 bytes in network order.
  std::string uri;         ///< Compared byte by byte, as SPIFFE IDs are.

  /// Reads what a user wrote; a URI has "://" in it. Fails with ErrorCode::kConfiguration for the
  /// empty name and for what is none of the three.
  static absl::StatusOr<PeerName> Parse(absl::string_view text);

  std::string ToString() const;

  /// The same with its kind: "DNS:app.example", "IP:192.0.2.1", "URI:spiffe://example.org/app".
  std::string ToStringWithKind() const;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_PEER_NAME_H_
