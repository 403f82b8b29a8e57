#include "trestle/tls/credential_files.h"

#include <openssl/mem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/pki/chain_cache.h"
#include "lib/pki/pem.h"
#include "lib/pki/x509_certificate.h"
#include "trestle/base/bytes.h"
#include "trestle/base/error.h"
#include "trestle/pki/sha256.h"
#include "trestle/pki/signer.h"

namespace trestle {
namespace {

constexpr absl::string_view kChainEndings[] = {".pem", ".crt", ".cer"};
constexpr absl::string_view kKeyEnding = ".key";
constexpr absl::string_view kStapleEnding = ".ocsp";

constexpr absl::string_view kPemMark = "-----BEGIN ";

// Distinguishes the two kinds of PEM blocks: "-----BEGIN RSA PRIVATE KEY-----".
constexpr absl::string_view kKeyMark = "PRIVATE KEY-----";
constexpr absl::string_view kCertificateMark = " CERTIFICATE-----";

// Text that may hold a private key.
class SecretFile {
 public:
  explicit SecretFile(std::string text) : text_(std::move(text)) {}
  ~SecretFile() { OPENSSL_cleanse(text_.data(), text_.size()); }
  SecretFile(const SecretFile&) = delete;
  SecretFile& operator=(const SecretFile&) = delete;

  absl::string_view text() const { return text_; }

 private:
  std::string text_;
};

bool HasEnding(absl::string_view name, absl::string_view ending) {
  return !absl::StartsWith(name, ".") && absl::EndsWith(name, ending) &&
         name.size() > ending.size();
}

bool IsChain(absl::string_view name) {
  return std::any_of(std::begin(kChainEndings), std::end(kChainEndings),
                     [name](absl::string_view ending) { return HasEnding(name, ending); });
}

// "app.example" of "app.example.pem".
absl::string_view Stem(absl::string_view name) { return name.substr(0, name.rfind('.')); }

absl::Status FileError(const std::string& name, const absl::Status& why) {
  const std::optional<Error> error = GetError(why);
  return ConfigurationError(
      absl::StrCat(name, ": ", error.has_value() ? error->detail : std::string(why.message())));
}

// Returns a digest that is equal only for equal texts in equal places.
std::array<uint8_t, 32> DigestOf(const std::array<absl::string_view, 3>& texts) {
  std::array<uint8_t, 3 * 32> all;
  auto at = all.begin();
  for (absl::string_view text : texts) {
    const std::array<uint8_t, 32> digest = Sha256(AsBytes(text));
    at = std::copy(digest.begin(), digest.end(), at);
  }
  return Sha256(ByteView(all.data(), all.size()));
}

// Returns whether all certificates in `chain` are CA certificates.
bool HasOnlyCas(absl::string_view chain) {
  const absl::StatusOr<PemCertificates> certificates = ReadCertificatesPem(chain, "the chain");
  return certificates.ok() &&
         std::all_of(certificates->chain.begin(), certificates->chain.end(),
                     [](const auto& certificate) { return X509_check_ca(certificate.get()) == 1; });
}

}  // namespace

// The files of one credential.
struct CredentialFiles::Group {
  std::string chain;
  std::string key;     // Same file if it includes the key.
  std::string staple;  // Empty for none.
};

// The state of one call of `Load`.
struct CredentialFiles::Loading {
  struct Made {
    std::string chain;  // The chain's file.
    Known known;
  };
  struct Keyless {
    Group group;
    SecretFile chain;
  };

  const std::vector<std::string> names;  // Sorted.
  const Reader read;
  std::vector<Made> made = {};
  std::vector<std::unique_ptr<Keyless>> keyless = {};
  std::vector<std::string> keys = {};           // Files with a private key and no certificates.
  absl::flat_hash_set<std::string> stems = {};  // Of files with certificates.
  absl::flat_hash_set<std::string> used_keys = {};
  std::vector<std::string> notes = {};

  bool Has(const std::string& name) const {
    return std::binary_search(names.begin(), names.end(), name);
  }
};

CredentialFiles::CredentialFiles(PassphraseCallback passphrases, SignerMaker* signers,
                                 KeyFinder elsewhere)
    : passphrases_(std::move(passphrases)),
      signers_(signers),
      elsewhere_(std::move(elsewhere)),
      shared_(std::make_unique<ChainCache>()) {}

CredentialFiles::~CredentialFiles() = default;

absl::StatusOr<std::vector<std::shared_ptr<const Credential>>> CredentialFiles::Load(
    absl::Span<const std::string> names, Reader read) {
  std::vector<std::string> sorted(names.begin(), names.end());
  std::sort(sorted.begin(), sorted.end());
  Loading loading{std::move(sorted), read};
  for (const std::string& name : loading.names) {
    if (HasEnding(name, kKeyEnding)) loading.keys.push_back(name);
    if (!IsChain(name)) continue;
    if (absl::Status loaded = LoadChain(name, loading); !loaded.ok()) return loaded;
  }
  for (const auto& keyless : loading.keyless) {
    absl::Status loaded = LoadKeyless(keyless->group, keyless->chain.text(), loading);
    if (!loaded.ok()) return loaded;
  }
  if (absl::Status used = CheckAllAreUsed(loading); !used.ok()) return used;
  return Finish(loading);
}

absl::Status CredentialFiles::LoadChain(const std::string& name, Loading& loading) {
  absl::StatusOr<std::string> text = loading.read(name);
  if (!text.ok()) return text.status();
  Group group{name, absl::StrCat(Stem(name), kKeyEnding), absl::StrCat(Stem(name), kStapleEnding)};
  if (!loading.Has(group.staple)) group.staple.clear();
  // Damaged text fails later, when it is parsed.
  const bool has_key = absl::StrContains(*text, kKeyMark);
  const bool has_certificates = absl::StrContains(*text, kCertificateMark);
  if (!loading.Has(group.key)) {
    if (has_key && !has_certificates) {
      OPENSSL_cleanse(text->data(), text->size());
      loading.keys.push_back(name);
      return absl::OkStatus();
    }
    if (!has_key && has_certificates) {
      loading.stems.emplace(Stem(name));
      loading.keyless.push_back(std::unique_ptr<Loading::Keyless>(
          new Loading::Keyless{std::move(group), SecretFile(*std::move(text))}));
      return absl::OkStatus();
    }
    group.key = name;
  }
  loading.stems.emplace(Stem(name));
  const SecretFile chain(*std::move(text));
  return LoadOne(group, chain.text(), loading);
}

// Finds the key of a chain among all keys of the directory.
absl::Status CredentialFiles::LoadKeyless(const Group& group, absl::string_view chain,
                                          Loading& loading) {
  for (const std::string& key : loading.keys) {
    Group tried = group;
    tried.key = key;
    const absl::Status loaded = LoadOne(tried, chain, loading);
    if (!loaded.ok()) continue;
    loading.used_keys.insert(key);
    return absl::OkStatus();
  }
  const std::string fault =
      absl::StrCat(group.chain, " has no key, neither in it nor in ", group.key);
  if (!HasOnlyCas(chain)) return ConfigurationError(fault);
  loading.notes.push_back(absl::StrCat(fault, ": is it a CA?"));
  return absl::OkStatus();
}

absl::Status CredentialFiles::LoadOne(const Group& group, absl::string_view chain,
                                      Loading& loading) {
  absl::StatusOr<std::string> key_text = std::string();
  if (group.key != group.chain) key_text = loading.read(group.key);
  if (!key_text.ok()) return key_text.status();
  const SecretFile key(*std::move(key_text));
  absl::StatusOr<std::string> staple = std::string();
  if (!group.staple.empty()) staple = loading.read(group.staple);
  if (!staple.ok()) return staple.status();
  const std::array<uint8_t, 32> digest = DigestOf({chain, key.text(), *staple});
  const auto before = known_.find(group.chain);
  if (before != known_.end() && before->second.digest == digest) {
    loading.made.push_back({group.chain, before->second});
    return absl::OkStatus();
  }
  auto credential =
      Make(group, chain, group.key == group.chain ? chain : key.text(), *std::move(staple));
  if (!credential.ok()) return credential.status();
  loading.made.push_back({group.chain, {digest, *std::move(credential)}});
  return absl::OkStatus();
}

absl::Status CredentialFiles::CheckAllAreUsed(Loading& loading) {
  const absl::flat_hash_set<absl::string_view> keys(loading.keys.begin(), loading.keys.end());
  for (const std::string& name : loading.names) {
    const std::string fault = absl::StrCat(name, ": there is no certificate for it in ", Stem(name),
                                           ".pem, .crt or .cer");
    const bool of_a_chain = loading.stems.contains(Stem(name));
    if (HasEnding(name, kStapleEnding) && !of_a_chain) loading.notes.push_back(fault);
    if (keys.contains(name) && !of_a_chain && !loading.used_keys.contains(name)) {
      return ConfigurationError(fault);
    }
  }
  if (!loading.made.empty()) return absl::OkStatus();
  return ConfigurationError(
      loading.notes.empty() ? "there is no file NAME.pem, NAME.crt or NAME.cer with certificates"
                            : loading.notes.front());
}

// Keeps the credentials made, except for chains that another file has in full.
std::vector<std::shared_ptr<const Credential>> CredentialFiles::Finish(Loading& loading) {
  absl::flat_hash_map<std::string, const Loading::Made*> longest;  // By leaf.
  const auto leaf_of = [](const Loading::Made& made) {
    const CertificateInfo& leaf = made.known.credential->chain().front();
    return absl::StrCat(leaf.serial, " ", leaf.issuer, " ",
                        AsText(ByteView(leaf.spki_sha256.data(), leaf.spki_sha256.size())));
  };
  const auto length_of = [](const Loading::Made& made) {
    return made.known.credential->chain().size();
  };
  for (const Loading::Made& made : loading.made) {
    const Loading::Made*& known = longest[leaf_of(made)];
    if (known == nullptr || length_of(*known) < length_of(made)) known = &made;
  }
  KnownByFile known;
  std::vector<std::shared_ptr<const Credential>> credentials;
  size_t made_anew = 0;
  for (const Loading::Made& made : loading.made) {
    const std::shared_ptr<const Credential>& credential = made.known.credential;
    const auto before = known_.find(made.chain);
    if (before == known_.end() || before->second.credential != credential) ++made_anew;
    known.emplace(made.chain, made.known);
    const Loading::Made* const fullest = longest[leaf_of(made)];
    if (length_of(made) < length_of(*fullest)) {
      loading.notes.push_back(absl::StrCat(made.chain, " is not used: ", fullest->chain,
                                           " has its certificate with more of the chain"));
      continue;
    }
    credentials.push_back(credential);
    if (credential->staple_fault().empty()) continue;
    loading.notes.push_back(absl::StrCat(Stem(made.chain), kStapleEnding,
                                         " is not stapled: ", credential->staple_fault()));
  }
  known_ = std::move(known);
  made_anew_ = made_anew;
  notes_ = std::move(loading.notes);
  return credentials;
}

absl::StatusOr<std::shared_ptr<const Credential>> CredentialFiles::MakeWithKeyElsewhere(
    absl::string_view chain, absl::string_view key, const CredentialOptions& options) {
  const absl::string_view where =
      absl::StripAsciiWhitespace(key.substr(0, std::min(key.size(), key.find_first_of("\r\n"))));
  absl::StatusOr<std::shared_ptr<const Signer>> signer = elsewhere_(chain, where);
  if (!signer.ok()) return signer.status();
  return Credential::FromSigner(chain, *std::move(signer), options);
}

absl::StatusOr<std::shared_ptr<const Credential>> CredentialFiles::Make(const Group& group,
                                                                        absl::string_view chain,
                                                                        absl::string_view key,
                                                                        std::string staple) {
  CredentialOptions options;
  options.signers = signers_;
  options.key_name = group.key;
  options.passphrases = passphrases_ ? &passphrases_ : nullptr;
  options.staple = std::move(staple);
  // A key elsewhere belongs to the chain of its name: no other one asks for it.
  const bool is_elsewhere = elsewhere_ && group.key != group.chain &&
                            !absl::StrContains(key, kPemMark) &&
                            Stem(group.key) == Stem(group.chain);
  absl::StatusOr<std::shared_ptr<const Credential>> credential =
      is_elsewhere ? MakeWithKeyElsewhere(chain, key, options)
                   : Credential::FromPem(chain, key, options, shared_.get());
  if (credential.ok()) return credential;
  return FileError(
      absl::StrCat(group.chain, group.key == group.chain ? "" : absl::StrCat(" with ", group.key),
                   group.staple.empty() ? "" : absl::StrCat(" and ", group.staple)),
      credential.status());
}

}  // namespace trestle
