#include "trestle/linux/udp_sockets.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "trestle/base/error.h"
#include "trestle/linux/epoll_loop.h"

namespace trestle {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// Reads all that arrives.
class Reader final : public DatagramHandler {
 public:
  explicit Reader(DatagramSocket& socket) : socket_(socket) { socket_.SetHandler(this); }
  ~Reader() { socket_.SetHandler(nullptr); }

  void OnReadable() override {
    while (true) {
      const DatagramResult result = socket_.Receive([this](absl::Span<const Datagram> batch) {
        for (const Datagram& datagram : batch) {
          texts.emplace_back(AsText(datagram.bytes));
          peers.push_back(datagram.peer);
          locals.push_back(datagram.local);
        }
      });
      if (result.state == IoState::kFailed) failures.push_back(socket_.status());
      if (result.state == IoState::kWouldBlock) return;
    }
  }

  std::vector<std::string> texts;
  std::vector<Endpoint> peers;
  std::vector<Endpoint> locals;
  std::vector<absl::Status> failures;

 private:
  DatagramSocket& socket_;
};

class UdpSocketsTest : public ::testing::Test {
 protected:
  std::unique_ptr<DatagramSocket> Bind(const std::string& endpoint) {
    auto made = sockets_.Bind(*Endpoint::Parse(endpoint));
    EXPECT_TRUE(made.ok()) << made.status();
    return *std::move(made);
  }
  std::unique_ptr<DatagramSocket> Connect(const Endpoint& peer) {
    auto made = sockets_.Connect(peer);
    EXPECT_TRUE(made.ok()) << made.status();
    return *std::move(made);
  }

  template <typename Condition>
  void RunUntil(Condition condition) {
    bool timed_out = false;
    const Timer limit = loop_->RunAfter(absl::Seconds(30), [&] { timed_out = true; });
    while (!condition() && !timed_out) loop_->RunTurn(absl::Seconds(1));
    EXPECT_FALSE(timed_out);
  }

  static DatagramResult SendAll(DatagramSocket& socket, const std::vector<std::string>& texts,
                                const Endpoint& peer = {}, const Endpoint& local = {}) {
    std::vector<Datagram> batch;
    for (const std::string& text : texts) batch.push_back({AsBytes(text), peer, local});
    return socket.Send(batch);
  }

  std::unique_ptr<EpollLoop> loop_ = *EpollLoop::Create();
  UdpSockets sockets_{*loop_};
};

TEST_F(UdpSocketsTest, BothWays) {
  const auto server = Bind("127.0.0.1:0");
  Reader at_server(*server);
  const auto client = Connect(server->local_endpoint());
  Reader at_client(*client);
  EXPECT_EQ(SendAll(*client, {"one", "two", ""}).datagrams, 3u);
  RunUntil([&] { return at_server.texts.size() >= 3; });
  EXPECT_THAT(at_server.texts, ElementsAre("one", "two", ""));
  EXPECT_EQ(at_server.peers[0], client->local_endpoint());
  EXPECT_EQ(at_server.locals[0], server->local_endpoint());
  SendAll(*server, {"answer"}, client->local_endpoint());
  RunUntil([&] { return !at_client.texts.empty(); });
  EXPECT_THAT(at_client.texts, ElementsAre("answer"));
  EXPECT_EQ(at_client.peers[0], Endpoint());
  EXPECT_TRUE(client->status().ok());
}

TEST_F(UdpSocketsTest, Ipv6) {
  const auto server = Bind("[::1]:0");
  Reader at_server(*server);
  const auto client = Connect(server->local_endpoint());
  SendAll(*client, {"over IPv6"});
  RunUntil([&] { return !at_server.texts.empty(); });
  EXPECT_EQ(at_server.peers[0], client->local_endpoint());
}

// Datagrams of one size leave as segments where the kernel has them; the last one may be shorter.
TEST_F(UdpSocketsTest, BatchesOfAllShapesArriveAsTheyWere) {
  const auto server = Bind("127.0.0.1:0");
  Reader at_server(*server);
  const auto client = Connect(server->local_endpoint());
  Reader at_client(*client);
  std::vector<std::string> texts;
  for (int i = 0; i < 40; ++i) texts.push_back(std::string(1200, static_cast<char>('a' + i % 26)));
  texts.push_back("a short end");
  texts.push_back(std::string(1300, 'x'));
  for (int i = 0; i < 20; ++i) texts.push_back(std::string(static_cast<size_t>(i), 'y'));
  const DatagramResult result = SendAll(*client, texts);
  EXPECT_EQ(result.datagrams, texts.size());
  EXPECT_EQ(result.state, IoState::kOk);
  RunUntil([&] { return at_server.texts.size() >= texts.size(); });
  EXPECT_EQ(at_server.texts, texts);
  SendAll(*server, texts, client->local_endpoint());
  RunUntil([&] { return at_client.texts.size() >= texts.size(); });
  EXPECT_EQ(at_client.texts, texts);
}

TEST_F(UdpSocketsTest, OneBatchToSeveralPeers) {
  const auto server = Bind("127.0.0.1:0");
  const auto a = Connect(server->local_endpoint());
  const auto b = Connect(server->local_endpoint());
  Reader at_a(*a);
  Reader at_b(*b);
  const Datagram batch[] = {{AsBytes("to a"), a->local_endpoint(), {}},
                            {AsBytes("to b"), b->local_endpoint(), {}},
                            {AsBytes("to a"), a->local_endpoint(), {}}};
  EXPECT_EQ(server->Send(batch).datagrams, 3u);
  RunUntil([&] { return at_a.texts.size() + at_b.texts.size() >= 3; });
  EXPECT_THAT(at_a.texts, ElementsAre("to a", "to a"));
  EXPECT_THAT(at_b.texts, ElementsAre("to b"));
}

TEST_F(UdpSocketsTest, AnswersLeaveFromTheAddressThatWasAsked) {
  for (const auto& [all, asked] : {std::pair("0.0.0.0:0", "127.0.0.2"), {"[::]:0", "[::1]"}}) {
    const auto server = Bind(all);
    Reader at_server(*server);
    const Endpoint address =
        *Endpoint::Parse(absl::StrCat(asked, ":", server->local_endpoint().port()));
    const auto client = Connect(address);
    Reader at_client(*client);
    SendAll(*client, {"question"});
    RunUntil([&] { return !at_server.texts.empty(); });
    ASSERT_THAT(at_server.locals, ElementsAre(address));
    // The connected client hears this address only.
    SendAll(*server, {"answer", "answer"}, client->local_endpoint(), address);
    RunUntil([&] { return at_client.texts.size() >= 2; });
  }
}

TEST_F(UdpSocketsTest, AClosedPortIsAFailure) {
  Endpoint closed;
  { closed = Bind("127.0.0.1:0")->local_endpoint(); }
  const auto client = Connect(closed);
  Reader at_client(*client);
  SendAll(*client, {"into the void"});
  RunUntil([&] { return !at_client.failures.empty(); });
  const std::optional<Error> error = GetError(at_client.failures[0]);
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code, ErrorCode::kTransport);
  EXPECT_THAT(error->detail, HasSubstr(closed.ToString()));
}

TEST_F(UdpSocketsTest, ATooLongDatagramIsLostAlone) {
  const auto server = Bind("127.0.0.1:0");
  Reader at_server(*server);
  const auto client = Connect(server->local_endpoint());
  const DatagramResult result = SendAll(*client, {"before", std::string(70'000, 'x'), "behind"});
  EXPECT_EQ(result.datagrams, 3u);
  RunUntil([&] { return at_server.texts.size() >= 2; });
  EXPECT_THAT(at_server.texts, ElementsAre("before", "behind"));
}

TEST_F(UdpSocketsTest, APortIsClaimedOrJoined) {
  const auto server = Bind("127.0.0.1:0");
  const absl::Status claimed = sockets_.Bind(server->local_endpoint()).status();
  EXPECT_EQ(GetError(claimed)->code, ErrorCode::kConfiguration);
  EXPECT_THAT(std::string(claimed.message()), HasSubstr("in use"));
  UdpSocketOptions join;
  join.port_use = PortUse::kJoin;
  EXPECT_TRUE(sockets_.Bind(server->local_endpoint(), join).ok());
}

TEST_F(UdpSocketsTest, AddressesThatUdpCannotHave) {
  EXPECT_EQ(GetError(sockets_.Bind(Endpoint::Unix("@udp")).status())->code,
            ErrorCode::kConfiguration);
  EXPECT_EQ(GetError(sockets_.Connect(Endpoint::Unix("@udp")).status())->code,
            ErrorCode::kConfiguration);
  EXPECT_FALSE(sockets_.Connect(*Endpoint::Parse("0.0.0.0:1")).ok());
}

TEST_F(UdpSocketsTest, ADestroyedSocketGetsNoCallback) {
  auto server = Bind("127.0.0.1:0");
  Reader* at_server = new Reader(*server);
  const auto client = Connect(server->local_endpoint());
  SendAll(*client, {"x"});
  delete at_server;
  server.reset();
  loop_->RunTurn(absl::ZeroDuration());
}

}  // namespace
}  // namespace trestle
