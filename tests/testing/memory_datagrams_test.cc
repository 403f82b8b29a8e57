#include "trestle/testing/memory_datagrams.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "trestle/base/error.h"
#include "trestle/testing/simulated_loop.h"

namespace trestle::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Endpoint At(const std::string& text) { return *Endpoint::Parse(text); }

// Reads all that arrives at a socket.
class Reader final : public DatagramHandler {
 public:
  explicit Reader(DatagramSocket& socket) : socket_(socket) { socket_.SetHandler(this); }
  ~Reader() { socket_.SetHandler(nullptr); }

  void OnReadable() override {
    ++callbacks;
    DatagramResult result;
    do {
      result = socket_.Receive([this](absl::Span<const Datagram> batch) {
        largest_batch = std::max(largest_batch, batch.size());
        for (const Datagram& datagram : batch) texts.emplace_back(AsText(datagram.bytes));
        last_peer = batch.back().peer;
        last_local = batch.back().local;
      });
      if (result.state == IoState::kFailed) failures.push_back(socket_.status());
    } while (result.state != IoState::kWouldBlock);
  }

  std::vector<std::string> texts;
  std::vector<absl::Status> failures;
  Endpoint last_peer;
  Endpoint last_local;
  int callbacks = 0;
  size_t largest_batch = 0;

 private:
  DatagramSocket& socket_;
};

void SendText(DatagramSocket& socket, const std::string& text, const Endpoint& peer = {},
              const Endpoint& local = {}) {
  const Datagram datagram{AsBytes(text), peer, local};
  const DatagramResult result = socket.Send({&datagram, 1});
  EXPECT_EQ(result.datagrams, 1u);
  EXPECT_EQ(result.state, IoState::kOk);
}

class MemoryDatagramsTest : public ::testing::Test {
 protected:
  // Sends numbered datagrams to the server, and returns what arrived.
  std::vector<std::string> Numbered(int count, uint64_t seed, const DatagramFaults& faults) {
    SimulatedLoop loop(seed);
    MemoryDatagrams network(loop);
    network.SetFaults(faults);
    const auto server = *network.Bind(At("192.0.2.1:443"));
    Reader reader(*server);
    const auto client = *network.Connect(server->local_endpoint());
    for (int i = 0; i < count; ++i) SendText(*client, absl::StrCat(i));
    loop.RunUntilIdle();
    return reader.texts;
  }

  SimulatedLoop loop_;
  MemoryDatagrams network_{loop_};
};

TEST_F(MemoryDatagramsTest, CarriesBothWaysInOrder) {
  const auto server = *network_.Bind(At("192.0.2.1:443"));
  Reader reader(*server);
  const auto client = *network_.Connect(server->local_endpoint());
  Reader client_reader(*client);
  for (int i = 0; i < 40; ++i) SendText(*client, absl::StrCat(i));
  EXPECT_THAT(reader.texts, IsEmpty()) << "nothing arrives inside Send";
  loop_.RunReady();
  ASSERT_EQ(reader.texts.size(), 40u);
  EXPECT_EQ(reader.texts[39], "39");
  EXPECT_LE(reader.largest_batch, 16u);
  EXPECT_EQ(reader.last_peer, client->local_endpoint());
  EXPECT_EQ(reader.last_local, server->local_endpoint());
  SendText(*server, "answer", client->local_endpoint());
  loop_.RunReady();
  EXPECT_THAT(client_reader.texts, ElementsAre("answer"));
  EXPECT_EQ(client_reader.last_peer, Endpoint());
}

TEST_F(MemoryDatagramsTest, OneCallbackForAllThatWaits) {
  const auto server = *network_.Bind(At("192.0.2.1:443"));
  const auto client = *network_.Connect(server->local_endpoint());
  SendText(*client, "a");
  SendText(*client, "b");
  loop_.RunReady();
  Reader reader(*server);
  loop_.RunReady();
  EXPECT_THAT(reader.texts, ElementsAre("a", "b"));
  EXPECT_EQ(reader.callbacks, 1);
}

TEST_F(MemoryDatagramsTest, AConnectedSocketHearsItsPeerOnly) {
  const auto server = *network_.Bind(At("192.0.2.1:443"));
  const auto other = *network_.Bind(At("192.0.2.2:443"));
  const auto client = *network_.Connect(server->local_endpoint());
  Reader reader(*client);
  SendText(*other, "from another", client->local_endpoint());
  SendText(*server, "from the peer", client->local_endpoint());
  loop_.RunReady();
  EXPECT_THAT(reader.texts, ElementsAre("from the peer"));
  EXPECT_EQ(network_.unreachable(), 1u);
}

TEST_F(MemoryDatagramsTest, AllAddresses) {
  const auto server = *network_.Bind(At("0.0.0.0:443"));
  Reader reader(*server);
  const auto client = *network_.Connect(At("192.0.2.7:443"));
  Reader client_reader(*client);
  SendText(*client, "question");
  loop_.RunReady();
  EXPECT_EQ(reader.last_local, At("192.0.2.7:443"));
  SendText(*server, "lost", client->local_endpoint(), At("192.0.2.8:443"));
  SendText(*server, "answer", client->local_endpoint(), At("192.0.2.7:443"));
  loop_.RunReady();
  EXPECT_THAT(client_reader.texts, ElementsAre("answer"));
}

TEST_F(MemoryDatagramsTest, AnAddressInUseIsRefused) {
  const auto server = *network_.Bind(At("192.0.2.1:443"));
  EXPECT_FALSE(network_.Bind(At("192.0.2.1:443")).ok());
  network_.RefuseConnects(true);
  EXPECT_EQ(GetError(network_.Connect(At("192.0.2.1:443")).status())->code, ErrorCode::kOverLimit);
}

TEST_F(MemoryDatagramsTest, AClosedPortFailsOneCall) {
  const auto client = *network_.Connect(At("192.0.2.1:443"));
  Reader reader(*client);
  SendText(*client, "into the void");
  loop_.RunReady();
  ASSERT_EQ(reader.failures.size(), 1u);
  EXPECT_EQ(GetError(reader.failures[0])->code, ErrorCode::kTransport);
  SendText(*client, "again");
  loop_.RunReady();
  EXPECT_EQ(reader.failures.size(), 2u);
}

TEST_F(MemoryDatagramsTest, TheQueueIsBounded) {
  const auto server = *network_.Bind(At("192.0.2.1:443"));
  const auto client = *network_.Connect(server->local_endpoint());
  for (size_t i = 0; i < 2 * MemoryDatagrams::kQueue; ++i) SendText(*client, "x");
  loop_.RunReady();
  Reader reader(*server);
  loop_.RunReady();
  EXPECT_EQ(reader.texts.size(), MemoryDatagrams::kQueue);
}

TEST_F(MemoryDatagramsTest, DestroyedSocketsGetNoCallback) {
  auto server = *network_.Bind(At("192.0.2.1:443"));
  auto client = *network_.Connect(server->local_endpoint());
  SendText(*client, "x");
  client.reset();
  server.reset();
  loop_.RunReady();
  EXPECT_EQ(network_.sockets(), 0u);
  EXPECT_EQ(network_.unreachable(), 1u);
}

TEST_F(MemoryDatagramsTest, LosesAndDuplicates) {
  DatagramFaults faults;
  faults.loss = 0.5;
  const size_t arrived = Numbered(200, 1, faults).size();
  EXPECT_GT(arrived, 50u);
  EXPECT_LT(arrived, 150u);
  faults.loss = 0;
  faults.duplication = 0.5;
  const size_t with_copies = Numbered(100, 1, faults).size();
  EXPECT_GT(with_copies, 125u);
  EXPECT_LT(with_copies, 175u);
}

TEST_F(MemoryDatagramsTest, DelaysAndReordersBySeed) {
  DatagramFaults faults;
  faults.delay = absl::Milliseconds(10);
  faults.jitter = absl::Milliseconds(5);
  const std::vector<std::string> first = Numbered(50, 7, faults);
  EXPECT_EQ(first.size(), 50u);
  std::vector<std::string> in_order;
  for (int i = 0; i < 50; ++i) in_order.push_back(absl::StrCat(i));
  EXPECT_NE(first, in_order);
  EXPECT_EQ(Numbered(50, 7, faults), first);
  EXPECT_NE(Numbered(50, 8, faults), first);
}

TEST_F(MemoryDatagramsTest, FaultsOfOneAddress) {
  const auto server = *network_.Bind(At("192.0.2.1:443"));
  const auto far = *network_.Bind(At("192.0.2.2:443"));
  Reader reader(*server);
  Reader far_reader(*far);
  DatagramFaults faults;
  faults.delay = absl::Milliseconds(100);
  network_.SetFaultsTo(far->local_endpoint(), faults);
  const auto client = *network_.Bind(At("192.0.2.3:1"));
  SendText(*client, "near", server->local_endpoint());
  SendText(*client, "far", far->local_endpoint());
  loop_.RunFor(absl::Milliseconds(99));
  EXPECT_THAT(reader.texts, ElementsAre("near"));
  EXPECT_THAT(far_reader.texts, IsEmpty());
  loop_.RunFor(absl::Milliseconds(1));
  EXPECT_THAT(far_reader.texts, ElementsAre("far"));
}

}  // namespace
}  // namespace trestle::testing
