#include "lib/pki/x509_certificate.h"

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/bytestring.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/pool.h>
#include <openssl/x509.h>

#include <array>
#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "trestle/base/endpoint.h"
#include "trestle/pki/sha256.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

// A limit for names in peers' certificates: the longest DNS name with "*.".
constexpr size_t kMaxNameTextBytes = kMaxServerNameBytes + 3;

ByteView Contents(const ASN1_STRING* string) {
  return ByteView(ASN1_STRING_get0_data(string), static_cast<size_t>(ASN1_STRING_length(string)));
}

void DescribeSubjectAltNames(const X509* certificate, CertificateInfo& info) {
  bssl::UniquePtr<GENERAL_NAMES> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  if (names == nullptr) return;
  for (const GENERAL_NAME* name : names.get()) {
    if (name->type == GEN_DNS) {
      info.dns_names.push_back(EscapeForLog(
          absl::AsciiStrToLower(AsText(Contents(name->d.dNSName))), kMaxNameTextBytes));
    } else if (name->type == GEN_IPADD) {
      info.ip_names.push_back(IpText(Contents(name->d.iPAddress)));
    } else if (name->type == GEN_URI) {
      info.uri_names.push_back(
          EscapeForLog(AsText(Contents(name->d.uniformResourceIdentifier)), kMaxNameTextBytes));
    }
  }
}

std::string SerialText(const X509* certificate) {
  bssl::UniquePtr<BIGNUM> number(ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr));
  if (number == nullptr) return "";
  bssl::UniquePtr<char> hex(BN_bn2hex(number.get()));
  return hex == nullptr ? "" : absl::AsciiStrToLower(hex.get());
}

std::string SignatureText(const X509* certificate) {
  const char* name = OBJ_nid2sn(X509_get_signature_nid(certificate));
  return name == nullptr ? "unknown" : name;
}

// An unreadable date becomes `if_unreadable`, so that it can't make a certificate look valid.
absl::Time ReadTime(const ASN1_TIME* time, absl::Time if_unreadable) {
  int64_t seconds = 0;
  if (!ASN1_TIME_to_posix(time, &seconds)) return if_unreadable;
  return absl::FromUnixSeconds(seconds);
}

}  // namespace

std::array<uint8_t, 32> SpkiSha256(const X509* certificate) {
  uint8_t* der = nullptr;
  const int bytes = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
  if (bytes <= 0) return {};
  bssl::UniquePtr<uint8_t> owner(der);
  return Sha256(ByteView(der, static_cast<size_t>(bytes)));
}

bssl::UniquePtr<X509> ParseCertificate(CRYPTO_BUFFER* der) {
  bssl::UniquePtr<X509> certificate(der == nullptr ? nullptr : X509_parse_from_buffer(der));
  if (certificate == nullptr) ERR_clear_error();
  return certificate;
}

CertificateChain ParseChain(const ServedChain& served) {
  CertificateChain chain;
  for (const std::string& der : served.certificates) {
    bssl::UniquePtr<CRYPTO_BUFFER> buffer(
        CRYPTO_BUFFER_new(AsBytes(der).data(), der.size(), nullptr));
    chain.push_back(ParseCertificate(buffer.get()));
    if (chain.back() == nullptr) return {};
  }
  return chain;
}

std::string SubjectIn(const CRYPTO_BUFFER* der) {
  CBS outer, certificate, contents, skipped, subject;
  CBS_init(&outer, CRYPTO_BUFFER_data(der), CRYPTO_BUFFER_len(der));
  constexpr CBS_ASN1_TAG kVersion = CBS_ASN1_CONSTRUCTED | CBS_ASN1_CONTEXT_SPECIFIC | 0;
  if (!CBS_get_asn1(&outer, &certificate, CBS_ASN1_SEQUENCE) ||
      !CBS_get_asn1(&certificate, &contents, CBS_ASN1_SEQUENCE) ||
      !CBS_get_optional_asn1(&contents, &skipped, nullptr, kVersion) ||
      !CBS_get_any_asn1(&contents, &skipped, nullptr) ||        // serialNumber
      !CBS_get_asn1(&contents, &skipped, CBS_ASN1_SEQUENCE) ||  // signature
      !CBS_get_asn1(&contents, &skipped, CBS_ASN1_SEQUENCE) ||  // issuer
      !CBS_get_asn1(&contents, &skipped, CBS_ASN1_SEQUENCE) ||  // validity
      !CBS_get_asn1_element(&contents, &subject, CBS_ASN1_SEQUENCE)) {
    return "";
  }
  const uint8_t* bytes = CBS_data(&subject);
  const bssl::UniquePtr<X509_NAME> name(
      d2i_X509_NAME(nullptr, &bytes, static_cast<long>(CBS_len(&subject))));
  const std::string text = name == nullptr ? "" : NameText(name.get());
  ERR_clear_error();
  return text;
}

absl::Time EndOfCrl(const X509_CRL* crl) {
  const ASN1_TIME* const end = X509_CRL_get0_nextUpdate(crl);
  return end == nullptr ? absl::InfiniteFuture() : ReadTime(end, absl::InfiniteFuture());
}

CertificateInfo DescribeCertificate(const X509* certificate) {
  CertificateInfo info;
  info.subject = NameText(X509_get_subject_name(certificate));
  info.issuer = NameText(X509_get_issuer_name(certificate));
  DescribeSubjectAltNames(certificate, info);
  info.serial = SerialText(certificate);
  bssl::UniquePtr<EVP_PKEY> key(X509_get_pubkey(const_cast<X509*>(certificate)));
  info.key = KeyText(key.get());
  info.signature = SignatureText(certificate);
  info.not_before = ReadTime(X509_get0_notBefore(certificate), absl::InfiniteFuture());
  info.not_after = ReadTime(X509_get0_notAfter(certificate), absl::InfinitePast());
  info.spki_sha256 = SpkiSha256(certificate);
  ERR_clear_error();
  return info;
}

std::string NameText(const X509_NAME* name) {
  bssl::UniquePtr<BIO> bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253) < 0) return "";
  const uint8_t* text = nullptr;
  size_t bytes = 0;
  if (!BIO_mem_contents(bio.get(), &text, &bytes)) return "";
  return std::string(AsText(ByteView(text, bytes)));
}

std::string KeyText(const EVP_PKEY* key) {
  if (key == nullptr) return "unknown";
  switch (EVP_PKEY_id(key)) {
    case EVP_PKEY_RSA:
      return absl::StrCat("RSA ", EVP_PKEY_bits(key));
    case EVP_PKEY_ED25519:
      return "Ed25519";
    case EVP_PKEY_EC: {
      const EC_GROUP* group = EC_KEY_get0_group(EVP_PKEY_get0_EC_KEY(key));
      const char* curve = EC_curve_nid2nist(EC_GROUP_get_curve_name(group));
      return absl::StrCat("ECDSA ", curve == nullptr ? "unknown curve" : curve);
    }
    default:
      return "unknown";
  }
}

std::string IpText(ByteView address) {
  if (address.size() != 4 && address.size() != 16) {
    return absl::StrCat("0x", absl::BytesToHexString(AsText(address.subspan(0, 32))));
  }
  return Endpoint(address, 0).AddressText();
}

std::optional<std::string> ParseIp(absl::string_view text) {
  const bool v6 = absl::StrContains(text, ':');
  // Most texts are host names: do not build an error about each.
  if (!v6 && (text.empty() || !absl::ascii_isdigit(text.back()))) return std::nullopt;
  absl::StatusOr<Endpoint> endpoint =
      Endpoint::ParseIp(v6 ? absl::StrCat("[", text, "]:1") : absl::StrCat(text, ":1"));
  if (!endpoint.ok()) return std::nullopt;
  return std::string(AsText(endpoint->address()));
}

}  // namespace trestle
