#include "examples/support/pem_files.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "examples/support/key_uris.h"
#include "examples/support/program.h"
#include "trestle/linux/ca_files.h"
#include "trestle/linux/file.h"

ABSL_FLAG(std::string, key_passphrase_file, "",
          "file with the passphrase of encrypted private keys in its first line");

namespace trestle::examples {

namespace {

// Returns the first names of a certificate, for a log line.
std::string NamesText(const CertificateInfo& leaf) {
  constexpr size_t kMaxNames = 8;
  std::vector<std::string> names = NamesOf(leaf);
  if (names.empty()) return CertificateName(leaf);
  const size_t more = names.size() - std::min(names.size(), kMaxNames);
  names.resize(names.size() - more);
  return absl::StrCat(absl::StrJoin(names, ", "),
                      more == 0 ? "" : absl::StrCat(", and ", more, " more"));
}

absl::StatusOr<std::shared_ptr<const Credential>> CredentialByKeyFile(
    absl::string_view chain_pem, const std::string& key_path, const CredentialOptions& options) {
  const absl::StatusOr<std::string> key = ReadFile(key_path);
  if (!key.ok()) return key.status();
  return Credential::FromPem(chain_pem, *key, options);
}

}  // namespace

absl::StatusOr<std::string> ReadKeyPassphrase(absl::string_view key_name) {
  const std::string path = KeyPassphraseFile();
  if (path.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the private key in ", key_name, " is encrypted, and there is no --key_passphrase_file"));
  }
  absl::StatusOr<std::string> text = ReadFile(path);
  if (text.ok()) text->resize(std::min(text->size(), text->find_first_of("\r\n")));
  return text;
}

std::string KeyPassphraseFile() { return absl::GetFlag(FLAGS_key_passphrase_file); }

absl::StatusOr<std::shared_ptr<const Credential>> LoadCredential(const std::string& cert_path,
                                                                 const std::string& key_path,
                                                                 const std::string& staple_path,
                                                                 SignerMaker* signers,
                                                                 CredentialUse use) {
  const absl::StatusOr<std::string> chain = ReadFile(cert_path);
  if (!chain.ok()) return chain.status();
  PassphraseCallback passphrases = ReadKeyPassphrase;
  CredentialOptions options;
  options.use = use;
  options.passphrases = &passphrases;
  options.signers = signers;
  options.key_name = key_path;
  if (!staple_path.empty()) {
    absl::StatusOr<std::string> staple = ReadFile(staple_path);
    if (!staple.ok()) return staple.status();
    options.staple = *std::move(staple);
  }
  absl::StatusOr<std::shared_ptr<const Credential>> credential =
      IsKeyUri(key_path) ? CredentialByKeyUris(*chain, key_path, options)
                         : CredentialByKeyFile(*chain, key_path, options);
  if (credential.ok()) return credential;
  return CannotUse(absl::StrCat(cert_path, " with ", key_path,
                                staple_path.empty() ? "" : absl::StrCat(" and ", staple_path)),
                   credential.status());
}

absl::StatusOr<std::vector<std::shared_ptr<const Credential>>> LoadCredentials(
    const std::string& folder, CredentialFiles& files) {
  const absl::StatusOr<std::vector<std::string>> names = ListFolder(folder);
  if (!names.ok()) return names.status();
  auto credentials = files.Load(
      *names, [&](const std::string& name) { return ReadFile(absl::StrCat(folder, "/", name)); });
  if (credentials.ok()) return credentials;
  return CannotUse(folder, credentials.status());
}

absl::StatusOr<std::shared_ptr<const TrustStore>> LoadTrustStore(const std::string& ca_path,
                                                                 const std::string& crl_path) {
  const absl::StatusOr<std::string> ca_pem = ReadCaCertificates(ca_path);
  if (!ca_pem.ok()) return ca_pem.status();
  absl::StatusOr<std::string> crl_pem = std::string();
  if (!crl_path.empty()) crl_pem = ReadRevocationLists(crl_path);
  if (!crl_pem.ok()) return crl_pem.status();
  if (absl::Status cas = CheckCas(ca_path, *ca_pem, !crl_pem->empty()); !cas.ok()) return cas;
  absl::StatusOr<std::shared_ptr<const TrustStore>> trust = TrustStore::Create(*ca_pem, *crl_pem);
  if (trust.ok()) return trust;
  return CannotUse(crl_path.empty() ? ca_path : absl::StrCat(ca_path, " with ", crl_path),
                   trust.status());
}

absl::Status CheckCas(const std::string& path, absl::string_view ca_pem, bool crls_are_given) {
  const absl::Status all = TrustStore::CheckCas(ca_pem, crls_are_given);
  if (all.ok()) return all;
  const absl::StatusOr<std::vector<std::string>> files = ListCaFiles(path);
  for (size_t i = 0; files.ok() && i < files->size(); ++i) {
    const absl::StatusOr<std::string> text = ReadCaCertificates((*files)[i]);
    if (!text.ok()) continue;
    const absl::Status alone = TrustStore::CheckCas(*text, crls_are_given);
    if (!alone.ok()) return CannotUse((*files)[i], alone);
  }
  return CannotUse(path, all);
}

std::string WatchedPath(const std::string& path) {
  std::error_code ignored;
  const bool folder = std::filesystem::is_directory(path, ignored);
  return folder && !absl::EndsWith(path, "/") ? absl::StrCat(path, "/") : path;
}

std::string DescribeCredential(const Credential& credential) {
  const CertificateInfo& leaf = credential.chain().front();
  return absl::StrCat(NamesText(leaf), " (", leaf.key, "), valid until ",
                      absl::FormatTime("%Y-%m-%d", leaf.not_after, absl::UTCTimeZone()));
}

}  // namespace trestle::examples
