#include "trestle/pki/renewal_info.h"

#include <openssl/asn1.h>
#include <openssl/bytestring.h>
#include <openssl/mem.h>
#include <openssl/pool.h>
#include <openssl/x509.h>

#include <cstddef>
#include <cstdint>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "lib/pki/x509_certificate.h"
#include "trestle/base/bytes.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

std::string Base64Url(const uint8_t* bytes, size_t count) {
  return absl::WebSafeBase64Escape(AsText(ByteView(bytes, count)));
}

// Encodes the contents of the INTEGER, with its leading zero if there is one.
std::string SerialBase64Url(const X509* certificate) {
  uint8_t* der = nullptr;
  const int bytes = i2d_ASN1_INTEGER(X509_get0_serialNumber(certificate), &der);
  if (bytes <= 0) return "";
  bssl::UniquePtr<uint8_t> owner(der);
  CBS whole, contents;
  CBS_init(&whole, der, static_cast<size_t>(bytes));
  if (!CBS_get_asn1(&whole, &contents, CBS_ASN1_INTEGER)) return "";
  return Base64Url(CBS_data(&contents), CBS_len(&contents));
}

}  // namespace

absl::StatusOr<std::string> RenewalIdOf(absl::string_view certificate_der) {
  bssl::UniquePtr<CRYPTO_BUFFER> buffer(
      CRYPTO_BUFFER_new(AsBytes(certificate_der).data(), certificate_der.size(), nullptr));
  const bssl::UniquePtr<X509> certificate = ParseCertificate(buffer.get());
  if (certificate == nullptr) {
    return ConfigurationError("a certificate that doesn't parse has no renewal identifier");
  }
  const ASN1_OCTET_STRING* const key_id = X509_get0_authority_key_id(certificate.get());
  if (key_id == nullptr || ASN1_STRING_length(key_id) == 0) {
    return ConfigurationError(absl::StrCat(
        "certificate \"", NameText(X509_get_subject_name(certificate.get())),
        "\" has no renewal identifier, since it has no authority key identifier (RFC 9773 4.1)"));
  }
  return absl::StrCat(
      Base64Url(ASN1_STRING_get0_data(key_id), static_cast<size_t>(ASN1_STRING_length(key_id))),
      ".", SerialBase64Url(certificate.get()));
}

}  // namespace trestle
