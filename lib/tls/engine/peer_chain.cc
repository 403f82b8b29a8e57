#include "lib/tls/engine/peer_chain.h"

#include <openssl/asn1.h>
#include <openssl/bytestring.h>
#include <openssl/nid.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/pki/x509_certificate.h"
#include "trestle/base/bytes.h"

namespace trestle {

namespace {

// Returns whether there are over kMaxPeerNames alternative names, without parsing any.
bool HasTooManyNames(const X509* certificate) {
  const int at = X509_get_ext_by_NID(certificate, NID_subject_alt_name, -1);
  if (at < 0) return false;
  const ASN1_STRING* value = X509_EXTENSION_get_data(X509_get_ext(certificate, at));
  CBS extension;
  CBS names;
  CBS_init(&extension, ASN1_STRING_get0_data(value), ASN1_STRING_length(value));
  // The verifier refuses malformed extensions.
  if (!CBS_get_asn1(&extension, &names, CBS_ASN1_SEQUENCE)) return false;
  size_t count = 0;
  while (CBS_len(&names) > 0 && CBS_get_any_asn1(&names, nullptr, nullptr)) {
    if (++count > kMaxPeerNames) return true;
  }
  return false;
}

// Parses one certificate, or returns why it can't be used.
std::string ReadCertificate(CRYPTO_BUFFER* buffer, bssl::UniquePtr<X509>& certificate) {
  if (CRYPTO_BUFFER_len(buffer) > kMaxPeerCertificateBytes) {
    return absl::StrCat("the peer sent a certificate of over ", kMaxPeerCertificateBytes, " bytes");
  }
  certificate = ParseCertificate(buffer);
  if (certificate == nullptr) return "a certificate that the peer sent doesn't parse";
  if (!HasTooManyNames(certificate.get())) return "";
  certificate = nullptr;
  return absl::StrCat("the peer sent a certificate with over ", kMaxPeerNames, " names");
}

}  // namespace

std::string ReadChain(const STACK_OF(CRYPTO_BUFFER) * buffers, CertificateChain& chain,
                      ChainInfo& description) {
  const size_t count = buffers == nullptr ? 0 : sk_CRYPTO_BUFFER_num(buffers);
  std::string failure;
  if (count == 0) failure = "the peer sent no certificate";
  if (count > kMaxPeerCertificates) {
    failure = absl::StrCat("the peer sent over ", kMaxPeerCertificates, " certificates");
  }
  std::vector<CertificateInfo> described;
  for (size_t i = 0; i < count && failure.empty(); ++i) {
    bssl::UniquePtr<X509> certificate;
    failure = ReadCertificate(sk_CRYPTO_BUFFER_value(buffers, i), certificate);
    if (!failure.empty()) break;
    described.push_back(DescribeCertificate(certificate.get()));
    chain.push_back(std::move(certificate));
  }
  description = ChainInfo(std::move(described));
  return failure;
}

uint8_t AlertFor(const ChainFailure& failure) {
  switch (failure.verify_error) {
    case X509_V_ERR_APPLICATION_VERIFICATION:
      return SSL_AD_ACCESS_DENIED;
    case X509_V_ERR_CERT_REJECTED:
      return SSL_AD_BAD_CERTIFICATE;
    default:
      break;
  }
  // This side must fix a missing list, not the peer.
  if (IsAboutMissingList(failure.verify_error)) return SSL_AD_CERTIFICATE_UNKNOWN;
  return static_cast<uint8_t>(SSL_alert_from_verify_result(failure.verify_error));
}

std::vector<std::string> CopyChain(const STACK_OF(CRYPTO_BUFFER) * buffers) {
  std::vector<std::string> certificates;
  for (size_t i = 0; buffers != nullptr && i < sk_CRYPTO_BUFFER_num(buffers); ++i) {
    const CRYPTO_BUFFER* buffer = sk_CRYPTO_BUFFER_value(buffers, i);
    certificates.emplace_back(
        AsText(ByteView(CRYPTO_BUFFER_data(buffer), CRYPTO_BUFFER_len(buffer))));
  }
  return certificates;
}

}  // namespace trestle
