// PeerVerifier: a host's own judgement on a peer, a server or a client with a certificate, in
// addition to the checks of ClientTlsConfig or ClientAuthentication.
// It may take its time: the handshake waits, other connections do not.
#ifndef TRESTLE_TLS_PEER_VERIFIER_H_
#define TRESTLE_TLS_PEER_VERIFIER_H_

#include <memory>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "trestle/base/bytes.h"
#include "trestle/io/scheduler.h"
#include "trestle/tls/tls_info.h"

namespace trestle {

/// Who is at the other end of a connection, valid during the call of `Verify` only.
struct PeerToVerify {
  /// Of a server: what was asked for, and what the leaf is for. Of a client: the server name that
  /// it asks for; may be empty.
  absl::string_view name;
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
  /// called once, here or later, on the thread of `loop` (other threads get there by
  /// `Scheduler::PostFromAnyThread`): OK lets the peer in; any other status refuses it, with the
  /// code of its TlsError if it has one, else ErrorCode::kCertificateUntrusted. A client that is
  /// refused with its old session is asked for its certificate again, and so are you. Until then
  /// nothing is sent to the peer; the handshake's time limit goes on, and for clients
  /// ServerTlsOptions::answer_timeout. Destroying what is returned, which may be null, means that
  /// nobody waits any more: `loop` must not be used after that, and calls of `done` do nothing.
  virtual std::unique_ptr<PendingCall> Verify(
      const PeerToVerify& peer, Scheduler& loop,
      absl::AnyInvocable<void(absl::Status)> done) const = 0;
};

}  // namespace trestle

#endif  // TRESTLE_TLS_PEER_VERIFIER_H_
