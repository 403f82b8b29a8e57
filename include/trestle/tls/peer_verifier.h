// PeerVerifier: a host's own judgement on a server, in addition to the checks of ClientTlsConfig.
// It may take its time: the handshake waits, other connections do not.
#ifndef TRESTLE_TLS_PEER_VERIFIER_H_
#define TRESTLE_TLS_PEER_VERIFIER_H_

#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "trestle/base/bytes.h"
#include "trestle/tls/tls_info.h"

namespace trestle {

/// Whom a connection has reached, valid during the call of `Verify` only.
struct PeerToVerify {
  absl::string_view name;           ///< That was asked for, and that the leaf is for.
  const ChainInfo& chain;           ///< Described, leaf first. Copies are cheap.
  std::vector<ByteView> chain_der;  ///< The same certificates as bytes.
  /// The session was made earlier, with this chain; it was accepted then.
  bool resumed = false;
};

/// Shared by the connections of all threads that its config serves.
class PeerVerifier {
 public:
  virtual ~PeerVerifier() = default;

  /// Judges `peer`, once for each connection, after all other checks have passed. `done` is to be
  /// called once, here or later, on the connection's thread: OK lets the peer in; any other status
  /// refuses it, with the code of its TlsError if it has one, else
  /// ErrorCode::kCertificateUntrusted. Until then nothing is sent to the peer; the handshake's time
  /// limit goes on. A call for a connection that is gone does nothing.
  virtual void Verify(const PeerToVerify& peer,
                      absl::AnyInvocable<void(absl::Status)> done) const = 0;
};

}  // namespace trestle

#endif  // TRESTLE_TLS_PEER_VERIFIER_H_
