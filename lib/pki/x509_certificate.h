// Converts X.509 certificates to CertificateInfo, and IP addresses between bytes and text.
#ifndef TRESTLE_LIB_PKI_X509_CERTIFICATE_H_
#define TRESTLE_LIB_PKI_X509_CERTIFICATE_H_

#include <openssl/base.h>
#include <openssl/x509.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "trestle/base/bytes.h"
#include "trestle/pki/certificate_info.h"

namespace trestle {

/// Certificates, the leaf first.
using CertificateChain = std::vector<bssl::UniquePtr<X509>>;

/// Parses one DER certificate. Returns null, with BoringSSL's error queue cleared, if it doesn't
/// parse.
bssl::UniquePtr<X509> ParseCertificate(CRYPTO_BUFFER* der);

/// Parses a chain as a peer sent it. Returns an empty one if a certificate doesn't parse.
CertificateChain ParseChain(const ServedChain& served);

/// Returns the subject in a DER certificate that doesn't parse as a whole; empty if not found.
std::string SubjectIn(const CRYPTO_BUFFER* der);

/// Digests the SubjectPublicKeyInfo, as in pins (RFC 7469 2.4).
std::array<uint8_t, 32> SpkiSha256(const X509* certificate);

/// Describes `certificate`. All texts are printable ASCII, whatever the certificate contains.
CertificateInfo DescribeCertificate(const X509* certificate);

/// Returns the nextUpdate of a revocation list (RFC 5280 5.1.2.5); InfiniteFuture without one.
absl::Time EndOfCrl(const X509_CRL* crl);

/// Writes a name as RFC 2253 does, in printable ASCII: "CN=app.example,O=Example".
std::string NameText(const X509_NAME* name);

/// Describes a public key: "ECDSA P-256", "RSA 2048", "Ed25519".
std::string KeyText(const EVP_PKEY* key);

/// Writes an address of 4 or 16 bytes in network order: "192.0.2.1", "2001:db8::1".
std::string IpText(ByteView address);

/// Parses an IPv4 or IPv6 address into 4 or 16 bytes; returns nothing for other text.
std::optional<std::string> ParseIp(absl::string_view text);

}  // namespace trestle

#endif  // TRESTLE_LIB_PKI_X509_CERTIFICATE_H_
