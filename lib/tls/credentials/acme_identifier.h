// AcmeIdentifier: the subject of an ACME certificate, and the server name of its challenge.
#ifndef TRESTLE_LIB_TLS_CREDENTIALS_ACME_IDENTIFIER_H_
#define TRESTLE_LIB_TLS_CREDENTIALS_ACME_IDENTIFIER_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "trestle/base/endpoint.h"

namespace trestle {

struct AcmeIdentifier {
  /// Parses a server name or an IP address. Fails with kConfiguration.
  static absl::StatusOr<AcmeIdentifier> Parse(absl::string_view text);

  /// Parses the server name of a challenge, in its normal form. IP addresses come as names of their
  /// reverse zones (RFC 8738 6).
  static AcmeIdentifier FromServerName(absl::string_view server_name);

  std::string server_name;
  std::string text;  ///< The server name, or the address.
  Endpoint address;  ///< Family kNone for a server name.
};

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_CREDENTIALS_ACME_IDENTIFIER_H_
