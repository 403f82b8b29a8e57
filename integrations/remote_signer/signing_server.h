// SigningServer: signs for other processes with keys that they don't have, and only what a TLS peer
// signs.
#ifndef TRESTLE_INTEGRATIONS_REMOTE_SIGNER_SIGNING_SERVER_H_
#define TRESTLE_INTEGRATIONS_REMOTE_SIGNER_SIGNING_SERVER_H_

#include <cstddef>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "integrations/remote_signer/signed_input.h"
#include "integrations/remote_signer/signing_protocol.h"
#include "trestle/io/scheduler.h"
#include "trestle/pki/signer.h"
#include "trestle/proxy/connection_handler.h"

namespace trestle {

/// A key of a server.
struct ServedKey {
  SpkiSha256 spki_sha256 = {};
  std::string name;  ///< For the audit log.
  std::shared_ptr<const Signer> signer;
  /// The clients that may use it: exact "dns:NAME" and "uri:URI" of their certificates, or names
  /// that the host gives to `Serve`. "unix" is every client of a Unix-domain socket. Empty: none.
  std::vector<std::string> clients;
  /// Also signs a TLS 1.3 client's CertificateVerify, for a certificate of a back leg.
  bool signs_as_client = false;
};

/// One request, after its answer.
struct SigningRecord {
  std::string client;  ///< The client's first name; empty without one.
  std::string key;     ///< The key's name, or the hexadecimal digest of an unknown one.
  SignedInput input = SignedInput::kOther;
  SignatureScheme scheme = {};
  SigningVerdict verdict = SigningVerdict::kFailed;
  absl::Duration took;
  std::string detail;  ///< The reason of kFailed.
};

/// Receives a record of each request, on the loop's thread.
class SigningAudit {
 public:
  virtual ~SigningAudit() = default;
  virtual void OnRequest(const SigningRecord& record) = 0;
};

/// Options of a SigningServer.
struct SigningServerOptions {
  std::vector<ServedKey> keys;
  size_t max_connections = 1024;            ///< Further ones are cut.
  size_t max_waiting_per_connection = 256;  ///< Further requests are answered with kOverLimit.
};

/// Serves connections of one loop. A client without a name is cut at once: plain TCP has none.
class SigningServer final : public ConnectionHandler {
 public:
  /// Fails with ErrorCode::kConfiguration without keys, for a key without signer or clients, two
  /// equal keys, or a limit of zero. `scheduler` and `audit` must outlive the server.
  static absl::StatusOr<std::unique_ptr<SigningServer>> Create(Scheduler& scheduler,
                                                               SigningServerOptions options,
                                                               SigningAudit& audit);

  ~SigningServer() override;

  using ConnectionHandler::Serve;
  /// Serves a connection of a TlsTerminator that requires client certificates, or of a Unix-domain
  /// socket.
  void Serve(Accepted connection) override;

  /// Serves a client whose names the host has established.
  void Serve(std::unique_ptr<Transport> transport, std::vector<std::string> client_names);

  /// Replaces all keys, for requests from now on; connections stay. Fails as `Create` does, and
  /// then changes nothing.
  absl::Status ReplaceKeys(std::vector<ServedKey> keys);

  size_t connections() const { return connections_.size(); }

 private:
  class Connection;

  SigningServer(Scheduler& scheduler, SigningServerOptions options, SigningAudit& audit);
  const ServedKey* Find(const SpkiSha256& key) const;

  Scheduler& scheduler_;
  SigningServerOptions options_;  // Only the keys change.
  SigningAudit& audit_;
  std::list<std::unique_ptr<Connection>> connections_;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_REMOTE_SIGNER_SIGNING_SERVER_H_
