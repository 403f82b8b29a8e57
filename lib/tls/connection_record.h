// What an SSL_CTX's callbacks and the engine that runs a connection tell each other about it.
#ifndef TRESTLE_LIB_TLS_CONNECTION_RECORD_H_
#define TRESTLE_LIB_TLS_CONNECTION_RECORD_H_

#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/tls/certificate_verifier.h"
#include "lib/tls/handshake_wait.h"
#include "lib/tls/signing_record.h"
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

/// Needed until the handshake is done, then freed.
struct HandshakeRecord {
  const ServerTlsConfig* server = nullptr;  ///< One of the two is set.
  const ClientTlsConfig* client = nullptr;
  PeerName expected_name;     ///< Client: what the peer must prove.
  Endpoint local_address;     ///< Server: where the client connected to; kNone: not known.
  HelloHook* hook = nullptr;  ///< Server: null for none.
  PendingAnswer<absl::StatusOr<HelloAnswer>> hello_answer;
  PendingAnswer<absl::Status> verdict;                  ///< Of the host's own verifier.
  PendingAnswer<CredentialSelector::Answer> selection;  ///< Server: of the host's own selector.
  CertificateSet::Credentials offered;                  ///< What BoringSSL may choose from.
  std::shared_ptr<const ClientAuthRules> client_rules;  ///< Server: keeps the next one alive.
  const ClientAuthRule* client_rule = nullptr;          ///< Server: null where none applies.
  absl::AnyInvocable<absl::Status()> admit;  ///< Server: asked before a full handshake, if set.
  /// Server: asked about the hello before anything is made of it, if set.
  absl::AnyInvocable<absl::Status(const HelloToAnswer&)> check_hello;
  /// Server: whose session it is that the client wants to resume.
  ChainInfo resumed_chain;
  std::shared_ptr<const PeerIdentity> resumed_identity;
  PendingAnswer<absl::Status> resumed_verdict;  ///< About the client whose leaf this is:
  std::string resumed_leaf;
  std::shared_ptr<const PeerIdentity> shown_identity;  ///< Server: not asked the verifier yet.
  /// Why a callback refused: more than BoringSSL's own error says.
  std::optional<TlsError> refusal;
};

/// Client with a ClientSessionCache: servers send tickets at any time, so this stays.
struct ResumptionRecord {
  SessionMemory& memory;
  std::string target;                                  ///< The key in `memory`.
  bool offered = false;                                ///< A session was offered to the server.
  std::shared_ptr<const VerifiedPeer> peer = nullptr;  ///< Of that session, or of this handshake.
};

/// Counts the KeyUpdates of a peer (RFC 8446 4.6.3). Each costs new keys, and an answer if it asks
/// for one; BoringSSL bounds only those that follow each other without data in between.
class KeyUpdateCount {
 public:
  void SetLimit(int most_per_minute) { most_per_minute_ = most_per_minute; }
  int most_per_minute() const { return most_per_minute_; }

  void Add(MonotonicTime now) {
    if (now - minute_start_ >= absl::Minutes(1)) {
      minute_start_ = now;
      count_ = 0;
    }
    ++count_;
  }
  bool too_many() const { return count_ > most_per_minute_; }

 private:
  MonotonicTime minute_start_;
  int count_ = 0;
  int most_per_minute_ = 60;  // Of servers, and of clients unless told otherwise.
};

/// One per SSL, from its making to its end.
struct ConnectionRecord : SigningRecord {
  /// Reports share it, and may outlive the connection.
  const std::shared_ptr<TlsInfo> shared_info = std::make_shared<TlsInfo>();
  TlsInfo& info = *shared_info;
  bool hello_received = false;            ///< Server: a whole hello, not judged yet.
  std::optional<uint8_t> alert_received;  ///< The last one that isn't close_notify.
  std::optional<uint8_t> alert_sent;      ///< Only fatal ones: the first is the last.
  KeyUpdateCount key_updates;
  std::unique_ptr<HandshakeRecord> handshake;
  std::unique_ptr<ResumptionRecord> resumption;

  explicit ConnectionRecord(Scheduler& loop) : SigningRecord(loop) {}

  /// The record that hangs on `ssl`.
  static ConnectionRecord& Of(const SSL* ssl) {
    return static_cast<ConnectionRecord&>(SigningRecord::Of(ssl));
  }
};

/// Makes the connections of `context` write alerts, the chain they show and the peer's KeyUpdates
/// into their records.
void InstallRecordCallbacks(SSL_CTX* context);

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_CONNECTION_RECORD_H_
