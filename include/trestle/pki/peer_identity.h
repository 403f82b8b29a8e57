// PeerIdentity: the identity of a client from its verified certificate, as plain values for
// backends, logs and rules. It exists only if the client presented a certificate, proved its key,
// and the server accepted the chain.
#ifndef TRESTLE_PKI_PEER_IDENTITY_H_
#define TRESTLE_PKI_PEER_IDENTITY_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace trestle {

/// Names are exact: never truncated or escaped. A name that is not printable ASCII, or longer than
/// `kMaxNameBytes`, is left out. Kinds stay apart: a URI that looks like a DNS name is not a DNS
/// name.
struct PeerIdentity {
  static constexpr size_t kMaxNameBytes = 2048;

  std::string subject;      ///< RFC 2253 form: "CN=alice,O=Example".
  std::string issuer;       ///< Same form.
  std::string common_name;  ///< Of the subject, UTF-8. For display only: it proves nothing.
  std::string serial;       ///< Hexadecimal, lower case.
  std::vector<std::string> dns_names;    ///< SAN dNSName, lower-cased.
  std::vector<std::string> uri_names;    ///< SAN uniformResourceIdentifier: SPIFFE IDs.
  std::vector<std::string> email_names;  ///< SAN rfc822Name.
  std::vector<std::string> ip_names;     ///< SAN iPAddress, as text.
  std::array<uint8_t, 32> certificate_sha256 = {};
  std::array<uint8_t, 32> key_sha256 = {};  ///< Of the SubjectPublicKeyInfo.
  absl::Time not_after = absl::InfiniteFuture();
  /// The connection resumes a session; the client presented the certificate on an earlier
  /// connection. The server verified it again for this one.
  bool resumed = false;
  /// The certificates that the client presented, DER, leaf first.
  std::vector<std::string> certificates;
};

}  // namespace trestle

#endif  // TRESTLE_PKI_PEER_IDENTITY_H_
