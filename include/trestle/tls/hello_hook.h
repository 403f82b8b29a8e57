// HelloHook: is asked about a client's hello before it is answered, and may take its time, for
// example to find out first what a backend speaks. The handshake waits; other connections do not.
#ifndef TRESTLE_TLS_HELLO_HOOK_H_
#define TRESTLE_TLS_HELLO_HOOK_H_

#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"

namespace trestle {

/// A complete hello, as TLS will answer it: of an encrypted one (ECH), what is inside.
struct HelloToAnswer {
  std::string server_name;        ///< Normalised; empty where there is none.
  std::vector<std::string> alpn;  ///< Offered, in the client's order; empty without ALPN.
  bool encrypted = false;         ///< Nobody on the network knows the name (RFC 9849).
};

struct HelloAnswer {
  /// The application protocol to agree on, one of those offered; empty: the extension is left out.
  std::string alpn;
};

class HelloHook {
 public:
  using Answer = absl::AnyInvocable<void(absl::StatusOr<HelloAnswer>)>;

  /// `answer` is to be called once, here or later, on the connection's thread. A failure refuses
  /// the client, with the alert that fits the code of its TlsError: what isn't about names,
  /// protocols or parameters is an internal_error to a client, which can do nothing about it. A
  /// call for a connection that is gone does nothing. `ServerTlsOptions::answer_timeout` is not for
  /// these answers: a hook limits its own time.
  virtual void OnHello(HelloToAnswer hello, Answer answer) = 0;

 protected:
  ~HelloHook() = default;
};

}  // namespace trestle

#endif  // TRESTLE_TLS_HELLO_HOOK_H_
