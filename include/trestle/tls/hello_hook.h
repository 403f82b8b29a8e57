// HelloHook: decides about a client's hello before the server answers it. It may take time, for
// example to ask a backend for its protocols first. The handshake waits; other connections
// continue.
#ifndef TRESTLE_TLS_HELLO_HOOK_H_
#define TRESTLE_TLS_HELLO_HOOK_H_

#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"

namespace trestle {

/// A complete hello as TLS answers it. For an encrypted hello (ECH), the inner one.
struct HelloToAnswer {
  std::string server_name;        ///< Normalised; empty if absent.
  std::vector<std::string> alpn;  ///< Offered, in the client's order; empty without ALPN.
  bool encrypted = false;         ///< The network can't read the name (RFC 9849).
};

/// What a HelloHook decides.
struct HelloAnswer {
  /// The application protocol to select, one of those offered. Empty: the server leaves the
  /// extension out.
  std::string alpn;
};

/// Is asked about each hello before TLS answers it. Called on the loop's thread.
class HelloHook {
 public:
  using Answer = absl::AnyInvocable<void(absl::StatusOr<HelloAnswer>)>;

  /// Decides about `hello`. Call `answer` once, inside this call or later, on the connection's
  /// thread. A failure refuses the client with the alert that fits the code of its Error. Codes
  /// that don't concern names, protocols or parameters send internal_error. After the connection is
  /// gone, `answer` does nothing. `ServerTlsOptions::answer_timeout` does not apply: a hook limits
  /// its own time.
  virtual void OnHello(HelloToAnswer hello, Answer answer) = 0;

 protected:
  ~HelloHook() = default;
};

}  // namespace trestle

#endif  // TRESTLE_TLS_HELLO_HOOK_H_
