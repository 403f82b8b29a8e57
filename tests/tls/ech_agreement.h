// EchAgreement: passes a hello to EchKeyOpener and to a BoringSSL server in shared mode. Checks
// that both read the same inner hello, or both reject it.
#ifndef TRESTLE_TESTS_TLS_ECH_AGREEMENT_H_
#define TRESTLE_TESTS_TLS_ECH_AGREEMENT_H_

#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "tests/tls/ech_forge.h"
#include "tests/tls/ech_pair.h"
#include "trestle/testing/client_hello_kit.h"
#include "trestle/tls/ech_key_opener.h"
#include "trestle/wire/ech_opener.h"

namespace trestle::testing {

/// One case, before it is encrypted.
struct EchCase {
  /// True for a second hello, after a valid first one and a HelloRetryRequest.
  bool second = false;
  /// If not 0: the position of the outer hello's byte, modulo its size, that changes after the
  /// encryption.
  uint16_t changed_at = 0;
  std::string outer;    ///< The outer hello's body; its encrypted_client_hello lacks the payload.
  std::string encoded;  ///< The EncodedClientHelloInner.

  /// Parses a fuzzer's input: a byte for `second`, two for `changed_at`, two for the size of
  /// `outer`.
  static EchCase Parse(absl::string_view input);
  std::string Text() const;
};

class EchAgreement {
 public:
  EchAgreement();

  /// Returns the disagreement; empty if they agree, or if `outer` is no valid hello.
  std::string Check(const EchCase& input);

  /// Returns the verdict about the last case.
  EchVerdict verdict() const { return verdict_; }

 private:
  // The server's result for a hello.
  struct Seen {
    bool outer = false;  // It continued with the outer hello.
    std::string inner;   // The decrypted message, if any.
  };

  Seen AskServer(absl::string_view first, absl::string_view second);
  std::string CheckFirst(const std::string& message);
  std::string CheckSecond(EchForge& forge, const HelloBuilder& outer, const EchCase& input);
  std::string Compare(const EchOpening& opening, const Seen& seen);

  const EchPair pair_;
  const std::shared_ptr<EchKeyOpener> opener_;
  bssl::UniquePtr<SSL_CTX> server_;
  EchVerdict verdict_ = EchVerdict::kNotOffered;
};

}  // namespace trestle::testing

#endif  // TRESTLE_TESTS_TLS_ECH_AGREEMENT_H_
