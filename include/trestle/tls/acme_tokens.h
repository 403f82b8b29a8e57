// AcmeTokens: answers to ACME challenges (TLS-ALPN-01, RFC 8737), which prove control of a server
// name. Any ACME client can fill it with the key authorizations of its orders.
#ifndef TRESTLE_TLS_ACME_TOKENS_H_
#define TRESTLE_TLS_ACME_TOKENS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

typedef struct ssl_credential_st SSL_CREDENTIAL;

namespace trestle {

/// Thread-safe. An identifier is a server name or an IP address (RFC 8738). A key authorization is
/// the one of RFC 8555 8.1: token, dot, key thumbprint. Its SHA-256 in base64url also works: some
/// clients give only that.
class AcmeTokens {
 public:
  /// Returns the key authorization of an identifier in its normal form, or "" if there is none.
  /// Runs within the handshake that carries the challenge, on its thread, under a lock. It must be
  /// quick and must not call this object.
  using Source = absl::AnyInvocable<absl::StatusOr<std::string>(const std::string& identifier)>;

  /// Maximum number of tokens. `Set` fails above it; of tokens from a source, the least recently
  /// used one is forgotten, since the source supplies it again.
  static constexpr size_t kMaxTokens = 4096;

  /// Makes an empty map; fill it with `Set`.
  AcmeTokens();

  /// Makes a map that calls `source` for each challenge, so a token that the source drops is gone
  /// here too.
  explicit AcmeTokens(Source source);

  ~AcmeTokens();
  AcmeTokens(const AcmeTokens&) = delete;
  AcmeTokens& operator=(const AcmeTokens&) = delete;

  /// Answers challenges for `identifier` with `key_authorization` from now on; replaces an earlier
  /// one. Fails with ErrorCode::kConfiguration if either is malformed, or if there are `kMaxTokens`
  /// tokens.
  absl::Status Set(absl::string_view identifier, absl::string_view key_authorization);

  /// Stops answering challenges for `identifier`.
  void Remove(absl::string_view identifier);

  size_t size() const;

 private:
  friend class TlsInternals;
  using Digest = std::array<uint8_t, 32>;
  struct Tokens;

  // Returns the credential that answers a challenge for `server_name`, in its normal form. Null
  // without a token. Fails as the source does, or if the source's answer is malformed.
  absl::StatusOr<std::shared_ptr<SSL_CREDENTIAL>> AnswerFor(absl::string_view server_name,
                                                            absl::Time now);

  static absl::StatusOr<Digest> ReadKeyAuthorization(absl::string_view text);
  absl::Status AskSource(const std::string& server_name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  Source source_ ABSL_GUARDED_BY(mutex_);  // May be null.
  const std::unique_ptr<Tokens> tokens_ ABSL_PT_GUARDED_BY(mutex_);
};

}  // namespace trestle

#endif  // TRESTLE_TLS_ACME_TOKENS_H_
