// AcmeTokens: answers to the challenges by which an ACME server convinces itself that whoever asks
// for a certificate serves the name (TLS-ALPN-01, RFC 8737). Any ACME client can fill it, with the
// key authorizations that it would put into a certificate of its own.
#ifndef TRESTLE_TLS_ACME_TOKENS_H_
#define TRESTLE_TLS_ACME_TOKENS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

typedef struct ssl_credential_st SSL_CREDENTIAL;

namespace trestle {

/// Thread-safe. An identifier is a server name, or an IP address (RFC 8738). A key authorization is
/// that of RFC 8555 8.1, token and key thumbprint with a dot between; or its SHA-256 in base64url,
/// which is all that some clients tell.
class AcmeTokens {
 public:
  /// Finds the key authorization for an identifier in its normal form, or "" where there is none.
  /// Called within the handshake of whoever comes with the challenge, on its thread and one at a
  /// time, so it must be quick.
  using Source = absl::AnyInvocable<absl::StatusOr<std::string>(const std::string& identifier)>;

  static constexpr size_t kMaxTokens = 4096;

  /// Makes an empty map, to be filled by `Set`.
  AcmeTokens();

  /// Makes a map that asks `source` each time, so that what was taken out there is gone here.
  explicit AcmeTokens(Source source);

  ~AcmeTokens();
  AcmeTokens(const AcmeTokens&) = delete;
  AcmeTokens& operator=(const AcmeTokens&) = delete;

  /// Answers challenges for `identifier` with `key_authorization` from now on, instead of an
  /// earlier one. Fails with ErrorCode::kConfiguration and a reason where one of them is malformed,
  /// or where `kMaxTokens` are there.
  absl::Status Set(absl::string_view identifier, absl::string_view key_authorization);

  /// Answers none for `identifier` any more.
  void Remove(absl::string_view identifier);

  size_t size() const;

  /// For the tls floor: what to show to whoever comes with a challenge for `server_name`, in its
  /// normal form; null where there is no token. Fails as the source does, or where what it told is
  /// malformed.
  absl::StatusOr<std::shared_ptr<SSL_CREDENTIAL>> AnswerFor(absl::string_view server_name,
                                                            absl::Time now);

 private:
  using Digest = std::array<uint8_t, 32>;
  struct Token {
    Digest digest = {};
    std::shared_ptr<SSL_CREDENTIAL> answer;  // Made when it is first asked for.
  };

  static absl::StatusOr<Digest> ReadKeyAuthorization(absl::string_view text);
  absl::Status AskSource(const std::string& server_name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  Source source_ ABSL_GUARDED_BY(mutex_);                                   // May be null.
  absl::flat_hash_map<std::string, Token> tokens_ ABSL_GUARDED_BY(mutex_);  // By server name.
};

}  // namespace trestle

#endif  // TRESTLE_TLS_ACME_TOKENS_H_
