#include "lib/pki/pem.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/pki/key_parser.h"
#include "lib/pki/pem_reader.h"
#include "trestle/base/bytes.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

constexpr absl::string_view kPrivateKey = "the private key's text";
constexpr absl::string_view kEchKeys = "the text of the ECH keys";

// Parses the private key in `block`, with a passphrase if it is encrypted.
absl::StatusOr<bssl::UniquePtr<EVP_PKEY>> ReadKey(const PemReader& reader, const PemBlock& block,
                                                  PassphraseCallback* passphrases,
                                                  absl::string_view name) {
  if (!IsEncryptedKey(block)) return ParseKey(reader, block);
  if (passphrases == nullptr) {
    return reader.Fail(block, "the private key is encrypted, and there is no passphrase for it");
  }
  absl::StatusOr<std::string> passphrase = (*passphrases)(name);
  if (!passphrase.ok()) return passphrase.status();
  return DecryptKey(reader, block, *passphrase);
}

// Adds the certificate in `block`.
absl::Status AddCertificate(const PemReader& reader, const PemBlock& block,
                            PemCertificates& certificates) {
  certificates.ders.emplace_back(CRYPTO_BUFFER_new(block.der.get(), block.der_bytes, nullptr));
  CRYPTO_BUFFER* const der = certificates.ders.back().get();
  certificates.chain.push_back(ParseCertificate(der));
  if (certificates.chain.back() != nullptr) return absl::OkStatus();
  const std::string subject = der == nullptr ? "" : SubjectIn(der);
  return reader.Fail(block, absl::StrCat("certificate ", certificates.ders.size(),
                                         subject.empty() ? "" : ", of \"", subject,
                                         subject.empty() ? "" : "\",", " doesn't parse"));
}

}  // namespace

absl::StatusOr<PemCertificates> ReadCertificatesPem(absl::string_view pem, absl::string_view what,
                                                    CrlsBeside crls) {
  PemCertificates certificates;
  PemReader reader(pem, what);
  PemBlock block;
  absl::StatusOr<bool> more = false;
  while ((more = reader.Next(block)).ok() && *more) {
    if (block.IsPrivateKey() || block.IsParameters()) continue;
    if (block.IsCrl() && crls == CrlsBeside::kReadElsewhere) continue;
    if (!block.IsCertificate()) return reader.Refuse(block);
    absl::Status added = AddCertificate(reader, block, certificates);
    if (!added.ok()) return added;
  }
  if (!more.ok()) return more.status();
  if (certificates.ders.empty()) return reader.Missing(PEM_STRING_X509);
  return certificates;
}

absl::StatusOr<std::vector<bssl::UniquePtr<X509_CRL>>> ReadCrlsPem(absl::string_view pem,
                                                                   absl::string_view what) {
  std::vector<bssl::UniquePtr<X509_CRL>> crls;
  PemReader reader(pem, what);
  PemBlock block;
  absl::StatusOr<bool> more = false;
  while ((more = reader.Next(block)).ok() && *more) {
    if (block.IsCertificate()) continue;
    if (!block.IsCrl()) return reader.Refuse(block);
    const uint8_t* der = block.der.get();
    crls.emplace_back(d2i_X509_CRL(nullptr, &der, static_cast<long>(block.der_bytes)));
    if (crls.back() != nullptr && der == block.der.get() + block.der_bytes) continue;
    ERR_clear_error();
    return reader.Fail(block, absl::StrCat("revocation list ", crls.size(), " doesn't parse"));
  }
  if (!more.ok()) return more.status();
  if (crls.empty()) return reader.Missing(PEM_STRING_X509_CRL);
  return crls;
}

absl::StatusOr<bssl::UniquePtr<EVP_PKEY>> ReadPrivateKeyPem(absl::string_view pem,
                                                            PassphraseCallback* passphrases,
                                                            absl::string_view name) {
  PemReader reader(pem, kPrivateKey);
  PemBlock block;
  PemBlock found;
  absl::StatusOr<bool> more = false;
  while ((more = reader.Next(block)).ok() && *more) {
    if (block.IsCertificate() || block.IsParameters()) continue;
    if (!block.IsPrivateKey()) return reader.Refuse(block);
    if (found.der != nullptr) {
      return reader.Fail(
          block, absl::StrCat("found a second private key, beside that in line ", found.line));
    }
    found = std::exchange(block, PemBlock());
  }
  if (!more.ok()) return more.status();
  if (found.der == nullptr) return reader.Missing(PEM_STRING_PKCS8INF);
  return ReadKey(reader, found, passphrases, name);
}

absl::StatusOr<std::vector<EchPemPair>> ReadEchPem(absl::string_view pem) {
  std::vector<EchPemPair> pairs;
  bssl::UniquePtr<EVP_PKEY> key;  // Its ECHCONFIG block comes next.
  PemReader reader(pem, kEchKeys);
  PemBlock block;
  absl::StatusOr<bool> more = false;
  while ((more = reader.Next(block)).ok() && *more) {
    if (block.IsPrivateKey()) {
      if (key != nullptr) return reader.Fail(block, "the private key before this has no ECHCONFIG");
      if (IsEncryptedKey(block)) return reader.Fail(block, "a private key for ECH is encrypted");
      absl::StatusOr<bssl::UniquePtr<EVP_PKEY>> parsed = ParseKey(reader, block);
      if (!parsed.ok()) return parsed.status();
      key = *std::move(parsed);
    } else if (block.label == "ECHCONFIG") {
      if (key == nullptr) return reader.Fail(block, "this ECHCONFIG has no private key before it");
      pairs.push_back({std::move(key), std::string(AsText(block.contents())), reader.Place(block)});
      key = nullptr;
    } else {
      return reader.Refuse(block);
    }
  }
  if (!more.ok()) return more.status();
  if (key != nullptr) return ConfigurationError("a private key for ECH has no ECHCONFIG");
  if (pairs.empty()) {
    return ConfigurationError("no PEM blocks \"PRIVATE KEY\" and \"ECHCONFIG\" for ECH");
  }
  return pairs;
}

}  // namespace trestle
