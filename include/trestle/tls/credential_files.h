// CredentialFiles: a folder's worth of PEM files -> credentials. Remembers what it made, so that
// loading many again costs what has changed.
#ifndef TRESTLE_TLS_CREDENTIAL_FILES_H_
#define TRESTLE_TLS_CREDENTIAL_FILES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "trestle/tls/credential.h"

namespace trestle {

/// By their names, files are:
///   NAME.pem, NAME.crt, NAME.cer   a chain, leaf first; with its private key, or else that is in
///   NAME.key                       the private key of the chain of that name;
///   NAME.ocsp                      an OCSP response in DER, to be stapled to that chain's leaf;
/// whatever else is there is passed over, and so are names that begin with a dot. A name may have
/// several parts: "app.example.rsa.pem" goes with "app.example.rsa.key".
///
/// The folders that certbot, acme.sh and Kubernetes write load as they are:
///   - a chain without a key under its name gets the first key of the folder that belongs to it,
///     also from a file with the ending of a chain and only a key in it ("privkey.pem");
///   - of chains with one leaf the longest is used ("fullchain.pem", not "cert.pem");
///   - certificates of CAs without a key ("ca.crt", "chain.pem") are passed over.
class CredentialFiles {
 public:
  /// Reads the file of a name. What it fails with fails `Load`.
  using Reader = absl::FunctionRef<absl::StatusOr<std::string>(const std::string& name)>;

  /// `passphrases`, if given, is asked for the passphrase of a file whose key is encrypted;
  /// `signers`, if given, must outlive this and is asked who signs with a key.
  explicit CredentialFiles(PassphraseCallback passphrases = {}, SignerMaker* signers = nullptr);
  ~CredentialFiles();
  CredentialFiles(const CredentialFiles&) = delete;
  CredentialFiles& operator=(const CredentialFiles&) = delete;

  /// Makes the credentials of the files `names`, in the order of their names. Those whose files
  /// have not changed are the ones of last time. Fails with ErrorCode::kConfiguration and a
  /// sentence that begins with the file's name: for what `Credential::FromPem` refuses, a server's
  /// chain without a key, a key without a chain, and where there is no chain at all. Nothing is
  /// forgotten then.
  absl::StatusOr<std::vector<std::shared_ptr<const Credential>>> Load(
      absl::Span<const std::string> names, Reader read);

  /// How many credentials the last successful `Load` made anew.
  size_t made_anew() const { return made_anew_; }

  /// What the last successful `Load` didn't use, a sentence for each file that begins with its
  /// name: certificates of CAs, chains that another file has in full, OCSP responses that can't be
  /// sent.
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
  absl::StatusOr<std::shared_ptr<const Credential>> Make(const Group& group,
                                                         absl::string_view chain,
                                                         absl::string_view key, std::string staple);

  PassphraseCallback passphrases_;
  SignerMaker* const signers_;
  const std::unique_ptr<ChainCache> shared_;
  KnownByFile known_;
  size_t made_anew_ = 0;
  std::vector<std::string> notes_;
};

}  // namespace trestle

#endif  // TRESTLE_TLS_CREDENTIAL_FILES_H_
