// Reads certificates and private keys from PEM text. Errors tell an operator how to fix the text.
#ifndef TRESTLE_LIB_PKI_PEM_H_
#define TRESTLE_LIB_PKI_PEM_H_

#include <openssl/base.h>
#include <openssl/evp.h>
#include <openssl/pool.h>
#include <openssl/x509.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/pki/x509_certificate.h"
#include "trestle/pki/passphrase.h"

namespace trestle {

// Each "-----BEGIN" in a text is used, allowed beside the used ones, or refused with its line (see
// PemReader). Errors about the contents of a block have its line, too.

/// The treatment of revocation lists among certificates.
enum class CrlsBeside : unsigned char {
  kRefused,        ///< Refused: no code reads them.
  kReadElsewhere,  ///< Skipped: the caller reads them separately.
};

/// The certificates of a text, in its order: `chain` has those of `ders`, parsed.
struct PemCertificates {
  std::vector<bssl::UniquePtr<CRYPTO_BUFFER>> ders;
  CertificateChain chain;
};

/// Reads every CERTIFICATE block of `pem`; private keys and parameters are allowed. `what` names
/// the text in errors: "the certificate chain". Fails without such a block, and for a certificate
/// that doesn't parse. That error has its number and, if readable, its subject.
absl::StatusOr<PemCertificates> ReadCertificatesPem(absl::string_view pem, absl::string_view what,
                                                    CrlsBeside crls = CrlsBeside::kRefused);

/// Reads every X509 CRL block of `pem`; certificates are allowed. Fails without such a block, or
/// for one that doesn't parse.
absl::StatusOr<std::vector<bssl::UniquePtr<X509_CRL>>> ReadCrlsPem(absl::string_view pem,
                                                                   absl::string_view what);

/// Reads the private key of `pem` (PKCS#8, SEC1 EC or PKCS#1 RSA). Certificates and parameters are
/// allowed, a second private key is not. For an encrypted key it calls `passphrases` with `name`;
/// null refuses encrypted keys.
absl::StatusOr<bssl::UniquePtr<EVP_PKEY>> ReadPrivateKeyPem(
    absl::string_view pem, PassphraseCallback* passphrases = nullptr, absl::string_view name = "");

/// A private key and the bytes of its ECHConfigList.
struct EchPemPair {
  bssl::UniquePtr<EVP_PKEY> key;
  std::string config_list;
  std::string place;  ///< The text and line of `config_list`, for errors.
};

/// Reads the pairs of `pem` (RFC 9934): a PRIVATE KEY block, then its ECHCONFIG block. Fails
/// without a pair, and for a block without its other half or a damaged one.
absl::StatusOr<std::vector<EchPemPair>> ReadEchPem(absl::string_view pem);

}  // namespace trestle

#endif  // TRESTLE_LIB_PKI_PEM_H_
