// CertificateInfo and ChainInfo: certificates as plain values, for observers, logs and probes.
#ifndef TRESTLE_PKI_CERTIFICATE_INFO_H_
#define TRESTLE_PKI_CERTIFICATE_INFO_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"

namespace trestle {

/// The smallest keys that are accepted, in bits: of own certificates, and of a peer's below the
/// root. CAs have issued nothing weaker since 2014 (CA/Browser Forum Baseline Requirements 6.1.5).
inline constexpr int kMinRsaBits = 2048;
inline constexpr int kMinEcBits = 256;

/// A description of one certificate.
struct CertificateInfo {
  std::string subject;                 ///< RFC 2253 form: "CN=app.example,O=Example".
  std::string issuer;                  ///< Same form.
  std::vector<std::string> dns_names;  ///< SAN dNSName entries, lower-cased; `*.` wildcards kept.
  std::vector<std::string> ip_names;   ///< SAN iPAddress entries, as text.
  std::vector<std::string> uri_names;  ///< SAN uniformResourceIdentifier entries: SPIFFE IDs.
  std::string serial;                  ///< Hexadecimal, lower case.
  std::string key;                     ///< "ECDSA P-256", "RSA 2048", "Ed25519".
  std::string signature;  ///< The issuer's algorithm: "ecdsa-with-SHA256", "RSA-SHA256".
  absl::Time not_before = absl::InfinitePast();
  absl::Time not_after = absl::InfiniteFuture();
  std::array<uint8_t, 32> spki_sha256 = {};  ///< Of the public key, as in pins (RFC 7469 2.4).
};

/// Returns whether both describe the same certificate: an issuer gives each its own serial number.
inline bool SameCertificate(const CertificateInfo& a, const CertificateInfo& b) {
  return a.serial == b.serial && a.spki_sha256 == b.spki_sha256 && a.issuer == b.issuer &&
         a.not_after == b.not_after;
}

/// Returns the subject alternative names: DNS names, then addresses, then URIs.
std::vector<std::string> NamesOf(const CertificateInfo& certificate);

/// Returns the subject alternative names with their kinds, DNS names first: "DNS:app.example",
/// "IP:192.0.2.1", "URI:spiffe://example.org/app".
std::vector<std::string> SubjectAltNames(const CertificateInfo& certificate);

/// Returns a short name for logs and metrics: the first DNS name, else IP address, else URI, else
/// the subject.
std::string CertificateName(const CertificateInfo& certificate);

/// A part of the input of verification.
enum class ChainPart : uint8_t { kLeaf, kIntermediate, kRoot, kCrl, kStaple };

/// The earliest end of validity among the certificates of a path.
struct PathEnd {
  absl::Time when;  ///< The first second at which verification fails.
  ChainPart part = ChainPart::kLeaf;
  std::string subject;  ///< The subject of that certificate.
};

/// The certificates that a server sent, before verification.
struct ServedChain {
  std::vector<std::string> certificates;  ///< DER, in the order received, leaf first.
  std::string ocsp_staple;                ///< DER OCSPResponse; empty without one.
};

/// A chain of certificates, leaf first, described once: copies share the descriptions, so that a
/// connection costs none.
class ChainInfo {
 public:
  ChainInfo() = default;
  /// Takes the certificates of a chain, leaf first.
  explicit ChainInfo(std::vector<CertificateInfo> certificates)
      : description_(
            std::make_shared<Description>(Description{std::move(certificates), std::nullopt})) {}

  absl::Span<const CertificateInfo> span() const {
    if (description_ == nullptr) return {};
    return absl::MakeConstSpan(description_->certificates);
  }

  /// Returns the earliest end on the path that verification used, trust anchor included; other
  /// certificates don't count. Empty if the chain was not verified.
  std::optional<PathEnd> path_end() const {
    return description_ == nullptr ? std::nullopt : description_->path_end;
  }

  /// Sets the value of `path_end`. Call it before the description is shared.
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

}  // namespace trestle

#endif  // TRESTLE_PKI_CERTIFICATE_INFO_H_
