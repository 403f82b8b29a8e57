// CredentialSelector: fetches certificates when a client asks for them, for example from a vault or
// a CA. The handshake waits for the answer, and other connections continue.
#ifndef TRESTLE_TLS_CREDENTIAL_SELECTOR_H_
#define TRESTLE_TLS_CREDENTIAL_SELECTOR_H_

#include <memory>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "trestle/io/scheduler.h"
#include "trestle/tls/credential.h"

namespace trestle {

/// All connections of its config share it, on all threads: an implementation must be thread-safe.
class CredentialSelector {
 public:
  using Answer = absl::StatusOr<std::vector<std::shared_ptr<const Credential>>>;
  using Done = absl::AnyInvocable<void(Answer)>;

  /// The most credentials of one answer that the server offers.
  static constexpr size_t kMaxOffered = 8;

  virtual ~CredentialSelector() = default;

  /// Finds credentials for `server_name`, which is normalised and valid during this call only. Runs
  /// once for each connection that asks for a name without a certificate in the store. Clients
  /// choose the names: fetch only for names that belong to this server.
  ///
  /// Call `done` once, inside this call or later, on the thread of `loop`. Other threads get there
  /// by `Scheduler::PostFromAnyThread`. The server offers the credentials that are valid now; if
  /// none is, the others. An empty answer means no certificate, as without a selector. A failure
  /// refuses the client with the code of its Error, else ErrorCode::kNoCertificate. After
  /// ServerTlsOptions::answer_timeout it fails with kTimeout.
  ///
  /// The returned object may be null. Its destruction cancels the call: don't use `loop` or call
  /// `done` after it.
  virtual std::unique_ptr<PendingCall> Select(absl::string_view server_name, Scheduler& loop,
                                              Done done) const = 0;
};

}  // namespace trestle

#endif  // TRESTLE_TLS_CREDENTIAL_SELECTOR_H_
