#include "trestle/linux/tcp_dialer.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/linux/socket.h"
#include "lib/linux/system_error.h"
#include "trestle/base/error.h"
#include "trestle/linux/owned_fd.h"
#include "trestle/linux/tcp_transport.h"

namespace trestle {
namespace {

constexpr absl::Duration kFullQueueDelay = absl::Milliseconds(10);

class TcpDial final : public Dial, private FdWatcher {
 public:
  TcpDial(FdLoop& loop, const Endpoint& endpoint, const TcpDialerOptions& options,
          Dialer::Callback done)
      : loop_(loop), endpoint_(endpoint), options_(options), done_(std::move(done)) {}

  ~TcpDial() override {
    if (watched_) loop_.Unwatch(socket_.get());
  }

  void Start() {
    const absl::Duration limit = options_.connect_timeout;
    if (limit != absl::InfiniteDuration()) {
      limit_ = loop_.RunAfter(limit, [this, limit] {
        Finish(MakeError(ErrorCode::kTimeout, Phase::kDial,
                         absl::StrCat(endpoint_.ToString(), " did not answer within ",
                                      absl::FormatDuration(limit))));
      });
    }
    const absl::Status status = Open();
    if (status.ok()) return;
    next_ = loop_.RunAfter(absl::ZeroDuration(), [this, status] { Finish(status); });
  }

 private:
  absl::Status Open() {
    if (endpoint_.family() == Endpoint::Family::kNone) {
      return MakeError(ErrorCode::kTransport, Phase::kDial, "there is no address to connect to");
    }
    socket_ = OpenStreamSocket(endpoint_.family());
    if (!socket_.valid()) return ConnectError(endpoint_, errno);
    if (endpoint_.is_ip()) SetKeepalive(socket_.get(), options_.keepalive);
    return Connect();
  }

  absl::Status Connect() {
    const SocketAddress address(endpoint_);
    const int result = connect(socket_.get(), address.get(), address.size);
    if (result != 0 && errno == EAGAIN && !endpoint_.is_ip()) {
      ConnectLater();
      return absl::OkStatus();
    }
    if (result != 0 && errno != EINPROGRESS) return ConnectError(endpoint_, errno);
    // Also if it is connected already: the first report says so.
    absl::Status status = loop_.Watch(socket_.get(), *this);
    watched_ = status.ok();
    if (watched_) loop_.Await(socket_.get(), EPOLLOUT);
    return status;
  }

  // The queue of a Unix-domain socket is full, and the system has no event for a free place.
  void ConnectLater() {
    next_ = loop_.RunAfter(kFullQueueDelay, [this] {
      const absl::Status status = Connect();
      if (!status.ok()) Finish(status);
    });
  }

  void OnFdReady(uint32_t events) override {
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
      int error = 0;
      socklen_t size = sizeof error;
      if (getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
      if (error != 0) return Finish(ConnectError(endpoint_, error));
    }
    if ((events & EPOLLOUT) == 0) return loop_.Await(socket_.get(), EPOLLOUT);
    // Dialing a free local port can connect the socket with itself, by chance.
    const Endpoint local = LocalEndpoint(socket_.get());
    const Endpoint peer = endpoint_.IsUnspecified() ? PeerEndpoint(socket_.get()) : endpoint_;
    if (local == peer) return Finish(ConnectError(endpoint_, ECONNREFUSED));
    watched_ = false;
    Finish(TcpTransport::Create(loop_, std::move(socket_), local, peer, events));
  }

  // The last step of a dial: `done_` may destroy it.
  void Finish(absl::StatusOr<std::unique_ptr<Transport>> result) {
    limit_.reset();
    next_.reset();
    if (std::exchange(watched_, false) && socket_.valid()) loop_.Unwatch(socket_.get());
    socket_.Reset();
    Dialer::Callback done = std::move(done_);
    done(std::move(result));
  }

  FdLoop& loop_;
  const Endpoint endpoint_;
  const TcpDialerOptions options_;
  Dialer::Callback done_;
  OwnedFd socket_;
  bool watched_ = false;
  Timer limit_;
  Timer next_;
};

}  // namespace

std::unique_ptr<Dial> TcpDialer::Connect(const Endpoint& endpoint, Callback done) {
  auto dial = std::make_unique<TcpDial>(loop_, endpoint, options_, std::move(done));
  dial->Start();
  return dial;
}

}  // namespace trestle
