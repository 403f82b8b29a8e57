// TlsInfo: what a TLS leg turned out to be, as plain values for observers, logs and probes.
#ifndef TRESTLE_TLS_TLS_INFO_H_
#define TRESTLE_TLS_TLS_INFO_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "trestle/tls/peer_identity.h"

namespace trestle {

/// One certificate, described.
struct CertificateInfo {
  std::string subject;                 ///< RFC 2253 form: "CN=app.example,O=Example".
  std::string issuer;                  ///< Same form.
  std::vector<std::string> dns_names;  ///< SAN dNSName entries, lower-cased; `*.` wildcards kept.
  std::vector<std::string> ip_names;   ///< SAN iPAddress entries, as text.
  std::vector<std::string> uri_names;  ///< SAN uniformResourceIdentifier entries: SPIFFE IDs.
  std::string serial;                  ///< Hexadecimal, lower case.
  std::string key;                     ///< "ECDSA P-256", "RSA 2048", "Ed25519".
  std::string signature;  ///< How the issuer signed it: "ecdsa-with-SHA256", "RSA-SHA256".
  absl::Time not_before = absl::InfinitePast();
  absl::Time not_after = absl::InfiniteFuture();
  std::array<uint8_t, 32> spki_sha256 = {};  ///< Of the public key, as pins have it (RFC 7469 2.4).
};

/// Whether both describe the same certificate: an issuer gives each a serial number of its own.
inline bool SameCertificate(const CertificateInfo& a, const CertificateInfo& b) {
  return a.serial == b.serial && a.spki_sha256 == b.spki_sha256 && a.issuer == b.issuer &&
         a.not_after == b.not_after;
}

/// Lists the subject alternative names: DNS names, then addresses, then URIs.
std::vector<std::string> NamesOf(const CertificateInfo& certificate);

/// Lists the subject alternative names with their kinds, DNS names first: "DNS:app.example",
/// "IP:192.0.2.1", "URI:spiffe://example.org/app".
std::vector<std::string> SubjectAltNames(const CertificateInfo& certificate);

/// Returns a short name for logs and metrics: the first DNS name, else the first IP address, else
/// the first URI, else the subject. A certificate need not have any of the first three.
std::string CertificateName(const CertificateInfo& certificate);

/// Part of what verification rests on.
enum class ChainPart : uint8_t { kLeaf, kIntermediate, kRoot, kCrl, kStaple };

/// The end of the first certificate of a path that isn't valid any more.
struct PathEnd {
  absl::Time when;  ///< The first second at which verification fails.
  ChainPart part = ChainPart::kLeaf;
  std::string subject;  ///< Of that certificate.
};

/// Certificates as a server sent them, before anybody judged them.
struct ServedChain {
  std::vector<std::string> certificates;  ///< DER, in the order of the wire: the leaf first.
  std::string ocsp_staple;                ///< DER OCSPResponse; empty where none was stapled.
};

/// A chain of certificates, leaf first, described once: copies share the descriptions, so that a
/// connection costs none.
class ChainInfo {
 public:
  ChainInfo() = default;
  explicit ChainInfo(std::vector<CertificateInfo> certificates)
      : description_(
            std::make_shared<Description>(Description{std::move(certificates), std::nullopt})) {}

  absl::Span<const CertificateInfo> span() const {
    if (description_ == nullptr) return {};
    return absl::MakeConstSpan(description_->certificates);
  }

  /// Of a chain that was judged, the first end on the path that its verdict is about, the trust
  /// anchor included: what else was sent doesn't count. Nothing where nobody judged it.
  std::optional<PathEnd> path_end() const {
    return description_ == nullptr ? std::nullopt : description_->path_end;
  }

  /// Notes what `path_end` returns; only before anything else shares the description.
  void NotePathEnd(PathEnd path_end) {
    if (description_ != nullptr) description_->path_end = std::move(path_end);
  }

  bool empty() const { return span().empty(); }
  size_t size() const { return span().size(); }
  const CertificateInfo& operator[](size_t index) const { return span()[index]; }
  const CertificateInfo& front() const { return span().front(); }
  const CertificateInfo* begin() const { return span().data(); }
  const CertificateInfo* end() const { return begin() + size(); }

 private:
  struct Description {
    std::vector<CertificateInfo> certificates;
    std::optional<PathEnd> path_end;
  };

  std::shared_ptr<Description> description_;
};

/// A finished TLS handshake, from this side's view.
struct TlsInfo {
  // Static texts: they outlive everything.
  absl::string_view version;  ///< "TLSv1.3" or "TLSv1.2".
  absl::string_view cipher;   ///< IANA name: "TLS_AES_128_GCM_SHA256".
  absl::string_view group;    ///< "X25519MLKEM768", "X25519", "P-256"; empty if resumed without.
  std::string alpn;           ///< Application protocol; empty when none was agreed.
  std::string server_name;    ///< SNI as sent (client) or received (server), normalised.
  uint32_t hello_bytes = 0;   ///< Server: size of the first ClientHello's handshake message.
  bool resumed = false;
  /// Server: an ACME server came with a challenge, and has its answer. Nothing is to follow.
  bool acme_challenge = false;
  /// The hello was encrypted (RFC 9849): who watches the network doesn't know `server_name`.
  bool ech_accepted = false;
  bool hello_retried = false;  ///< The hello was sent twice: its key shares didn't suit the server.
  ChainInfo local_chain;       ///< What this side showed, leaf first; may be empty.
  /// What the peer showed, leaf first; may be empty. Of a resumed session, what a client had
  /// verified when the session was made.
  ChainInfo peer_chain;
  /// Server: who the client proved to be, where certificates are asked for and it had one; null for
  /// all others.
  std::shared_ptr<const PeerIdentity> peer_identity;
  /// Server: of the CertificateStore's set at the time of the hello, also where a session was
  /// resumed; 0 before.
  uint64_t certificate_generation = 0;
  /// Server: the not_after of the certificate that was shown, or would have been, had no session
  /// been resumed.
  absl::Time certificate_expires = absl::InfiniteFuture();
};

}  // namespace trestle

#endif  // TRESTLE_TLS_TLS_INFO_H_
