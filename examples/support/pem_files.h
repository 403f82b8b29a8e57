// Loads certificates, keys and CAs from PEM files. Errors name the file and the reason, and leave
// the values in use unchanged.
#ifndef TRESTLE_EXAMPLES_SUPPORT_PEM_FILES_H_
#define TRESTLE_EXAMPLES_SUPPORT_PEM_FILES_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "trestle/pki/trust_store.h"
#include "trestle/tls/credential.h"
#include "trestle/tls/credential_files.h"

namespace trestle::examples {

/// Reads the passphrase of the encrypted private key in the file `key_name` from the file of
/// --key_passphrase_file. Fails without that flag.
absl::StatusOr<std::string> ReadKeyPassphrase(absl::string_view key_name);

/// Returns the value of --key_passphrase_file.
std::string KeyPassphraseFile();

/// Loads a certificate chain (leaf first), its private key and, unless `staple_path` is empty, an
/// OCSP response. `ReadKeyPassphrase` decrypts the key; `signers` (may be null) creates its signer.
/// `key_path` may also be the URIs of a key (key_uris.h).
absl::StatusOr<std::shared_ptr<const Credential>> LoadCredential(const std::string& cert_path,
                                                                 const std::string& key_path,
                                                                 const std::string& staple_path,
                                                                 SignerMaker* signers,
                                                                 CredentialUse use);

/// Loads all certificates of a directory, with their keys; `files` caches them for the next call.
absl::StatusOr<std::vector<std::shared_ptr<const Credential>>> LoadCredentials(
    const std::string& folder, CredentialFiles& files);

/// Loads CAs (a file, or a directory of files) and, unless `crl_path` is empty, revocation lists.
absl::StatusOr<std::shared_ptr<const TrustStore>> LoadTrustStore(const std::string& ca_path,
                                                                 const std::string& crl_path);

/// Checks the CA certificates `ca_pem` of `path`, a file or a directory of files. Fails with the
/// name of the invalid file.
absl::Status CheckCas(const std::string& path, absl::string_view ca_pem, bool crls_are_given);

/// Returns `path` in the form of ProxyHost::OnReload: a directory ends in "/".
std::string WatchedPath(const std::string& path);

/// Returns a description of a credential: "a.test (ECDSA P-256), valid until 2027-01-31".
std::string DescribeCredential(const Credential& credential);

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_PEM_FILES_H_
