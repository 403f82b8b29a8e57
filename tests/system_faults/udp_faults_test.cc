// Each system call of UDP sockets fails in turn. Datagrams may be lost; the loop doesn't spin, the
// bound socket stays usable, and a failure has a typed error.
#include <iostream>
#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "tests/linux/loopback.h"
#include "tests/system_faults/system_faults.h"
#include "trestle/linux/udp_sockets.h"

namespace trestle {
namespace {

constexpr int kMostTurns = 20;
constexpr size_t kMaxPlaces = 10;

// Sends back or counts what arrives.
class Reader final : public DatagramHandler {
 public:
  Reader(DatagramSocket& socket, bool echo) : socket_(socket), echo_(echo) {
    socket_.SetHandler(this);
  }
  ~Reader() { socket_.SetHandler(nullptr); }

  void OnReadable() override {
    while (true) {
      ++calls;
      const DatagramResult result =
          socket_.Receive([this](absl::Span<const Datagram> batch) { Take(batch); });
      if (result.state == IoState::kWouldBlock) return;
      if (result.state != IoState::kFailed) continue;
      ++failures;
      EXPECT_TRUE(GetError(socket_.status()).has_value());
    }
  }

  size_t calls = 0;
  size_t datagrams = 0;
  size_t failures = 0;

 private:
  void Take(absl::Span<const Datagram> batch) {
    datagrams += batch.size();
    if (echo_) socket_.Send(batch);
  }

  DatagramSocket& socket_;
  const bool echo_;
};

class Scene {
 public:
  // False if a socket can't be opened; the error is checked.
  bool Open() {
    auto server = sockets_.Bind(*Endpoint::Parse("0.0.0.0:0"), {});
    if (!Opened(server.status())) return false;
    server_ = *std::move(server);
    auto client = sockets_.Connect(Loopback(server_->local_endpoint().port()));
    if (!Opened(client.status())) return false;
    client_ = *std::move(client);
    at_server_ = std::make_unique<Reader>(*server_, true);
    at_client_ = std::make_unique<Reader>(*client_, false);
    return true;
  }

  // Sends `count` datagrams and waits for their echoes. Returns whether all came.
  bool Exchange(size_t count) {
    const size_t wanted = at_client_->datagrams + count;
    std::vector<Datagram> batch;
    for (size_t i = 0; i < count; ++i) batch.push_back({AsBytes("hello"), Endpoint(), Endpoint()});
    client_->Send(batch);
    for (int turn = 0; turn < kMostTurns && at_client_->datagrams < wanted; ++turn) {
      loop_->RunTurn(absl::Milliseconds(1));
    }
    return at_client_->datagrams == wanted;
  }

  size_t receive_calls() const { return at_server_->calls + at_client_->calls; }

 private:
  static bool Opened(const absl::Status& status) {
    EXPECT_TRUE(status.ok() || GetError(status).has_value()) << status;
    return status.ok();
  }

  const std::unique_ptr<EpollLoop> loop_ = *EpollLoop::Create();
  UdpSockets sockets_{*loop_};
  std::unique_ptr<DatagramSocket> server_;
  std::unique_ptr<DatagramSocket> client_;
  std::unique_ptr<Reader> at_server_;
  std::unique_ptr<Reader> at_client_;
};

void RunWith(const Fault& fault) {
  SCOPED_TRACE(::testing::PrintToString(fault));
  const size_t descriptors = OpenDescriptors();
  {
    Scene scene;
    {
      const InjectedFault injected(fault);
      if (!scene.Open()) return;
      for (int i = 0; i < 3; ++i) scene.Exchange(5);
    }
    EXPECT_LT(scene.receive_calls(), 100u) << "it spins";
    // Late echoes of before don't count as those of the last exchange.
    scene.Exchange(1);
    EXPECT_TRUE(scene.Exchange(3)) << "the sockets are of no use after the fault";
  }
  EXPECT_EQ(OpenDescriptors(), descriptors);
}

TEST(UdpFaultsTest, NoFaultOfTheSystemStopsASocket) {
  const auto counts = CountCalls([] {
    Scene scene;
    ASSERT_TRUE(scene.Open());
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(scene.Exchange(5));
  });
  for (const char* call : {"socket", "bind", "connect", "setsockopt", "recvmmsg", "sendmmsg"}) {
    EXPECT_GT(counts.count(call), 0u) << call << " is not reached";
  }
  const size_t faults = ForEachFault(counts, kMaxPlaces, [](const Fault& fault) {
    if (!::testing::Test::HasFailure()) RunWith(fault);
  });
  EXPECT_GT(faults, 100u);
  std::cout << faults << " faults\n";
}

}  // namespace
}  // namespace trestle
