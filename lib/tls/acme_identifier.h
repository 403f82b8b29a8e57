// AcmeIdentifier: what an ACME certificate is for, and the server name under which it is asked for.
#ifndef TRESTLE_LIB_TLS_ACME_IDENTIFIER_H_
#define TRESTLE_LIB_TLS_ACME_IDENTIFIER_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "trestle/base/endpoint.h"

namespace trestle {

struct AcmeIdentifier {
  /// Reads a server name or an IP address as people write them. Fails with kConfiguration.
  static absl::StatusOr<AcmeIdentifier> Parse(absl::string_view text);

  /// Reads the other way round what a challenge is asked for under, in its normal form: IP
  /// addresses come as the names of their reverse zones (RFC 8738 6).
  static AcmeIdentifier FromServerName(absl::string_view server_name);

  std::string server_name;
  std::string text;  ///< The server name, or the address.
  Endpoint address;  ///< Of family kNone for a server name.
};

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_ACME_IDENTIFIER_H_
