#include "trestle/linux/tcp_listener.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/linux/loopback.h"
#include "trestle/linux/tcp_transport.h"

namespace trestle {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;

using Connections = std::vector<std::unique_ptr<Transport>>;

class TcpListenerTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<TcpListener>> TryListen(const Endpoint& endpoint,
                                                         Connections& connections,
                                                         const TcpListenerOptions& options = {}) {
    return TcpListener::Create(
        *loop_, endpoint,
        [&connections](std::unique_ptr<Transport> connection) {
          connections.push_back(std::move(connection));
        },
        options);
  }

  std::unique_ptr<TcpListener> Listen(const Endpoint& endpoint, Connections& connections,
                                      const TcpListenerOptions& options = {}) {
    auto listener = TryListen(endpoint, connections, options);
    EXPECT_TRUE(listener.ok()) << listener.status();
    return listener.ok() ? *std::move(listener) : nullptr;
  }

  absl::Status ListenStatus(const Endpoint& endpoint, PortUse use = PortUse::kClaim) {
    Connections none;
    TcpListenerOptions options;
    options.port_use = use;
    return TryListen(endpoint, none, options).status();
  }

  // Connects `count` clients; they stay open until the test ends.
  void AddClients(const Endpoint& endpoint, int count) {
    for (int i = 0; i < count; ++i) {
      clients_.push_back(RawClient(endpoint));
      ASSERT_TRUE(clients_.back().valid());
    }
  }

  bool TurnUntilCount(const Connections& connections, size_t count) {
    return TurnUntil(*loop_, [&] { return connections.size() >= count; });
  }

  std::unique_ptr<EpollLoop> loop_ = *EpollLoop::Create();
  Connections connections_;
  std::vector<OwnedFd> clients_;
};

TEST_F(TcpListenerTest, ChoosesAPortAndAccepts) {
  const auto listener = Listen(Loopback(), connections_);
  EXPECT_NE(listener->local_endpoint().port(), 0);
  AddClients(listener->local_endpoint(), 1);
  ASSERT_TRUE(TurnUntilCount(connections_, 1));
  const TransportInfo info = connections_[0]->info();
  EXPECT_EQ(info.local, listener->local_endpoint());
  EXPECT_EQ(info.peer, LocalEndpoint(clients_[0].get()));
  EXPECT_EQ(listener->accepted(), 1u);
  EXPECT_EQ(listener->failures(), 0u);
}

TEST_F(TcpListenerTest, OnAllAddressesConnectionsReportTheirOwn) {
  const auto listener = Listen(*Endpoint::Parse("0.0.0.0:0"), connections_);
  const Endpoint loopback = Loopback(listener->local_endpoint().port());
  AddClients(loopback, 1);
  ASSERT_TRUE(TurnUntilCount(connections_, 1));
  EXPECT_EQ(connections_[0]->info().local, loopback);
  EXPECT_EQ(connections_[0]->info().peer, LocalEndpoint(clients_[0].get()));
}

TEST_F(TcpListenerTest, AcceptedSocketsHaveTheirOptions) {
  const auto listener = Listen(Loopback(), connections_);
  AddClients(listener->local_endpoint(), 1);
  ASSERT_TRUE(TurnUntilCount(connections_, 1));
  const int fd = static_cast<TcpTransport&>(*connections_[0]).fd();
  EXPECT_NE(SocketOption(fd, IPPROTO_TCP, TCP_NODELAY), 0);
  EXPECT_NE(SocketOption(fd, SOL_SOCKET, SO_OOBINLINE), 0);
  EXPECT_EQ(SocketOption(fd, SOL_SOCKET, SO_KEEPALIVE), 0) << "off by default";
  EXPECT_NE(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
}

TEST_F(TcpListenerTest, AcceptedSocketsUseKeepaliveIfConfigured) {
  TcpListenerOptions options;
  options.keepalive = absl::Minutes(3);
  const auto listener = Listen(Loopback(), connections_, options);
  AddClients(listener->local_endpoint(), 1);
  ASSERT_TRUE(TurnUntilCount(connections_, 1));
  const int fd = static_cast<TcpTransport&>(*connections_[0]).fd();
  EXPECT_EQ(SocketOption(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(SocketOption(fd, IPPROTO_TCP, TCP_KEEPIDLE), 180);
  EXPECT_EQ(SocketOption(fd, IPPROTO_TCP, TCP_KEEPINTVL), 45);
  EXPECT_EQ(SocketOption(fd, IPPROTO_TCP, TCP_KEEPCNT), 4);
}

TEST_F(TcpListenerTest, ABatchIsBoundedAndTheRestFollows) {
  TcpListenerOptions options;
  options.accept_batch = 4;
  const auto listener = Listen(Loopback(), connections_, options);
  AddClients(listener->local_endpoint(), 10);
  size_t before = 0;
  size_t most_in_a_turn = 0;
  EXPECT_TRUE(TurnUntil(*loop_, [&] {
    most_in_a_turn = std::max(most_in_a_turn, connections_.size() - before);
    before = connections_.size();
    return before == 10;
  }));
  // The timer for the rest runs after the descriptors, so the first turn has two batches.
  EXPECT_LE(most_in_a_turn, 8u);
}

TEST_F(TcpListenerTest, ReportsThatThePortIsInUse) {
  const OwnedFd other = RawListener();
  const Endpoint endpoint = LocalEndpoint(other.get());
  for (const PortUse use : {PortUse::kClaim, PortUse::kJoin}) {
    const absl::Status status = ListenStatus(endpoint, use);
    EXPECT_EQ(CodeOf(status), ErrorCode::kConfiguration);
    EXPECT_EQ(DetailOf(status), endpoint.ToString() + " is in use by another program");
  }
}

TEST_F(TcpListenerTest, ClaimFailsEvenIfTheOtherListenerShares) {
  const auto listener = Listen(Loopback(), connections_);
  EXPECT_EQ(DetailOf(ListenStatus(listener->local_endpoint())),
            listener->local_endpoint().ToString() + " is in use by another program");
  TcpListenerOptions join;
  join.port_use = PortUse::kJoin;
  const auto alone = Listen(Loopback(), connections_, join);
  EXPECT_EQ(CodeOf(ListenStatus(alone->local_endpoint())), ErrorCode::kConfiguration);
}

TEST_F(TcpListenerTest, ConnectionsSpreadOverJoinedListeners) {
  Connections connections[3];
  std::vector<std::unique_ptr<TcpListener>> listeners;
  listeners.push_back(Listen(Loopback(), connections[0]));
  const Endpoint endpoint = listeners[0]->local_endpoint();
  TcpListenerOptions join;
  join.port_use = PortUse::kJoin;
  for (int i = 1; i < 3; ++i) listeners.push_back(Listen(endpoint, connections[i], join));
  AddClients(endpoint, 200);
  const auto total = [&] {
    return connections[0].size() + connections[1].size() + connections[2].size();
  };
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return total() == 200; }));
  // By the system's hash: 67 each on average, and 20 is 7 standard deviations away from that.
  for (const Connections& share : connections) EXPECT_GT(share.size(), 20u);
}

TEST_F(TcpListenerTest, RestartsOverOldConnections) {
  auto listener = Listen(Loopback(), connections_);
  const Endpoint endpoint = listener->local_endpoint();
  AddClients(endpoint, 1);
  ASSERT_TRUE(TurnUntilCount(connections_, 1));
  // This side closes first, so that the old connection stays in FIN_WAIT or TIME_WAIT.
  connections_.clear();
  clients_.clear();
  listener.reset();
  EXPECT_NE(Listen(endpoint, connections_), nullptr);
}

TEST_F(TcpListenerTest, ReportsThatTheAddressIsForeignOrMissing) {
  EXPECT_EQ(DetailOf(ListenStatus(*Endpoint::Parse("192.0.2.1:4433"))),
            "192.0.2.1:4433 is not an address of this machine");
  EXPECT_EQ(CodeOf(ListenStatus(Endpoint())), ErrorCode::kConfiguration);
}

TEST_F(TcpListenerTest, StopMayBeCalledInsideTheCallback) {
  std::unique_ptr<TcpListener> listener;
  int accepted = 0;
  listener = *TcpListener::Create(*loop_, Loopback(), [&](std::unique_ptr<Transport>) {
    ++accepted;
    listener->Stop();
  });
  AddClients(listener->local_endpoint(), 3);
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return accepted > 0; }));
  Settle(*loop_);
  EXPECT_EQ(accepted, 1);
  EXPECT_FALSE(RawClient(listener->local_endpoint()).valid());
}

TEST_F(TcpListenerTest, MayBeDestroyedInsideTheCallback) {
  std::unique_ptr<TcpListener> listener;
  int accepted = 0;
  listener = *TcpListener::Create(*loop_, Loopback(),
                                  [&, text = std::string(100, 'x')](std::unique_ptr<Transport>) {
                                    listener.reset();
                                    accepted += static_cast<int>(text.size()) / 100;
                                  });
  AddClients(listener->local_endpoint(), 3);
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return accepted > 0; }));
  Settle(*loop_);
  EXPECT_EQ(accepted, 1);
}

TEST_F(TcpListenerTest, PausesWithoutDescriptorsAndThenContinues) {
  TcpListenerOptions options;
  options.retry_delay = absl::Milliseconds(10);
  const auto listener = Listen(Loopback(), connections_, options);
  const SocketAddress address(listener->local_endpoint());
  for (int i = 0; i < 5; ++i) {
    clients_.push_back(OpenStreamSocket(Endpoint::Family::kIpv4));
    SetBlocking(clients_.back().get());
  }
  DescriptorFamine famine;
  for (const OwnedFd& client : clients_) {
    ASSERT_EQ(connect(client.get(), address.get(), address.size), 0);
  }
  int turns = 0;
  std::string failure;
  listener->SetFailureCallback([&](const absl::Status& status) { failure = DetailOf(status); });
  while (listener->failures() < 5 && turns < 100000) {
    loop_->RunTurn(absl::InfiniteDuration());
    ++turns;
  }
  EXPECT_LE(turns, 15) << "the loop spins";
  EXPECT_TRUE(connections_.empty());
  EXPECT_EQ(failure, "cannot accept a connection: Too many open files");
  famine.Release(5);
  EXPECT_TRUE(TurnUntilCount(connections_, 5));
}

// Makes epoll_ctl(2) fail in the calling thread from now on, as at the user's limit of watches.
void RefuseToWatch() {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_epoll_ctl, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSPC),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program = {sizeof filter / sizeof filter[0], filter};
  ASSERT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0) << errno;
  ASSERT_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0) << errno;
}

TEST_F(TcpListenerTest, ASocketThatCannotBeWatchedIsReported) {
  std::thread([this] {
    const auto listener = Listen(Loopback(), connections_);
    std::string failure;
    listener->SetFailureCallback([&](const absl::Status& status) { failure = DetailOf(status); });
    AddClients(listener->local_endpoint(), 1);
    RefuseToWatch();
    EXPECT_TRUE(TurnUntil(*loop_, [&] { return listener->failures() == 1; }));
    EXPECT_EQ(failure, "cannot watch a descriptor: No space left on device");
    EXPECT_TRUE(connections_.empty());
    char byte;
    SetBlocking(clients_[0].get());
    EXPECT_EQ(recv(clients_[0].get(), &byte, 1, 0), 0) << "the client is not left waiting";
  }).join();
}

TEST_F(TcpListenerTest, ListensOnIpv6OrReportsThatThereIsNone) {
  const Endpoint loopback = *Endpoint::Parse("[::1]:0");
  if (!HasIpv6Loopback()) {
    EXPECT_EQ(CodeOf(ListenStatus(loopback)), ErrorCode::kConfiguration);
    return;
  }
  const auto listener = Listen(loopback, connections_);
  AddClients(listener->local_endpoint(), 1);
  ASSERT_TRUE(TurnUntilCount(connections_, 1));
  EXPECT_EQ(connections_[0]->info().peer, LocalEndpoint(clients_[0].get()));
}

TEST_F(TcpListenerTest, Ipv6LeavesTheIpv4PortFree) {
  if (!HasIpv6Loopback()) {
    EXPECT_EQ(CodeOf(ListenStatus(*Endpoint::Parse("[::]:0"))), ErrorCode::kConfiguration);
    return;
  }
  const auto ipv6 = Listen(*Endpoint::Parse("[::]:0"), connections_);
  const Endpoint any = *Endpoint::Parse("0.0.0.0:0");
  EXPECT_TRUE(ListenStatus(Endpoint(any.address(), ipv6->local_endpoint().port())).ok());
}

TEST_F(TcpListenerTest, ReportsItsReachableAddresses) {
  const auto one = Listen(*Endpoint::Parse("127.0.0.1:0"), connections_);
  EXPECT_THAT(one->Addresses(), ElementsAre(one->local_endpoint()));
  std::vector<std::pair<const char*, const char*>> kinds = {{"0.0.0.0:0", "127.0.0.1"}};
  if (HasIpv6Loopback()) kinds.push_back({"[::]:0", "[::1]"});
  for (const auto& [all, loopback] : kinds) {
    const auto listener = Listen(*Endpoint::Parse(all), connections_);
    const std::vector<Endpoint> addresses = listener->Addresses();
    EXPECT_EQ(addresses.front(), listener->local_endpoint());
    const uint16_t port = listener->local_endpoint().port();
    EXPECT_THAT(addresses, Contains(*Endpoint::Parse(absl::StrCat(loopback, ":", port))));
    for (const Endpoint& address : addresses) {
      EXPECT_EQ(address.port(), port) << address.ToString();
      EXPECT_EQ(address.family(), addresses.front().family()) << address.ToString();
    }
  }
}

TEST_F(TcpListenerTest, RetiringAcceptsPendingClientsAndLeavesNewOnesToTheSuccessor) {
  std::unique_ptr<TcpListener> old = Listen(Loopback(), connections_);
  const Endpoint endpoint = old->local_endpoint();
  constexpr size_t kClients = 16;
  AddClients(endpoint,
             kClients);  // The system has connected them; no listener has accepted them yet.
  Connections taken_over;
  TcpListenerOptions join;
  join.port_use = PortUse::kJoin;
  const auto successor = Listen(endpoint, taken_over, join);
  bool retired = false;
  old->Retire([&] {
    retired = true;
    old.reset();
  });
  // About half of these reach the old listener, which must not answer.
  const SocketAddress address(endpoint);
  for (size_t i = 0; i < kClients; ++i) {
    clients_.push_back(OpenStreamSocket(Endpoint::Family::kIpv4));
    EXPECT_NE(connect(clients_.back().get(), address.get(), address.size), 0);
  }
  EXPECT_TRUE(TurnUntilCount(taken_over, kClients));
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return retired; }));
  EXPECT_EQ(connections_.size(), kClients);
  EXPECT_EQ(taken_over.size(), kClients);
  // A connection that was accepted late works like any other.
  char byte = 0;
  EXPECT_EQ(connections_.back()->Write(AsBytes("x")).bytes, 1u);
  SetBlocking(clients_[kClients - 1].get());
  EXPECT_EQ(recv(clients_[kClients - 1].get(), &byte, 1, 0), 1);
}

TEST_F(TcpListenerTest, ARetiringListenerMayBeDestroyed) {
  auto listener = Listen(Loopback(), connections_);
  listener->Retire([] { FAIL() << "called after its destruction"; });
  listener.reset();
  TcpListenerOptions options;
  options.retire_time = absl::Milliseconds(1);
  listener = Listen(Loopback(), connections_, options);
  bool retired = false;
  listener->Stop();
  listener->Retire([&] { retired = true; });
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return retired; })) << "also after Stop";
}

}  // namespace
}  // namespace trestle
