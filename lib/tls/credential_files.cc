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

bool IsChain(absl::string_view name) {
  if (absl::StartsWith(name, ".")) return false;
  return std::any_of(std::begin(kChainEndings), std::end(kChainEndings),
                     [name](absl::string_view ending) {
                       return absl::EndsWith(name, ending) && name.size() > ending.size();
                     });
}

bool IsKey(absl::string_view name) {
  return !absl::StartsWith(name, ".") && absl::EndsWith(name, kKeyEnding) &&
         name.size() > kKeyEnding.size();
}

// "app.example" of "app.example.pem". All endings have four bytes.
absl::string_view Stem(absl::string_view name) { return name.substr(0, name.size() - 4); }

absl::Status FileError(const std::string& name, const absl::Status& why) {
  const std::optional<TlsError> error = GetTlsError(why);
  return ConfigurationError(
      absl::StrCat(name, ": ", error.has_value() ? error->detail : std::string(why.message())));
}

// The same for equal texts in equal places only.
std::array<uint8_t, 32> DigestOf(absl::string_view chain, absl::string_view key) {
  std::array<uint8_t, 64> both;
  const std::array<uint8_t, 32> digests[] = {Sha256(AsBytes(chain)), Sha256(AsBytes(key))};
  std::copy(digests[0].begin(), digests[0].end(), both.begin());
  std::copy(digests[1].begin(), digests[1].end(), both.begin() + 32);
  return Sha256(ByteView(both.data(), both.size()));
}

absl::Status CheckKeysHaveChains(absl::Span<const std::string> names) {
  absl::flat_hash_set<absl::string_view> stems;
  for (const std::string& name : names) {
    if (IsChain(name)) stems.insert(Stem(name));
  }
  if (stems.empty()) {
    return ConfigurationError("there is no file NAME.pem, NAME.crt or NAME.cer with certificates");
  }
  for (const std::string& name : names) {
    if (!IsKey(name) || stems.contains(Stem(name))) continue;
    return ConfigurationError(absl::StrCat(name, ": there is no certificate for this key in ",
                                           Stem(name), ".pem, .crt or .cer"));
  }
  return absl::OkStatus();
}

}  // namespace

CredentialFiles::CredentialFiles(PassphraseCallback passphrases)
    : passphrases_(std::move(passphrases)), shared_(std::make_unique<ChainCache>()) {}

CredentialFiles::~CredentialFiles() = default;

absl::StatusOr<std::vector<std::shared_ptr<const Credential>>> CredentialFiles::Load(
    absl::Span<const std::string> names, Reader read) {
  if (absl::Status status = CheckKeysHaveChains(names); !status.ok()) return status;
  std::vector<std::string> sorted(names.begin(), names.end());
  std::sort(sorted.begin(), sorted.end());
  KnownByFile known;
  std::vector<std::shared_ptr<const Credential>> credentials;
  size_t made_anew = 0;
  for (const std::string& name : sorted) {
    if (!IsChain(name)) continue;
    const std::string key_name = absl::StrCat(Stem(name), kKeyEnding);
    const bool has_key_file = std::binary_search(sorted.begin(), sorted.end(), key_name);
    absl::StatusOr<Known> loaded = LoadOne(name, has_key_file ? key_name : name, read);
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

absl::StatusOr<CredentialFiles::Known> CredentialFiles::LoadOne(const std::string& chain_name,
                                                                const std::string& key_name,
                                                                Reader read) {
  absl::StatusOr<std::string> chain_text = read(chain_name);
  if (!chain_text.ok()) return chain_text.status();
  const SecretFile chain(*std::move(chain_text));
  absl::StatusOr<std::string> key_text = std::string();
  if (key_name != chain_name) key_text = read(key_name);
  if (!key_text.ok()) return key_text.status();
  const SecretFile key(*std::move(key_text));
  const std::array<uint8_t, 32> digest = DigestOf(chain.text(), key.text());
  const auto before = known_.find(chain_name);
  if (before != known_.end() && before->second.digest == digest) return before->second;
  auto credential =
      Make(chain_name, key_name, chain.text(), key_name == chain_name ? chain.text() : key.text());
  if (!credential.ok()) return credential.status();
  return Known{digest, *std::move(credential)};
}

absl::StatusOr<std::shared_ptr<const Credential>> CredentialFiles::Make(
    const std::string& chain_name, const std::string& key_name, absl::string_view chain,
    absl::string_view key) {
  CredentialOptions options;
  options.shared = shared_.get();
  options.key_name = key_name;
  options.passphrases = passphrases_ ? &passphrases_ : nullptr;
  absl::StatusOr<std::shared_ptr<const Credential>> credential =
      Credential::FromPem(chain, key, options);
  if (credential.ok()) return credential;
  return FileError(
      key_name == chain_name ? chain_name : absl::StrCat(chain_name, " with ", key_name),
      credential.status());
}

}  // namespace trestle
