// TcpListener: accepts TCP connections on one loop, or those of a Unix-domain socket. A server with
// N threads has N listeners on one address, and the system distributes the connections among them
// (SO_REUSEPORT).
#ifndef TRESTLE_LINUX_TCP_LISTENER_H_
#define TRESTLE_LINUX_TCP_LISTENER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "trestle/base/endpoint.h"
#include "trestle/io/transport.h"
#include "trestle/linux/fd_loop.h"
#include "trestle/linux/owned_fd.h"

namespace trestle {

/// How a listener shares its address.
enum class PortUse : uint8_t {
  /// Claims the address; fails if any program listens on it already. Of two concurrent claims, at
  /// most one succeeds. Later listeners may join. The file of a Unix-domain socket is replaced if
  /// its program has ended.
  kClaim,
  /// Joins existing listeners, or listens alone. For the second and later threads of a server, with
  /// the first one's `local_endpoint()` if the system chose the port. Also for a new process that
  /// takes over from an old one. Only listeners of one user can share an address. The path of a
  /// Unix-domain socket leads to the last listener alone: its threads use `Share`. An abstract one
  /// can't be joined.
  kJoin,
};

/// Options of a TcpListener.
struct TcpListenerOptions {
  PortUse port_use = PortUse::kClaim;
  /// Maximum number of connections waiting for accept; the system may have a lower limit.
  int backlog = 4096;
  /// Maximum number of connections accepted per turn, before other descriptors are handled.
  int accept_batch = 64;
  /// How long to pause accepting after descriptors or memory ran out.
  absl::Duration retry_delay = absl::Milliseconds(100);
  /// How long `Retire` waits for pending TCP handshakes. Use more than a round trip to clients, but
  /// less than one second, when clients retransmit their SYN.
  absl::Duration retire_time = absl::Milliseconds(250);
  /// TCP keepalive: the system probes a peer that was silent for this time. If the peer does not
  /// answer within the same time again, the connection fails. Whole seconds; zero turns it off.
  absl::Duration keepalive = absl::ZeroDuration();
  /// The permissions of a Unix-domain socket's file. Abstract ones have none: any user of the
  /// machine can connect.
  uint32_t unix_mode = 0600;
};

class SocketFile;

/// Accepts connections of one address on one loop. All calls come from the loop's thread.
class TcpListener final : private FdWatcher {
 public:
  using Callback = absl::AnyInvocable<void(std::unique_ptr<Transport>)>;

  /// Listens on `endpoint` and calls `on_connection` from the loop for each connection. With port 0
  /// the system chooses a free port; IPv6 endpoints accept IPv6 clients only. `loop` must outlive
  /// the listener and all connections. Fails with ErrorCode::kConfiguration and a sentence with the
  /// address if the address is the reason ("192.0.2.1:443 is in use by another program"). Fails
  /// with kTransport otherwise.
  ///
  /// The file of a Unix-domain socket is removed when the listener retires or stops, unless another
  /// listener has taken the path over. The peer of its connections is `Endpoint::Unix("")`.
  static absl::StatusOr<std::unique_ptr<TcpListener>> Create(
      FdLoop& loop, const Endpoint& endpoint, Callback on_connection,
      const TcpListenerOptions& options = {});

  /// Accepts connections of `socket`, which listens already, such as one that a service manager
  /// passed. Other processes share it: connections that wait when this listener retires or stops
  /// are theirs, and no client is turned away. The owner of the address keeps a Unix-domain
  /// socket's file. Only `accept_batch`, `retry_delay` and `keepalive` of the options apply. Fails
  /// with ErrorCode::kConfiguration unless it is a listening stream socket of TCP or of the Unix
  /// domain.
  static absl::StatusOr<std::unique_ptr<TcpListener>> Adopt(FdLoop& loop, OwnedFd socket,
                                                            Callback on_connection,
                                                            const TcpListenerOptions& options = {});

  /// Accepts connections of `other`'s socket on another `loop`, whose threads then share the work.
  /// `other` keeps the file of a Unix-domain socket. Fails as `Create` does.
  static absl::StatusOr<std::unique_ptr<TcpListener>> Share(FdLoop& loop, const TcpListener& other,
                                                            Callback on_connection,
                                                            const TcpListenerOptions& options = {});

  ~TcpListener();
  TcpListener(const TcpListener&) = delete;
  TcpListener& operator=(const TcpListener&) = delete;

  /// Sets the callback for failures to accept a waiting connection: no descriptors or memory are
  /// left, or the loop cannot watch the socket. In the last case the connection is reset. It runs
  /// from the loop, at most once in `retry_delay`, and must not destroy the listener.
  void SetFailureCallback(absl::AnyInvocable<void(const absl::Status&)> call) {
    on_failure_ = std::move(call);
  }

  /// Returns the actual address, with the port that the system chose.
  const Endpoint& local_endpoint() const { return local_; }

  /// Returns the addresses at which this machine reaches the listener. For an address that stands
  /// for all ("0.0.0.0", "::"), these are the current addresses of the interfaces.
  std::vector<Endpoint> Addresses() const { return AddressesOf(local_); }

  /// Returns the same for a listener on `endpoint`, which need not exist.
  static std::vector<Endpoint> AddressesOf(const Endpoint& endpoint);

  /// Stops listening without resetting clients. New clients get no answer from now on. When they
  /// retry, after TCP's one second, they reach other listeners on the address. Clients with a
  /// pending TCP handshake are still accepted for `retire_time`. Then the listener stops and calls
  /// `done`, from the loop; `done` may destroy the listener. The file of a Unix-domain socket is
  /// removed first, so new clients find no server, or the one that has taken the path over. An
  /// adopted listener stops at once, and leaves what waits to the socket's other processes.
  void Retire(absl::AnyInvocable<void()> done);

  /// Stops listening at once. The system resets connections that it completed but that were not
  /// accepted yet. Like the destructor, it may be called in the callback.
  void Stop();

  /// Returns the number of accepted connections so far.
  uint64_t accepted() const { return accepted_; }

  /// Returns the number of failures reported to `OnFailure`. After each, accepting pauses for
  /// `retry_delay`.
  uint64_t failures() const { return failures_; }

 private:
  enum class Accepting : uint8_t { kGoesOn, kIsDone, kMustWait };

  TcpListener(FdLoop& loop, OwnedFd socket, const Endpoint& local, Callback on_connection,
              const TcpListenerOptions& options);
  static absl::StatusOr<std::unique_ptr<TcpListener>> Start(std::unique_ptr<TcpListener> listener);

  void OnFdReady(uint32_t events) override;
  void FinishRetiring();
  void AcceptBatch();
  std::optional<Accepting> Accept(int at_most);
  Accepting AcceptOne(Callback& on_connection);
  void AcceptAgainAfter(absl::Duration delay);

  FdLoop& loop_;
  OwnedFd socket_;
  std::unique_ptr<SocketFile> file_;  // Of a Unix-domain socket with a path.
  const TcpListenerOptions options_;
  const Endpoint local_;
  bool adopted_ = false;  // The socket is shared with other processes.
  Callback on_connection_;
  absl::AnyInvocable<void(const absl::Status&)> on_failure_;
  Timer again_;  // Set while accepting is paused: until the next turn, or for descriptors.
  absl::AnyInvocable<void()> retired_;
  Timer retirement_;  // Set while retiring.
  uint64_t accepted_ = 0;
  uint64_t failures_ = 0;
  bool* destroyed_ = nullptr;  // Points to a flag on the stack while a callback runs.
};

}  // namespace trestle

#endif  // TRESTLE_LINUX_TCP_LISTENER_H_
