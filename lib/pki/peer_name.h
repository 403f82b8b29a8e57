// PeerName: the name that a peer must prove.
#ifndef TRESTLE_LIB_PKI_PEER_NAME_H_
#define TRESTLE_LIB_PKI_PEER_NAME_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace trestle {

/// A name to verify. Exactly one field is set.
struct PeerName {
  std::string dns_name;    ///< Normalised.
  std::string ip_address;  ///< 4 or 16 bytes in network order.
  std::string uri;         ///< Compared byte by byte, as SPIFFE IDs are.

  /// Parses a configured name; "://" marks a URI. Fails with ErrorCode::kConfiguration for an empty
  /// name and for other text.
  static absl::StatusOr<PeerName> Parse(absl::string_view text);

  std::string ToString() const;

  /// Returns the name with its kind: "DNS:app.example", "IP:192.0.2.1",
  /// "URI:spiffe://example.org/app".
  std::string ToStringWithKind() const;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PKI_PEER_NAME_H_
