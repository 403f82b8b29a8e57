#include "trestle/linux/tcp_dialer.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <memory>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/linux/loopback.h"
#include "trestle/linux/tcp_transport.h"

namespace trestle {
namespace {

class TcpDialerTest : public ::testing::Test {
 protected:
  // Starts a dial whose result goes to `status_` and `transport_`.
  std::unique_ptr<Dial> Connect(const Endpoint& endpoint, const TcpDialerOptions& options = {}) {
    calls_ = 0;
    TcpDialer dialer(*loop_, options);
    return dialer.Connect(endpoint, [this](absl::StatusOr<std::unique_ptr<Transport>> result) {
      ++calls_;
      status_ = result.status();
      if (result.ok()) transport_ = *std::move(result);
    });
  }

  bool TurnUntilCalled() {
    return TurnUntil(*loop_, [&] { return calls_ > 0; });
  }

  // Returns a loopback port on which no program listens.
  static Endpoint DeadEndpoint() { return LocalEndpoint(RawListener().get()); }

  std::unique_ptr<EpollLoop> loop_ = *EpollLoop::Create();
  int calls_ = 0;
  absl::Status status_;
  std::unique_ptr<Transport> transport_;
};

TEST_F(TcpDialerTest, DialedSocketsUseKeepaliveIfConfigured) {
  const OwnedFd listener = RawListener();
  TcpDialerOptions options;
  options.keepalive = absl::Minutes(3);
  TcpDialer dialer(*loop_, options);
  std::unique_ptr<Transport> transport;
  const auto dial = dialer.Connect(LocalEndpoint(listener.get()), [&](auto result) {
    ASSERT_TRUE(result.ok()) << result.status();
    transport = *std::move(result);
  });
  ASSERT_TRUE(TurnUntil(*loop_, [&] { return transport != nullptr; }));
  const int fd = static_cast<TcpTransport&>(*transport).fd();
  EXPECT_EQ(SocketOption(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(SocketOption(fd, IPPROTO_TCP, TCP_KEEPIDLE), 180);
  EXPECT_EQ(SocketOption(fd, IPPROTO_TCP, TCP_KEEPINTVL), 45);
}

TEST_F(TcpDialerTest, ConnectsAndCarriesBytes) {
  const OwnedFd listener = RawListener();
  const auto dial = Connect(LocalEndpoint(listener.get()));
  EXPECT_EQ(calls_, 0) << "never from inside Connect";
  ASSERT_TRUE(TurnUntilCalled());
  ASSERT_TRUE(status_.ok()) << status_;
  EXPECT_EQ(transport_->info().peer, LocalEndpoint(listener.get()));
  const OwnedFd far(accept(listener.get(), nullptr, nullptr));
  EXPECT_EQ(transport_->info().local, PeerEndpoint(far.get()));
  const int fd = static_cast<TcpTransport&>(*transport_).fd();
  EXPECT_NE(SocketOption(fd, IPPROTO_TCP, TCP_NODELAY), 0);
  EXPECT_EQ(SocketOption(fd, SOL_SOCKET, SO_KEEPALIVE), 0) << "off by default";

  CountingHandler handler;
  transport_->SetHandler(&handler);
  IoState state;
  EXPECT_EQ(ReadOnce(*transport_, &state), "");
  RawSend(far.get(), "hello");
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return handler.readable == 1; }));
  EXPECT_EQ(ReadOnce(*transport_, &state), "hello");
  Settle(*loop_);
  EXPECT_EQ(calls_, 1);
}

TEST_F(TcpDialerTest, NamesTheEndpointThatRefused) {
  const Endpoint dead = DeadEndpoint();
  const auto dial = Connect(dead);
  EXPECT_EQ(calls_, 0);
  ASSERT_TRUE(TurnUntilCalled());
  EXPECT_EQ(CodeOf(status_), ErrorCode::kTransport);
  EXPECT_EQ(DetailOf(status_), dead.ToString() + " refused the connection");
  Settle(*loop_);
  EXPECT_EQ(calls_, 1);
}

TEST_F(TcpDialerTest, DestroyingTheDialCancelsIt) {
  const OwnedFd listener = RawListener();
  Connect(LocalEndpoint(listener.get())).reset();
  Connect(DeadEndpoint()).reset();
  Connect(Endpoint()).reset();
  Settle(*loop_);
  EXPECT_EQ(calls_, 0);
}

TEST_F(TcpDialerTest, DialMayBeDestroyedInsideItsCallback) {
  const OwnedFd listener = RawListener();
  TcpDialer dialer(*loop_);
  for (const Endpoint& endpoint : {LocalEndpoint(listener.get()), DeadEndpoint(), Endpoint()}) {
    std::unique_ptr<Dial> dial;
    int calls = 0;
    dial = dialer.Connect(endpoint, [&](absl::StatusOr<std::unique_ptr<Transport>> result) {
      dial.reset();
      ++calls;
      transport_ = result.ok() ? *std::move(result) : nullptr;
    });
    EXPECT_TRUE(TurnUntil(*loop_, [&] { return calls == 1; }));
  }
}

TEST_F(TcpDialerTest, FailsAfterItsTimeout) {
  // The queue of this listener is full, so the system drops further attempts silently.
  const OwnedFd listener = RawListener(0);
  const Endpoint silent = LocalEndpoint(listener.get());
  std::vector<OwnedFd> queued;
  queued.push_back(RawClient(silent));
  TcpDialerOptions options;
  options.connect_timeout = absl::Milliseconds(40);
  const auto dial = Connect(silent, options);
  ASSERT_TRUE(TurnUntilCalled());
  EXPECT_EQ(CodeOf(status_), ErrorCode::kTimeout) << status_;
  EXPECT_EQ(DetailOf(status_), silent.ToString() + " did not answer within 40ms");
}

TEST_F(TcpDialerTest, ReportsThatDescriptorsRanOut) {
  const OwnedFd listener = RawListener();
  DescriptorFamine famine;
  const auto failing = Connect(LocalEndpoint(listener.get()));
  EXPECT_EQ(calls_, 0);
  ASSERT_TRUE(TurnUntilCalled());
  EXPECT_EQ(CodeOf(status_), ErrorCode::kOverLimit) << "not a fault of the peer";
  EXPECT_EQ(DetailOf(status_), "cannot connect to " + LocalEndpoint(listener.get()).ToString() +
                                   ": Too many open files");
  famine.Release(1);
  const auto working = Connect(LocalEndpoint(listener.get()));
  ASSERT_TRUE(TurnUntilCalled());
  EXPECT_TRUE(status_.ok()) << status_;
}

TEST_F(TcpDialerTest, RejectsAnEmptyEndpoint) {
  const auto dial = Connect(Endpoint());
  EXPECT_EQ(calls_, 0);
  ASSERT_TRUE(TurnUntilCalled());
  EXPECT_EQ(DetailOf(status_), "there is no address to connect to");
}

TEST_F(TcpDialerTest, DialsIpv6OrReportsThatThereIsNone) {
  const Endpoint loopback = *Endpoint::Parse("[::1]:0");
  if (!HasIpv6Loopback()) {
    const auto dial = Connect(*Endpoint::Parse("[::1]:9"));
    ASSERT_TRUE(TurnUntilCalled());
    EXPECT_EQ(CodeOf(status_), ErrorCode::kTransport);
    return;
  }
  const OwnedFd listener = RawListener(16, loopback);
  const auto dial = Connect(LocalEndpoint(listener.get()));
  ASSERT_TRUE(TurnUntilCalled());
  ASSERT_TRUE(status_.ok()) << status_;
  EXPECT_EQ(transport_->info().peer, LocalEndpoint(listener.get()));
}

}  // namespace
}  // namespace trestle
