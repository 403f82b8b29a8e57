#include "trestle/tls/credential_files.h"

#include <openssl/mem.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/tls/chain_cache.h"
#include "lib/tls/pem.h"
#include "trestle/base/bytes.h"
#include "trestle/base/error.h"
#include "trestle/tls/sha256.h"

namespace trestle {
namespace {

constexpr absl::string_view kChainEndings[] = {".pem", ".crt", ".cer"};
constexpr absl::string_view kKeyEnding = ".key";
constexpr absl::string_view kStapleEnding = ".ocsp";

// Text that may hold a private key.
class SecretFile {
 public:
  explicit SecretFile(std::string text) : text_(std::move(text)) {}
  ~SecretFile() { OPENSSL_cleanse(&text_[0], text_.size()); }
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
  const std::optional<TlsError> error = GetTlsError(why);
  return ConfigurationError(
      absl::StrCat(name, ": ", error.has_value() ? error->detail : std::string(why.message())));
}

// The same for equal texts in equal places only.
std::array<uint8_t, 32> DigestOf(const std::array<absl::string_view, 3>& texts) {
  std::array<uint8_t, 3 * 32> all;
  auto at = all.begin();
  for (absl::string_view text : texts) {
    const std::array<uint8_t, 32> digest = Sha256(AsBytes(text));
    at = std::copy(digest.begin(), digest.end(), at);
  }
  return Sha256(ByteView(all.data(), all.size()));
}

absl::Status CheckAllHaveChains(absl::Span<const std::string> names) {
  absl::flat_hash_set<absl::string_view> stems;
  for (const std::string& name : names) {
    if (IsChain(name)) stems.insert(Stem(name));
  }
  if (stems.empty()) {
    return ConfigurationError("there is no file NAME.pem, NAME.crt or NAME.cer with certificates");
  }
  for (const std::string& name : names) {
    const bool belongs = HasEnding(name, kKeyEnding) || HasEnding(name, kStapleEnding);
    if (!belongs || stems.contains(Stem(name))) continue;
    return ConfigurationError(absl::StrCat(name, ": there is no certificate for it in ", Stem(name),
                                           ".pem, .crt or .cer"));
  }
  return absl::OkStatus();
}

}  // namespace

// The files of one credential.
struct CredentialFiles::Group {
  std::string chain;
  std::string key;     // The same where the key is in there.
  std::string staple;  // Empty for none.
};

CredentialFiles::CredentialFiles(PassphraseCallback passphrases, SignerMaker* signers)
    : passphrases_(std::move(passphrases)),
      signers_(signers),
      shared_(std::make_unique<ChainCache>()) {}

CredentialFiles::~CredentialFiles() = default;

absl::StatusOr<std::vector<std::shared_ptr<const Credential>>> CredentialFiles::Load(
    absl::Span<const std::string> names, Reader read) {
  if (absl::Status status = CheckAllHaveChains(names); !status.ok()) return status;
  std::vector<std::string> sorted(names.begin(), names.end());
  std::sort(sorted.begin(), sorted.end());
  KnownByFile known;
  std::vector<std::shared_ptr<const Credential>> credentials;
  size_t made_anew = 0;
  const auto exists = [&](const std::string& name) {
    return std::binary_search(sorted.begin(), sorted.end(), name);
  };
  for (const std::string& name : sorted) {
    if (!IsChain(name)) continue;
    Group group{name, absl::StrCat(Stem(name), kKeyEnding),
                absl::StrCat(Stem(name), kStapleEnding)};
    if (!exists(group.key)) group.key = name;
    if (!exists(group.staple)) group.staple.clear();
    absl::StatusOr<Known> loaded = LoadOne(group, read);
    if (!loaded.ok()) return loaded.status();
    const auto before = known_.find(name);
    if (before == known_.end() || before->second.credential != loaded->credential) ++made_anew;
    credentials.push_back(loaded->credential);
    known.emplace(name, *std::move(loaded));
  }
  known_ = std::move(known);
  made_anew_ = made_anew;
  return credentials;
}

absl::StatusOr<CredentialFiles::Known> CredentialFiles::LoadOne(const Group& group, Reader read) {
  absl::StatusOr<std::string> chain_text = read(group.chain);
  if (!chain_text.ok()) return chain_text.status();
  const SecretFile chain(*std::move(chain_text));
  absl::StatusOr<std::string> key_text = std::string();
  if (group.key != group.chain) key_text = read(group.key);
  if (!key_text.ok()) return key_text.status();
  const SecretFile key(*std::move(key_text));
  absl::StatusOr<std::string> staple = std::string();
  if (!group.staple.empty()) staple = read(group.staple);
  if (!staple.ok()) return staple.status();
  const std::array<uint8_t, 32> digest = DigestOf({chain.text(), key.text(), *staple});
  const auto before = known_.find(group.chain);
  if (before != known_.end() && before->second.digest == digest) return before->second;
  auto credential = Make(group, chain.text(), group.key == group.chain ? chain.text() : key.text(),
                         *std::move(staple));
  if (!credential.ok()) return credential.status();
  return Known{digest, *std::move(credential)};
}

absl::StatusOr<std::shared_ptr<const Credential>> CredentialFiles::Make(const Group& group,
                                                                        absl::string_view chain,
                                                                        absl::string_view key,
                                                                        std::string staple) {
  CredentialOptions options;
  options.signers = signers_;
  options.shared = shared_.get();
  options.key_name = group.key;
  options.passphrases = passphrases_ ? &passphrases_ : nullptr;
  options.staple = std::move(staple);
  absl::StatusOr<std::shared_ptr<const Credential>> credential =
      Credential::FromPem(chain, key, options);
  if (credential.ok()) return credential;
  return FileError(
      absl::StrCat(group.chain, group.key == group.chain ? "" : absl::StrCat(" with ", group.key),
                   group.staple.empty() ? "" : absl::StrCat(" and ", group.staple)),
      credential.status());
}

}  // namespace trestle
