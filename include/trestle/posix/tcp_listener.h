// TcpListener: accepts TCP connections on one loop. A server with N threads has N listeners on one
// address, and the system spreads the connections over them (SO_REUSEPORT).
#ifndef TRESTLE_POSIX_TCP_LISTENER_H_
#define TRESTLE_POSIX_TCP_LISTENER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "trestle/base/endpoint.h"
#include "trestle/io/transport.h"
#include "trestle/posix/epoll_loop.h"
#include "trestle/posix/owned_fd.h"

namespace trestle {

/// Whom a listener shares its address with.
enum class PortUse : uint8_t {
  /// Takes the address, and fails where any program listens on it already; there is no moment at
  /// which two programs that both claim can both succeed. From then on listeners may join.
  kClaim,
  /// Listens beside those who do already, or alone: the second and later threads of a server
  /// (with the first one's `local_endpoint()`, should it have picked the port), or a new process
  /// that takes over from an old one. Only listeners of one user may share.
  kJoin,
};

struct TcpListenerOptions {
  PortUse port_use = PortUse::kClaim;
  /// Connections that wait to be accepted, at most; the system has a limit of its own.
  int backlog = 4096;
  /// Connections accepted per turn, before other descriptors get theirs.
  int accept_batch = 64;
  /// How long to wait, when descriptors or memory have run out, before accepting again.
  absl::Duration retry_delay = absl::Milliseconds(100);
  /// How long `Retire` gives TCP handshakes that are under way. Longer than a round trip to
  /// clients; less than the second after which clients send their SYN again.
  absl::Duration retire_time = absl::Milliseconds(250);
};

class TcpListener final : private FdWatcher {
 public:
  using Callback = absl::AnyInvocable<void(std::unique_ptr<Transport>)>;

  /// Listens on `endpoint` (port 0: any free one; IPv6 endpoints take IPv6 clients only) and calls
  /// `on_connection` from the loop for each connection. `loop` must outlive the listener and all
  /// connections. Fails with ErrorCode::kConfiguration and a sentence that names the address
  /// ("192.0.2.1:443 is in use by another program") where the address is the reason, else with
  /// kTransport.
  static absl::StatusOr<std::unique_ptr<TcpListener>> Create(
      EpollLoop& loop, const Endpoint& endpoint, Callback on_connection,
      const TcpListenerOptions& options = {});

  ~TcpListener();
  TcpListener(const TcpListener&) = delete;
  TcpListener& operator=(const TcpListener&) = delete;

  /// The address as it is, with the port that was picked.
  const Endpoint& local_endpoint() const { return local_; }

  /// Lists the addresses at which this machine reaches the listener: its own, and where that
  /// stands for all addresses ("0.0.0.0", "::"), those that the interfaces have now.
  std::vector<Endpoint> Addresses() const;

  /// Stops listening without resetting anybody: from now on, new clients are left unanswered and
  /// reach whoever else listens on the address when they try again (after a second: TCP's doing);
  /// those whose TCP handshake is under way are accepted for `retire_time` more. Then stops, and
  /// calls `done`, from the loop; the listener may be destroyed in it.
  void Retire(absl::AnyInvocable<void()> done);

  /// Stops listening at once; may be called inside the callback, like the destructor. Connections
  /// that the system took but that were not accepted yet are reset by it.
  void Stop();

  /// Counts the connections handed out so far.
  uint64_t accepted() const { return accepted_; }

  /// Counts how often descriptors or memory had run out when a connection waited. After each,
  /// nothing is accepted for `retry_delay`.
  uint64_t failures() const { return failures_; }

 private:
  enum class Accepting : uint8_t { kGoesOn, kIsDone, kMustWait };

  TcpListener(EpollLoop& loop, OwnedFd socket, Callback on_connection,
              const TcpListenerOptions& options);

  void OnFdReady(uint32_t events) override;
  void FinishRetiring();
  void AcceptBatch();
  std::optional<Accepting> Accept(int at_most);
  Accepting AcceptOne(Callback& on_connection);
  void AcceptAgainAfter(absl::Duration delay);

  EpollLoop& loop_;
  OwnedFd socket_;
  const TcpListenerOptions options_;
  const Endpoint local_;
  Callback on_connection_;
  Timer again_;  // Set while accepting waits: for the next turn, or for descriptors.
  absl::AnyInvocable<void()> retired_;
  Timer retirement_;  // Set while retiring.
  uint64_t accepted_ = 0;
  uint64_t failures_ = 0;
  bool* destroyed_ = nullptr;  // Points to a flag on the stack while a callback runs.
};

}  // namespace trestle

#endif  // TRESTLE_POSIX_TCP_LISTENER_H_
