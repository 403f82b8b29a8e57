// TlsInfo: the negotiated state of a TLS leg, as plain values for observers, logs and probes.
#ifndef TRESTLE_TLS_TLS_INFO_H_
#define TRESTLE_TLS_TLS_INFO_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "trestle/pki/certificate_info.h"
#include "trestle/pki/peer_identity.h"

namespace trestle {

/// The parameters of a TLS handshake, from this side's view.
struct TlsInfo {
  // Static texts: always valid.
  absl::string_view version;  ///< "TLSv1.3" or "TLSv1.2".
  absl::string_view cipher;   ///< IANA name: "TLS_AES_128_GCM_SHA256".
  absl::string_view group;    ///< "X25519MLKEM768", "P-256"; empty if resumed without one.
  std::string alpn;           ///< Application protocol; empty when none was agreed.
  std::string server_name;    ///< SNI as sent (client) or received (server), normalised.
  uint32_t hello_bytes = 0;   ///< Server: size of the first ClientHello's handshake message.
  bool resumed = false;
  /// Server: an ACME server sent a challenge and got its answer. The connection carries no data.
  bool acme_challenge = false;
  /// The hello was encrypted (RFC 9849): the network can't read `server_name`.
  bool ech_accepted = false;
  bool hello_retried = false;  ///< A HelloRetryRequest: the server wanted another key share.
  ChainInfo local_chain;       ///< The chain this side presented, leaf first; may be empty.
  /// The chain that the peer presented, leaf first; may be empty. On a client's resumed session,
  /// the chain verified when the session was made.
  ChainInfo peer_chain;
  /// Server: the identity of a client with a verified certificate; null for all other clients.
  std::shared_ptr<const PeerIdentity> peer_identity;
  /// Server: the generation of the CertificateStore's set at the time of the hello, also for
  /// resumed sessions; 0 before.
  uint64_t certificate_generation = 0;
  /// Server: the not_after of the certificate presented; for a resumed session, of the one that
  /// would have been.
  absl::Time certificate_expires = absl::InfiniteFuture();
};

}  // namespace trestle

#endif  // TRESTLE_TLS_TLS_INFO_H_
