// PeerIdentity: who a client proved to be by its certificate, as plain values for backends, logs
// and rules. It exists only where a certificate was shown, its key proven and its chain accepted.
#ifndef TRESTLE_TLS_PEER_IDENTITY_H_
#define TRESTLE_TLS_PEER_IDENTITY_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace trestle {

/// The names are exact, never cut or escaped: one that isn't printable ASCII of at most
/// `kMaxNameBytes` is left out. Kinds are kept apart, because a URI that reads like a DNS name is
/// none.
struct PeerIdentity {
  static constexpr size_t kMaxNameBytes = 2048;

  std::string subject;      ///< RFC 2253 form: "CN=alice,O=Example".
  std::string issuer;       ///< Same form.
  std::string common_name;  ///< Of the subject, UTF-8; for people: it proves nothing by itself.
  std::string serial;       ///< Hexadecimal, lower case.
  std::vector<std::string> dns_names;    ///< SAN dNSName, lower-cased.
  std::vector<std::string> uri_names;    ///< SAN uniformResourceIdentifier: SPIFFE IDs.
  std::vector<std::string> email_names;  ///< SAN rfc822Name.
  std::vector<std::string> ip_names;     ///< SAN iPAddress, as text.
  std::array<uint8_t, 32> certificate_sha256 = {};
  std::array<uint8_t, 32> key_sha256 = {};  ///< Of the SubjectPublicKeyInfo.
  absl::Time not_after = absl::InfiniteFuture();
  /// The certificate was shown on an earlier connection, whose session this one resumes. It was
  /// judged again for this one.
  bool resumed = false;
  /// The certificates that the client showed, DER, its own first.
  std::vector<std::string> certificates;
};

}  // namespace trestle

#endif  // TRESTLE_TLS_PEER_IDENTITY_H_
