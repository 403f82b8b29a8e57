// The state that an SSL_CTX's callbacks and the engine share about a connection.
#ifndef TRESTLE_LIB_TLS_ENGINE_CONNECTION_STATE_H_
#define TRESTLE_LIB_TLS_ENGINE_CONNECTION_STATE_H_

#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/pki/certificate_verifier.h"
#include "lib/tls/credentials/signing_state.h"
#include "lib/tls/engine/handshake_wait.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/error.h"
#include "trestle/io/scheduler.h"
#include "trestle/tls/certificate_store.h"
#include "trestle/tls/credential_selector.h"
#include "trestle/tls/hello_hook.h"
#include "trestle/tls/tls_info.h"

namespace trestle {

class ClientAuthRule;
class ClientAuthRules;
class ClientTlsConfig;
class ServerTlsConfig;
class SessionMemory;
struct VerifiedPeer;

/// State of the handshake, freed when it is done.
struct HandshakeState {
  const ServerTlsConfig* server = nullptr;  ///< One of the two is set.
  const ClientTlsConfig* client = nullptr;
  PeerName expected_name;     ///< Client: the name that the peer must prove.
  Endpoint local_address;     ///< Server: the address that the client connected to; kNone: unknown.
  HelloHook* hook = nullptr;  ///< Server: null for none.
  PendingAnswer<absl::StatusOr<HelloAnswer>> hello_answer;
  PendingAnswer<absl::Status> verdict;                  ///< The host's verifier.
  PendingAnswer<CredentialSelector::Answer> selection;  ///< Server: the host's selector.
  CertificateSet::Credentials offered;                  ///< BoringSSL chooses one of these.
  bool name_recognized = false;                         ///< Server: `offered` is for its name.
  std::shared_ptr<const ClientAuthRules> client_rules;  ///< Server: owns `client_rule`.
  const ClientAuthRule* client_rule = nullptr;          ///< Server: null where none applies.
  absl::AnyInvocable<absl::Status()> admit;             ///< Server: runs before a full handshake.
  /// Server: checks the hello before anything else; may be null.
  absl::AnyInvocable<absl::Status(const HelloToAnswer&)> check_hello;
  /// Server: the client of the session that the hello wants to resume.
  ChainInfo resumed_chain;
  std::shared_ptr<const PeerIdentity> resumed_identity;
  PendingAnswer<absl::Status> resumed_verdict;  ///< The verdict on the client with `resumed_leaf`.
  std::string resumed_leaf;
  std::shared_ptr<const PeerIdentity> shown_identity;  ///< Server: not yet accepted.
  /// Why a callback refused; more specific than BoringSSL's own error.
  std::optional<Error> refusal;
};

/// For a client with a ClientSessionCache. Lasts as long as the connection: tickets may arrive at
/// any time.
struct ResumptionState {
  SessionMemory& memory;
  std::string target;                                  ///< The key in `memory`.
  bool offered = false;                                ///< A session was offered to the server.
  std::shared_ptr<const VerifiedPeer> peer = nullptr;  ///< From that session or this handshake.
};

/// Counts the KeyUpdates of a peer (RFC 8446 4.6.3). Each costs new keys, and a reply if it
/// requests one. BoringSSL limits only consecutive ones without data in between.
class KeyUpdateCount {
 public:
  /// The period that the limit is for. The option's name, `max_key_updates_per_minute`, and the
  /// words of the error state it.
  static constexpr absl::Duration kPeriod = absl::Minutes(1);
  /// The limit of clients, which have no option. It is the default of servers.
  static constexpr int kMostOfClients = 60;

  void SetLimit(int most_per_minute) { most_per_minute_ = most_per_minute; }
  int most_per_minute() const { return most_per_minute_; }

  void Add(MonotonicTime now) {
    if (now - period_start_ >= kPeriod) {
      period_start_ = now;
      count_ = 0;
    }
    ++count_;
  }
  bool too_many() const { return count_ > most_per_minute_; }

 private:
  MonotonicTime period_start_;
  int count_ = 0;
  int most_per_minute_ = kMostOfClients;
};

/// One per SSL, from its creation to its end.
struct ConnectionState : SigningState {
  /// Reports share it; it may outlive the connection.
  const std::shared_ptr<TlsInfo> shared_info = std::make_shared<TlsInfo>();
  TlsInfo& info = *shared_info;
  bool hello_received = false;            ///< Server: a complete hello, not checked yet.
  std::optional<uint8_t> alert_received;  ///< The last one except close_notify.
  std::optional<uint8_t> alert_sent;      ///< The fatal alert, if any.
  KeyUpdateCount key_updates;
  std::unique_ptr<HandshakeState> handshake;
  std::unique_ptr<ResumptionState> resumption;

  explicit ConnectionState(Scheduler& loop) : SigningState(loop) {}

  /// Returns the record attached to `ssl`.
  static ConnectionState& Of(const SSL* ssl) {
    return static_cast<ConnectionState&>(SigningState::Of(ssl));
  }
};

/// Makes the connections of `context` record alerts, the chain they present and the peer's
/// KeyUpdates.
void InstallRecordCallbacks(SSL_CTX* context);

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_ENGINE_CONNECTION_STATE_H_
