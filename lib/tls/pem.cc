#include "lib/tls/pem.h"

#include <openssl/bio.h>
#include <openssl/bytestring.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <climits>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "trestle/base/bytes.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

struct PemBlock {
  bssl::UniquePtr<char> kind;
  bssl::UniquePtr<char> header;
  bssl::UniquePtr<uint8_t> der;
  size_t der_bytes = 0;
};

// Walks over the blocks of a PEM text.
class PemReader {
 public:
  enum class Step { kBlock, kEnd, kDamaged };

  explicit PemReader(absl::string_view pem)
      : bio_(pem.size() <= INT_MAX ? BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))
                                   : nullptr) {}

  Step Next(PemBlock& block) {
    if (bio_ == nullptr) return Step::kDamaged;
    char* kind = nullptr;
    char* header = nullptr;
    unsigned char* der = nullptr;
    long der_bytes = 0;
    ERR_clear_error();
    const bool read = PEM_read_bio(bio_.get(), &kind, &header, &der, &der_bytes) == 1;
    const uint32_t error = ERR_peek_last_error();
    ERR_clear_error();
    if (!read) return ERR_GET_REASON(error) == PEM_R_NO_START_LINE ? Step::kEnd : Step::kDamaged;
    block.kind.reset(kind);
    block.header.reset(header);
    block.der.reset(der);
    block.der_bytes = static_cast<size_t>(der_bytes);
    return Step::kBlock;
  }

 private:
  bssl::UniquePtr<BIO> bio_;
};

bssl::UniquePtr<EVP_PKEY> ParsePkcs8(CBS* der) {
  return bssl::UniquePtr<EVP_PKEY>(EVP_parse_private_key(der));
}

bssl::UniquePtr<EVP_PKEY> ParseSec1(CBS* der) {
  bssl::UniquePtr<EC_KEY> ec(EC_KEY_parse_private_key(der, nullptr));
  bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new());
  if (ec == nullptr || key == nullptr || !EVP_PKEY_set1_EC_KEY(key.get(), ec.get())) return nullptr;
  return key;
}

bssl::UniquePtr<EVP_PKEY> ParsePkcs1(CBS* der) {
  bssl::UniquePtr<RSA> rsa(RSA_parse_private_key(der));
  bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new());
  if (rsa == nullptr || key == nullptr || !EVP_PKEY_set1_RSA(key.get(), rsa.get())) return nullptr;
  return key;
}

bool IsEncrypted(const PemBlock& block) {
  return absl::string_view(block.kind.get()) == PEM_STRING_PKCS8 ||
         absl::StrContains(block.header.get(), "ENCRYPTED");
}

// Hands BoringSSL the passphrase that `user` points to.
int GivePassphrase(char* out, int max_bytes, int /*writing*/, void* user) {
  const std::string& passphrase = *static_cast<const std::string*>(user);
  if (passphrase.size() > static_cast<size_t>(max_bytes)) return -1;
  std::memcpy(out, passphrase.data(), passphrase.size());
  return static_cast<int>(passphrase.size());
}

// Reads the first private key of `pem`, which is encrypted: as PKCS#8, or as OpenSSL did before.
absl::StatusOr<bssl::UniquePtr<EVP_PKEY>> DecryptPrivateKey(absl::string_view pem,
                                                            PassphraseCallback& passphrases,
                                                            absl::string_view name) {
  absl::StatusOr<std::string> passphrase = passphrases(name);
  if (!passphrase.ok()) return passphrase.status();
  bssl::UniquePtr<BIO> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  bssl::UniquePtr<EVP_PKEY> key(
      bio == nullptr ? nullptr
                     : PEM_read_bio_PrivateKey(bio.get(), nullptr, GivePassphrase, &*passphrase));
  OPENSSL_cleanse(passphrase->data(), passphrase->size());
  ERR_clear_error();
  if (key == nullptr) {
    return ConfigurationError("the private key can't be decrypted with its passphrase");
  }
  return key;
}

absl::StatusOr<bssl::UniquePtr<EVP_PKEY>> ParsePrivateKey(const PemBlock& block) {
  const absl::string_view kind(block.kind.get());
  CBS der;
  CBS_init(&der, block.der.get(), block.der_bytes);
  bssl::UniquePtr<EVP_PKEY> key;
  if (kind == PEM_STRING_PKCS8INF) key = ParsePkcs8(&der);
  if (kind == PEM_STRING_EC) key = ParseSec1(&der);
  if (kind == PEM_STRING_RSA) key = ParsePkcs1(&der);
  ERR_clear_error();
  if (key == nullptr || CBS_len(&der) != 0) {
    return ConfigurationError(
        absl::StrCat("the private key doesn't parse (PEM block \"", kind, "\")"));
  }
  return key;
}

bool HoldsPrivateKey(const PemBlock& block) {
  const absl::string_view kind(block.kind.get());
  return kind == PEM_STRING_PKCS8 || kind == PEM_STRING_PKCS8INF || kind == PEM_STRING_EC ||
         kind == PEM_STRING_RSA;
}

}  // namespace

absl::Status ConfigurationError(std::string detail) {
  TlsError error;
  error.code = ErrorCode::kConfiguration;
  error.detail = std::move(detail);
  return MakeError(error);
}

absl::StatusOr<std::vector<bssl::UniquePtr<CRYPTO_BUFFER>>> ReadCertificatesPem(
    absl::string_view pem, absl::string_view what) {
  std::vector<bssl::UniquePtr<CRYPTO_BUFFER>> certificates;
  PemReader reader(pem);
  PemBlock block;
  PemReader::Step step;
  while ((step = reader.Next(block)) == PemReader::Step::kBlock) {
    const absl::string_view kind(block.kind.get());
    if (kind != PEM_STRING_X509 && kind != PEM_STRING_X509_OLD) continue;
    certificates.emplace_back(CRYPTO_BUFFER_new(block.der.get(), block.der_bytes, nullptr));
  }
  if (step == PemReader::Step::kDamaged) {
    return ConfigurationError(absl::StrCat(what, " holds a damaged PEM block after ",
                                           certificates.size(), " certificate(s)"));
  }
  if (certificates.empty()) {
    return ConfigurationError(absl::StrCat(what, " holds no PEM block \"", PEM_STRING_X509, "\""));
  }
  return certificates;
}

absl::StatusOr<std::vector<bssl::UniquePtr<X509_CRL>>> ReadCrlsPem(absl::string_view pem,
                                                                   absl::string_view what) {
  std::vector<bssl::UniquePtr<X509_CRL>> crls;
  PemReader reader(pem);
  PemBlock block;
  PemReader::Step step;
  while ((step = reader.Next(block)) == PemReader::Step::kBlock) {
    if (absl::string_view(block.kind.get()) != PEM_STRING_X509_CRL) continue;
    const uint8_t* der = block.der.get();
    crls.emplace_back(d2i_X509_CRL(nullptr, &der, static_cast<long>(block.der_bytes)));
    if (crls.back() != nullptr && der == block.der.get() + block.der_bytes) continue;
    ERR_clear_error();
    return ConfigurationError(
        absl::StrCat("revocation list ", crls.size(), " of ", what, " doesn't parse"));
  }
  if (step == PemReader::Step::kDamaged) {
    return ConfigurationError(absl::StrCat(what, " holds a damaged PEM block after ", crls.size(),
                                           " revocation list(s)"));
  }
  if (crls.empty()) {
    return ConfigurationError(
        absl::StrCat(what, " holds no PEM block \"", PEM_STRING_X509_CRL, "\""));
  }
  return crls;
}

absl::StatusOr<bssl::UniquePtr<EVP_PKEY>> ReadPrivateKeyPem(absl::string_view pem,
                                                            PassphraseCallback* passphrases,
                                                            absl::string_view name) {
  PemReader reader(pem);
  PemBlock block;
  PemReader::Step step;
  while ((step = reader.Next(block)) == PemReader::Step::kBlock) {
    if (!HoldsPrivateKey(block)) continue;
    if (!IsEncrypted(block)) return ParsePrivateKey(block);
    if (passphrases != nullptr) return DecryptPrivateKey(pem, *passphrases, name);
    return ConfigurationError("the private key is encrypted, and there is no passphrase for it");
  }
  return ConfigurationError(step == PemReader::Step::kDamaged
                                ? "the private key's PEM block is damaged"
                                : "the private key's text holds no PEM block \"PRIVATE KEY\"");
}

absl::StatusOr<std::vector<EchPemPair>> ReadEchPem(absl::string_view pem) {
  std::vector<EchPemPair> pairs;
  bssl::UniquePtr<EVP_PKEY> key;  // Waits for its config.
  PemReader reader(pem);
  PemBlock block;
  PemReader::Step step;
  while ((step = reader.Next(block)) == PemReader::Step::kBlock) {
    if (HoldsPrivateKey(block)) {
      if (key != nullptr) return ConfigurationError("a private key for ECH has no ECHCONFIG");
      if (IsEncrypted(block)) return ConfigurationError("a private key for ECH is encrypted");
      absl::StatusOr<bssl::UniquePtr<EVP_PKEY>> parsed = ParsePrivateKey(block);
      if (!parsed.ok()) return parsed.status();
      key = *std::move(parsed);
    } else if (absl::string_view(block.kind.get()) == "ECHCONFIG") {
      if (key == nullptr) return ConfigurationError("an ECHCONFIG has no private key before it");
      pairs.push_back({std::move(key), std::string(AsText({block.der.get(), block.der_bytes}))});
      key = nullptr;
    }
  }
  if (step == PemReader::Step::kDamaged) return ConfigurationError("a PEM block is damaged");
  if (key != nullptr) return ConfigurationError("a private key for ECH has no ECHCONFIG");
  if (pairs.empty()) {
    return ConfigurationError("no PEM blocks \"PRIVATE KEY\" and \"ECHCONFIG\" for ECH");
  }
  return pairs;
}

}  // namespace trestle
