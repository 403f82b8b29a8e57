// RemoteSigner: signs with keys of a key server, a process or machine of its own (SigningServer).
// This process then has no private key.
#ifndef TRESTLE_INTEGRATIONS_REMOTE_SIGNER_REMOTE_SIGNER_H_
#define TRESTLE_INTEGRATIONS_REMOTE_SIGNER_REMOTE_SIGNER_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "integrations/remote_signer/signing_protocol.h"
#include "trestle/base/endpoint.h"
#include "trestle/io/dialer.h"
#include "trestle/io/scheduler.h"
#include "trestle/pki/signer.h"
#include "trestle/tls/client_tls_config.h"

namespace trestle {

/// Options of a RemoteSigner.
struct RemoteSignerOptions {
  Endpoint server;
  /// TLS to the server, with the certificate that it knows this client by. Null for none, which
  /// only a Unix-domain socket may have.
  std::shared_ptr<const ClientTlsConfig> tls;
  std::string server_name = "";  ///< The name in the server's certificate. Required with `tls`.
  /// Time for a signature, the connection included. After it the call fails with
  /// ErrorCode::kTimeout, and a connection that has not answered a request for so long is closed.
  absl::Duration deadline = absl::Seconds(2);
  size_t max_waiting = 1024;  ///< Requests without an answer; further ones fail with kOverLimit.
};

/// One connection to one server, for all keys and all loops of this process. Requests are
/// pipelined, and answers come in any order. It connects at the first request and after each end.
///
/// A second server is a second RemoteSigner below a FailoverSigner, which also adds the pauses
/// after a failure. Thread-safe.
class RemoteSigner : public std::enable_shared_from_this<RemoteSigner> {
 public:
  /// Makes a client whose connection runs on `loop`, which may be any loop, also one of its own
  /// thread. `loop` and `dialer` must outlive it and its signers. Fails with
  /// ErrorCode::kConfiguration for options that are out of range, for a server on the network
  /// without TLS, and for TLS without a name.
  static absl::StatusOr<std::shared_ptr<const RemoteSigner>> Create(Scheduler& loop, Dialer& dialer,
                                                                    RemoteSignerOptions options);

  /// Closes the connection, on its loop, once the last of its signers is gone.
  ~RemoteSigner();
  RemoteSigner(const RemoteSigner&) = delete;
  RemoteSigner& operator=(const RemoteSigner&) = delete;

  /// Returns the signer for one key of the server. Its calls fail with ErrorCode::kTransport if the
  /// connection fails, and with kTimeout after the deadline. They fail with kOverLimit if too many
  /// requests wait here or at the server, and with kInternal and a reason if the server refuses.
  std::shared_ptr<const Signer> SignerFor(const SpkiSha256& key) const;

 private:
  class Client;
  class Job;
  class Handle;
  class KeySigner;

  explicit RemoteSigner(std::shared_ptr<Client> client) : client_(std::move(client)) {}

  const std::shared_ptr<Client> client_;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_REMOTE_SIGNER_REMOTE_SIGNER_H_
