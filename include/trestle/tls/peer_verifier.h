// PeerVerifier: the host's own check of a server, or of a client with a certificate. It runs in
// addition to the checks of ClientTlsConfig or ClientAuthentication. It may take time: the
// handshake waits; other connections continue.
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

/// The peer to verify. Valid during the call of `Verify` only.
struct PeerToVerify {
  /// For a server: the requested name, which the leaf is valid for. For a client: the server name
  /// that it requests; may be empty.
  absl::string_view name;
  const ChainInfo& chain;           ///< Described, leaf first. Copies are cheap.
  std::vector<ByteView> chain_der;  ///< The same certificates as bytes.
  /// The connection resumes a session that was accepted with this chain.
  bool resumed = false;
};

/// All connections of its config share it, on all threads: an implementation must be thread-safe.
class PeerVerifier {
 public:
  virtual ~PeerVerifier() = default;

  /// Verifies `peer` once for each connection, after all other checks passed. Call `done` once,
  /// inside this call or later, on the thread of `loop`. Other threads get there by
  /// `Scheduler::PostFromAnyThread`. OK accepts the peer. Any other status refuses it with the code
  /// of its Error, else ErrorCode::kCertificateUntrusted.
  ///
  /// If a client's resumed session is refused, the client must present its certificate again, and
  /// `Verify` runs again. Until the verdict no bytes go to the peer. The handshake's time limit
  /// continues; for clients, ServerTlsOptions::answer_timeout applies too.
  ///
  /// The returned object may be null. Its destruction cancels the call: don't use `loop` after it.
  /// `done` then has no effect.
  virtual std::unique_ptr<PendingCall> Verify(
      const PeerToVerify& peer, Scheduler& loop,
      absl::AnyInvocable<void(absl::Status)> done) const = 0;
};

}  // namespace trestle

#endif  // TRESTLE_TLS_PEER_VERIFIER_H_
