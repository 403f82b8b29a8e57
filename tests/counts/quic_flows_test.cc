// What QUIC flows may cost, as counts: memory for each, and the memory that a flood of spoofed
// Initials can take. Bounds; never times. Sanitizers have a malloc of their own: with them nothing
// is counted, and the bounds hold.
#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "bench/support/allocation_counter.h"
#include "gtest/gtest.h"
#include "trestle/proxy/quic_passthrough_router.h"
#include "trestle/proxy/route_table.h"
#include "trestle/testing/quic_hello_kit.h"
#include "trestle/testing/simulated_loop.h"

namespace trestle::bench {
namespace {

// Beside the kernel's sockets, and 16 bytes for each descriptor in EpollLoop.
constexpr double kMostBytesPerFlow = 400;
constexpr size_t kFlows = 100'000;
constexpr size_t kSpoofed = 1'000'000;
// 10,000 flows without a proven client, and 65,536 networks with a budget of new flows.
constexpr int64_t kMostBytesOfAFlood = 24 << 20;

// As many bytes as a socket of UdpSockets has.
constexpr size_t kUdpSocketBytes = 56;

// Hands over what the test puts in, and forgets what is sent.
class StubSocket : public DatagramSocket {
 public:
  DatagramResult Receive(absl::FunctionRef<void(absl::Span<const Datagram>)> take) override {
    const std::vector<Datagram> batch = std::exchange(Waiting(), {});
    if (!batch.empty()) take(batch);
    return {batch.size(), IoState::kWouldBlock};
  }
  DatagramResult Send(absl::Span<const Datagram> batch) override {
    return {batch.size(), IoState::kOk};
  }
  void SetHandler(DatagramHandler* handler) override { handler_ = handler; }
  absl::Status status() const override { return absl::OkStatus(); }
  Endpoint local_endpoint() const override { return {}; }

  void Deliver(const Datagram& datagram) {
    Waiting().push_back(datagram);
    handler_->OnReadable();
  }

 private:
  static std::vector<Datagram>& Waiting() {
    static auto* const waiting = new std::vector<Datagram>();
    return *waiting;
  }

  DatagramHandler* handler_ = nullptr;
  [[maybe_unused]] std::array<char,
                              kUdpSocketBytes - sizeof(DatagramSocket) - sizeof(DatagramHandler*)>
      rest_;
};

class StubDialer final : public DatagramDialer {
 public:
  absl::StatusOr<std::unique_ptr<DatagramSocket>> Connect(const Endpoint&) override {
    auto socket = std::make_unique<StubSocket>();
    last = socket.get();
    return socket;
  }
  StubSocket* last = nullptr;
};

class QuicFlowsTest : public ::testing::Test {
 protected:
  void StartRouter() {
    options_.routes = *RouteTable::Create({{"app.example.org", *Endpoint::Parse("192.0.2.1:443")}});
    options_.flows.flows = 2 * kFlows;
    auto front = std::make_unique<StubSocket>();
    front_ = front.get();
    router_ = *QuicPassthroughRouter::Create(loop_, std::move(front), dialer_, options_);
    loop_.RunReady();
    const std::string message = testing::QuicHello("app.example.org").Message();
    initial_ = testing::QuicInitialDatagram(header_, testing::QuicCryptoFrame(0, message));
    testing::QuicInitialHeader answer;
    answer.destination_id = header_.source_id;
    answer.source_id = "backend1";
    answer.key_id = header_.destination_id;
    answer.from_server = true;
    answer_ = testing::QuicInitialDatagram(answer, testing::QuicCryptoFrame(0, "server"));
    header_.destination_id = answer.source_id;
    proof_ = testing::QuicOpaquePacket(QuicPacketType::kHandshake, header_, 60);
  }

  // Each is a network of its own.
  static Endpoint ClientOf(uint32_t number) {
    const std::array<uint8_t, 4> address = {10, static_cast<uint8_t>(number >> 16),
                                            static_cast<uint8_t>(number >> 8),
                                            static_cast<uint8_t>(number)};
    return Endpoint(ByteView(address.data(), address.size()), 4433);
  }

  void SendInitial(const Endpoint& client) { front_->Deliver({AsBytes(initial_), client, local_}); }

  void OpenProven(const Endpoint& client) {
    SendInitial(client);
    dialer_.last->Deliver({AsBytes(answer_), {}, {}});
    front_->Deliver({AsBytes(proof_), client, local_});
  }

  testing::SimulatedLoop loop_;
  StubDialer dialer_;
  QuicPassthroughRouterOptions options_;
  StubSocket* front_ = nullptr;
  std::unique_ptr<QuicPassthroughRouter> router_;
  testing::QuicInitialHeader header_;
  std::string initial_;
  std::string answer_;
  std::string proof_;
  const Endpoint local_ = *Endpoint::Parse("192.0.2.100:443");
};

TEST_F(QuicFlowsTest, MemoryPerFlow) {
  options_.flows.new_flows_per_second_per_client = 0;  // Budgets are bounded, and no flow's own.
  StartRouter();
  const int64_t before = BytesAllocatedNow();
  for (uint32_t i = 0; i < kFlows; ++i) {
    OpenProven(ClientOf(i));
    if (i % 100 == 0) loop_.RunReady();
  }
  ASSERT_EQ(router_->proven_flows(), kFlows);
  EXPECT_EQ(router_->held_bytes(), 0u);
  const double bytes = static_cast<double>(BytesAllocatedNow() - before) / kFlows;
  RecordProperty("bytes_per_flow", std::to_string(bytes));
  EXPECT_LE(bytes, kMostBytesPerFlow);
}

TEST_F(QuicFlowsTest, AFloodOfSpoofedInitialsEndsNoProvenFlow) {
  constexpr uint32_t kLive = 1000;
  StartRouter();
  for (uint32_t i = 0; i < kLive; ++i) OpenProven(ClientOf(i));
  const int64_t before = BytesAllocatedNow();
  int64_t most = 0;
  for (uint32_t i = 0; i < kSpoofed; ++i) {
    SendInitial(ClientOf((1 << 20) + i));
    if (i % 100 != 0) continue;
    loop_.RunFor(absl::Microseconds(100));  // A million a second.
    most = std::max(most, BytesAllocatedNow() - before);
  }
  EXPECT_EQ(router_->proven_flows(), kLive);
  EXPECT_LE(router_->flows(), kLive + options_.flows.unproven_flows);
  RecordProperty("most_bytes_of_a_flood", std::to_string(most));
  EXPECT_LE(most, kMostBytesOfAFlood);
}

}  // namespace
}  // namespace trestle::bench
