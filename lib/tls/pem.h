// PEM text -> certificates and private keys, with messages that a person can act on.
#ifndef TRESTLE_LIB_TLS_PEM_H_
#define TRESTLE_LIB_TLS_PEM_H_

#include <openssl/base.h>
#include <openssl/evp.h>
#include <openssl/pool.h>
#include <openssl/x509.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "trestle/tls/passphrase.h"

namespace trestle {

/// Makes an ErrorCode::kConfiguration error that says `detail`.
absl::Status ConfigurationError(std::string detail);

// Every "-----BEGIN" of a text is accounted for. A block is used, is one of those that may stand
// beside the used ones, or is refused with its line (see PemReader).

/// What becomes of revocation lists among certificates.
enum class CrlsBeside : unsigned char {
  kRefused,        ///< Nothing would read them.
  kReadElsewhere,  ///< The caller has revocation lists, too: they may share a file.
};

/// Reads every CERTIFICATE block of `pem`. Private keys and parameters may stand beside them.
/// `what` names the text in messages: "the certificate chain". Fails when there is no such block.
/// The certificates themselves are not parsed yet.
absl::StatusOr<std::vector<bssl::UniquePtr<CRYPTO_BUFFER>>> ReadCertificatesPem(
    absl::string_view pem, absl::string_view what, CrlsBeside crls = CrlsBeside::kRefused);

/// Reads every X509 CRL block of `pem`. Certificates may stand beside them. Fails when there is no
/// such block, or one that doesn't parse.
absl::StatusOr<std::vector<bssl::UniquePtr<X509_CRL>>> ReadCrlsPem(absl::string_view pem,
                                                                   absl::string_view what);

/// Reads the private key of `pem` (PKCS#8, SEC1 EC or PKCS#1 RSA). Certificates and parameters may
/// stand beside it, a second private key may not. Where it is encrypted, `passphrases` is asked
/// with `name`; null: it is refused.
absl::StatusOr<bssl::UniquePtr<EVP_PKEY>> ReadPrivateKeyPem(
    absl::string_view pem, PassphraseCallback* passphrases = nullptr, absl::string_view name = "");

/// A private key and the ECHConfigList that belongs to it, as it is.
struct EchPemPair {
  bssl::UniquePtr<EVP_PKEY> key;
  std::string config_list;
};

/// Reads the pairs of `pem` (RFC 9934): a PRIVATE KEY block, then its ECHCONFIG block. Fails when
/// there is none, a block has no other half, or one is damaged.
absl::StatusOr<std::vector<EchPemPair>> ReadEchPem(absl::string_view pem);

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_PEM_H_
