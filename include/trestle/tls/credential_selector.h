// CredentialSelector: certificates that are fetched when a client asks for them, from a vault or
// from whoever issues them. The handshake waits for the answer, other connections don't.
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

/// Shared by the connections of all threads that its config serves.
class CredentialSelector {
 public:
  using Answer = absl::StatusOr<std::vector<std::shared_ptr<const Credential>>>;
  using Done = absl::AnyInvocable<void(Answer)>;

  /// So many of an answer are offered to the client.
  static constexpr size_t kMaxOffered = 8;

  virtual ~CredentialSelector() = default;

  /// Finds credentials for `server_name`, normalised and valid during this call only; once for each
  /// connection that asks for a name which the certificate store has nothing for. Clients choose
  /// the names: whoever fetches them should know which are his. `done` is to be called once, here
  /// or later, on the thread of `loop`: other threads get there by `Scheduler::PostFromAnyThread`.
  /// What is valid now is offered, or if nothing is, the rest; an empty answer means that there is
  /// none, as if nobody had been asked. A failure refuses the client, with the code of its TlsError
  /// if it has one, else ErrorCode::kNoCertificate; so does kTimeout after
  /// ServerTlsOptions::answer_timeout. Destroying what is returned, which may be null, means that
  /// nobody waits any more: `loop` must not be used, nor `done` called, after that.
  virtual std::unique_ptr<PendingCall> Select(absl::string_view server_name, Scheduler& loop,
                                              Done done) const = 0;
};

}  // namespace trestle

#endif  // TRESTLE_TLS_CREDENTIAL_SELECTOR_H_
