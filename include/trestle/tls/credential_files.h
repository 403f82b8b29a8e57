// CredentialFiles: makes credentials from a directory of PEM files. It keeps those it made: a
// reload costs only the changed files.
#ifndef TRESTLE_TLS_CREDENTIAL_FILES_H_
#define TRESTLE_TLS_CREDENTIAL_FILES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "trestle/tls/credential.h"

namespace trestle {

/// A file's name tells its content:
///
///     NAME.pem, NAME.crt, NAME.cer   a chain, leaf first; may include its private key
///     NAME.key                       the private key of that chain, or where it is: a URI
///     NAME.ocsp                      an OCSP response in DER, stapled to that chain's leaf
///
/// Other files, and names that begin with a dot, are ignored. NAME may contain dots:
/// "app.example.rsa.pem" goes with "app.example.rsa.key".
///
/// Directories of certbot, acme.sh and Kubernetes load unchanged:
///   - A chain without a key of its name gets the first matching key in the directory. That key may
///     be in a file with a chain's ending and only a key in it ("privkey.pem").
///   - Of several chains with one leaf, the longest is used ("fullchain.pem", not "cert.pem").
///   - CA certificates without a key ("ca.crt", "chain.pem") are ignored.
///
/// Not thread-safe.
class CredentialFiles {
 public:
  /// Reads the file `name`. Its failure fails `Load`.
  using Reader = absl::FunctionRef<absl::StatusOr<std::string>(const std::string& name)>;

  /// Finds the signer for a private key outside this process. `where` is the first line of
  /// NAME.key, which is no PEM text; `chain_pem` has the key's certificate first. Called by `Load`,
  /// again only after one of the two texts changed.
  using KeyFinder = absl::AnyInvocable<absl::StatusOr<std::shared_ptr<const Signer>>(
      absl::string_view chain_pem, absl::string_view where)>;

  /// Calls `passphrases`, if given, for the passphrase of a file with an encrypted key. `signers`,
  /// if given, chooses the signer of each key; it must outlive this object. Without `elsewhere`,
  /// each NAME.key must be PEM text.
  explicit CredentialFiles(PassphraseCallback passphrases = {}, SignerMaker* signers = nullptr,
                           KeyFinder elsewhere = {});
  ~CredentialFiles();
  CredentialFiles(const CredentialFiles&) = delete;
  CredentialFiles& operator=(const CredentialFiles&) = delete;

  /// Makes the credentials of the files `names`, sorted by name. Unchanged files yield the same
  /// credentials as last time. Fails with ErrorCode::kConfiguration; the message begins with the
  /// file's name. Causes: errors of `Credential::FromPem`, a server's chain without a key, a key
  /// without a chain, no chain at all. After a failure the next `Load` still reuses the earlier
  /// credentials.
  absl::StatusOr<std::vector<std::shared_ptr<const Credential>>> Load(
      absl::Span<const std::string> names, Reader read);

  /// Returns how many credentials the last successful `Load` made anew.
  size_t made_anew() const { return made_anew_; }

  /// Returns a sentence for each file that the last successful `Load` did not use; it begins with
  /// the file's name. Such files are CA certificates, chains that another file has in full, and
  /// OCSP responses that can't be sent.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  struct Known {
    std::array<uint8_t, 32> digest;  // Of the files' texts.
    std::shared_ptr<const Credential> credential;
  };
  using KnownByFile = absl::flat_hash_map<std::string, Known>;

  struct Group;
  struct Loading;

  absl::Status LoadChain(const std::string& name, Loading& loading);
  absl::Status LoadKeyless(const Group& group, absl::string_view chain, Loading& loading);
  absl::Status LoadOne(const Group& group, absl::string_view chain, Loading& loading);
  static absl::Status CheckAllAreUsed(Loading& loading);
  std::vector<std::shared_ptr<const Credential>> Finish(Loading& loading);
  absl::StatusOr<std::shared_ptr<const Credential>> MakeWithKeyElsewhere(
      absl::string_view chain, absl::string_view key, const CredentialOptions& options);
  absl::StatusOr<std::shared_ptr<const Credential>> Make(const Group& group,
                                                         absl::string_view chain,
                                                         absl::string_view key, std::string staple);

  PassphraseCallback passphrases_;
  SignerMaker* const signers_;
  KeyFinder elsewhere_;  // May be empty.
  const std::unique_ptr<ChainCache> shared_;
  KnownByFile known_;
  size_t made_anew_ = 0;
  std::vector<std::string> notes_;
};

}  // namespace trestle

#endif  // TRESTLE_TLS_CREDENTIAL_FILES_H_
