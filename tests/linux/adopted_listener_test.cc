// Listeners on sockets that listen already, and that other processes share.

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/linux/loopback.h"
#include "trestle/linux/tcp_listener.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;

class AdoptedListenerTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<TcpListener>> Adopt(int fd) { return Adopt(fd, *loop_); }

  absl::StatusOr<std::unique_ptr<TcpListener>> Adopt(int fd, EpollLoop& loop) {
    return TcpListener::Adopt(loop, OwnedFd(dup(fd)), [this](std::unique_ptr<Transport> client) {
      connections_.push_back(std::move(client));
    });
  }

  bool TurnUntilCount(size_t count) {
    return TurnUntil(*loop_, [&] { return connections_.size() >= count; });
  }

  const OwnedFd passed_ = RawListener();
  const Endpoint address_ = LocalEndpoint(passed_.get());
  std::unique_ptr<EpollLoop> loop_ = *EpollLoop::Create();
  std::vector<std::unique_ptr<Transport>> connections_;
};

TEST_F(AdoptedListenerTest, AcceptsWithTheOptionsOfOwnListeners) {
  const auto listener = Adopt(passed_.get());
  ASSERT_TRUE(listener.ok()) << listener.status();
  EXPECT_EQ((*listener)->local_endpoint(), address_);
  const OwnedFd client = RawClient(address_);
  ASSERT_TRUE(TurnUntilCount(1));
  const int fd = static_cast<TcpTransport&>(*connections_[0]).fd();
  EXPECT_NE(SocketOption(fd, IPPROTO_TCP, TCP_NODELAY), 0);
  EXPECT_NE(SocketOption(fd, SOL_SOCKET, SO_OOBINLINE), 0);
  EXPECT_NE(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
}

TEST_F(AdoptedListenerTest, ARetiredOneLeavesClientsToTheNext) {
  auto first = Adopt(passed_.get());
  ASSERT_TRUE(first.ok()) << first.status();
  const auto shared = TcpListener::Share(
      *loop_, **first, [](std::unique_ptr<Transport>) { FAIL() << "no client came"; });
  ASSERT_TRUE(shared.ok()) << shared.status();
  const OwnedFd client = RawClient(address_);
  int retired = 0;
  (*first)->Retire([&] { ++retired; });
  (*shared)->Retire([&] { ++retired; });
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return retired == 2; }));
  EXPECT_EQ(connections_.size(), 0u) << "the client waits";
  first->reset();
  // The next process, which has its own loop, gets this client, and others.
  const auto next_loop = *EpollLoop::Create();
  const auto next = Adopt(passed_.get(), *next_loop);
  ASSERT_TRUE(next.ok()) << next.status();
  const OwnedFd another = RawClient(address_);
  EXPECT_TRUE(TurnUntil(*next_loop, [&] { return connections_.size() == 2; }));
  connections_.clear();
}

TEST_F(AdoptedListenerTest, OtherDescriptorsAreRefused) {
  const OwnedFd bound(socket(AF_INET, SOCK_STREAM, 0));
  const OwnedFd datagrams(socket(AF_INET, SOCK_DGRAM, 0));
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  const OwnedFd read_end(pipe_ends[0]);
  const OwnedFd write_end(pipe_ends[1]);
  for (const int fd : {bound.get(), datagrams.get(), read_end.get(), -1}) {
    const auto listener = Adopt(fd);
    EXPECT_EQ(CodeOf(listener.status()), ErrorCode::kConfiguration);
    EXPECT_THAT(DetailOf(listener.status()), HasSubstr("is no listening socket"));
  }
}

}  // namespace
}  // namespace trestle
