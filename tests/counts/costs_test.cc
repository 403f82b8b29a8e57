// Bounds on the cost of connections, as counts and never as times: allocations for each handshake
// and record, and memory for each idle connection. Sanitizers have their own malloc; with them
// nothing is counted, and the bounds hold.
#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "bench/support/allocation_counter.h"
#include "bench/support/bare_tls.h"
#include "bench/support/hot_loop.h"
#include "bench/support/server_side.h"
#include "bench/support/wire.h"
#include "gtest/gtest.h"
#include "trestle/base/endpoint.h"
#include "trestle/proxy/route_table.h"
#include "trestle/proxy/sni_passthrough_router.h"
#include "trestle/proxy/tls_bridge.h"
#include "trestle/proxy/tls_terminator.h"
#include "trestle/testing/test_pki.h"

namespace trestle::bench {
namespace {

constexpr int kConnections = 64;
constexpr int kRecords = 256;

// Allocations of Trestle for one connection, in addition to BoringSSL's. One is for the timer that
// sends the tickets if no request comes.
constexpr double kMostAllocationsAroundAHandshake = 21;
// BoringSSL's buffer for opening or sealing a record.
constexpr double kMostAllocationsPerRecord = 1.2;

// Heap of an idle connection in total; about a tenth above the value when this was written.
constexpr double kMostBytesIdleTerminator = 6'500;
constexpr double kMostBytesIdleBridge = 11'200;
constexpr double kMostBytesIdleRouter = 2'600;

constexpr int64_t kNow = 1'800'000'000;
constexpr char kName[] = "bench.test";  // The name that the clients of bench/support request.

const testing::TestPki& Pki() {
  static const auto* const pki = new testing::TestPki(absl::FromUnixSeconds(kNow));
  return *pki;
}

std::shared_ptr<const Credential> NewCredential() {
  testing::LeafSpec leaf;
  leaf.dns_names = {kName};
  return Pki().IssueCredential(leaf);
}

// The wires on both sides of a block, for one connection.
struct Path {
  explicit Path(HotLoop& loop) : front(loop), back(loop) {}
  Wire front;
  Wire back;
};

// Dials the path of the connection that is being opened.
class PathDialer final : public Dialer {
 public:
  explicit PathDialer(HotLoop& loop) : loop_(loop) {}
  std::unique_ptr<Dial> Connect(const Endpoint& /*endpoint*/, Callback done) override {
    loop_.PostFromAnyThread(
        [wire = wire, done = std::move(done)]() mutable { done(wire->NewEnd()); });
    return std::make_unique<Dial>();
  }
  Wire* wire = nullptr;

 private:
  HotLoop& loop_;
};

class CostsTest : public ::testing::Test {
 protected:
  std::shared_ptr<const ServerTlsConfig> NewServerConfig() {
    ServerTlsOptions options;
    options.certificates = *CertificateStore::Create({credential_}, loop_.Now());
    options.parameters.groups = groups_;
    return *ServerTlsConfig::Create(std::move(options));
  }

  std::unique_ptr<ProxyBlock> NewTerminator() {
    TlsTerminatorOptions options;
    options.front_tls = NewServerConfig();
    options.backend = backend_;
    return *TlsTerminator::Create(loop_, dialer_, std::move(options));
  }

  std::unique_ptr<ProxyBlock> NewBridge() {
    ClientTlsOptions client;
    client.ca_pem = Pki().ca_pem();
    client.parameters.groups = groups_;
    TlsBridgeOptions options;
    options.front_tls = NewServerConfig();
    options.back_tls = *ClientTlsConfig::Create(std::move(client));
    options.backend = backend_;
    options.backend_name = kName;
    options.back_sessions.max_sessions_per_target = 16;  // The warm-up fills it.
    return *TlsBridge::Create(loop_, dialer_, std::move(options));
  }

  std::unique_ptr<ProxyBlock> NewRouter() {
    SniPassthroughRouterOptions options;
    options.routes = *RouteTable::Create({{kName, Backends(backend_)}});
    return *SniPassthroughRouter::Create(loop_, dialer_, std::move(options));
  }

  // Opens a connection, with TLS on the given legs. The backend sends a response, then the
  // connection is idle. The memory of the peers is freed again.
  void OpenAndLeaveIdle(ProxyBlock& block, Path& path, bool front_tls, bool back_tls) {
    dialer_.wire = &path.back;
    BarePeer client = BarePeer::Client(client_context_.get());
    BarePeer server = BarePeer::Server(server_context_.get());
    block.Serve(path.front.NewEnd());
    client.Handshake();
    for (int step = 0; step < 4; ++step) {
      Send(client, path.front);
      if (front_tls) Receive(client, path.front);
      if (!back_tls) continue;
      Receive(server, path.back);
      Send(server, path.back);
    }
    ASSERT_TRUE(path.back.end_exists());
    if (back_tls) {
      server.Write(AsBytes("a"), 1);
      Send(server, path.back);
    } else {
      path.back.Deliver(AsBytes("a"));
      loop_.RunReady();
    }
    EXPECT_FALSE(path.front.sent().empty()) << "the response reached the client";
    path.front.sent() = std::string();
    path.back.sent() = std::string();
  }

  // Returns the heap bytes of one more idle connection of `block`.
  double BytesPerIdleConnection(ProxyBlock& block, bool front_tls, bool back_tls) {
    for (int i = 0; i < 2 * kConnections; ++i) paths_.push_back(std::make_unique<Path>(loop_));
    // The first half fills shared objects: pools, tables, sessions.
    for (int i = 0; i < kConnections; ++i) OpenAndLeaveIdle(block, *paths_[i], front_tls, back_tls);
    const int64_t before = BytesAllocatedNow();
    for (int i = kConnections; i < 2 * kConnections; ++i) {
      OpenAndLeaveIdle(block, *paths_[i], front_tls, back_tls);
    }
    const double bytes = static_cast<double>(BytesAllocatedNow() - before) / kConnections;
    EXPECT_EQ(block.open_connections(), size_t{2 * kConnections});
    EXPECT_FALSE(block.holds_buffers());
    RecordProperty("bytes_per_idle_connection", std::to_string(bytes));
    return bytes;
  }

  void Send(BarePeer& from, Wire& to) {
    const std::string bytes(AsText(from.sent()));
    if (bytes.empty()) return;
    from.ClearSent();
    to.Deliver(AsBytes(bytes));
    loop_.RunReady();
  }

  static void Receive(BarePeer& to, Wire& from) {
    if (from.sent().empty()) return;
    to.Receive(AsBytes(from.sent()));
    from.sent().clear();
    to.Handshake();
  }

  const std::vector<TlsGroup> groups_ = {TlsGroup::kX25519};
  HotLoop loop_{absl::FromUnixSeconds(kNow)};
  PathDialer dialer_{loop_};
  std::vector<std::unique_ptr<Path>> paths_;  // They outlive the blocks.
  const std::shared_ptr<const Credential> credential_ = NewCredential();
  const bssl::UniquePtr<SSL_CTX> client_context_ = NewBareClientContext(groups_);
  const bssl::UniquePtr<SSL_CTX> server_context_ = NewBareServerContext(*credential_, groups_);
  const Endpoint backend_ = *Endpoint::Parse("192.0.2.1:80");
};

TEST_F(CostsTest, AllocationsPerHandshakeAreBounded) {
  const std::unique_ptr<ServerSide> bare = NewBareServer(server_context_.get());
  const std::unique_ptr<ServerSide> block = NewServer(Layer::kTerminator, NewServerConfig(), loop_);
  Samples bare_samples;
  Samples block_samples;
  for (int i = 0; i < kConnections; ++i) {
    const Stopwatch bare_watch = MakeHandshake(*bare, client_context_.get(), nullptr);
    const Stopwatch block_watch = MakeHandshake(*block, client_context_.get(), nullptr);
    if (i < kConnections / 2) continue;  // Warming up.
    bare_samples.Add(bare_watch);
    block_samples.Add(block_watch);
  }
  const double around = block_samples.MeanAllocations() - bare_samples.MeanAllocations();
  RecordProperty("allocations_around_a_handshake", std::to_string(around));
  EXPECT_LE(around, kMostAllocationsAroundAHandshake);
}

TEST_F(CostsTest, AllocationsPerRecordAreBounded) {
  const std::unique_ptr<ProxyBlock> block = NewTerminator();
  Path path(loop_);
  dialer_.wire = &path.back;
  BarePeer client = BarePeer::Client(client_context_.get());
  block->Serve(path.front.NewEnd());
  client.Handshake();
  for (int step = 0; step < 3; ++step) {
    Send(client, path.front);
    Receive(client, path.front);
  }
  ASSERT_TRUE(path.back.end_exists());
  const std::string message(200, 'm');
  const auto carry = [&] {
    client.Write(AsBytes(message), message.size());
    const std::string record(AsText(client.sent()));
    client.ClearSent();
    path.back.sent().clear();
    path.front.sent().clear();
    const uint64_t before = AllocationsSoFar();
    path.front.Deliver(AsBytes(record));
    loop_.RunReady();
    EXPECT_EQ(path.back.sent(), message);
    path.back.Deliver(AsBytes(message));
    loop_.RunReady();
    EXPECT_GT(path.front.sent().size(), message.size());
    return AllocationsSoFar() - before;
  };
  for (int i = 0; i < kRecords; ++i) carry();
  uint64_t allocations = 0;
  for (int i = 0; i < kRecords; ++i) allocations += carry();
  const double per_record = static_cast<double>(allocations) / (2 * kRecords);
  RecordProperty("allocations_per_record", std::to_string(per_record));
  EXPECT_LE(per_record, kMostAllocationsPerRecord);
}

TEST_F(CostsTest, MemoryPerIdleConnectionOfTheTerminatorIsBounded) {
  const std::unique_ptr<ProxyBlock> block = NewTerminator();
  EXPECT_LE(BytesPerIdleConnection(*block, /*front_tls=*/true, /*back_tls=*/false),
            kMostBytesIdleTerminator);
}

TEST_F(CostsTest, MemoryPerIdleConnectionOfTheBridgeIsBounded) {
  const std::unique_ptr<ProxyBlock> block = NewBridge();
  EXPECT_LE(BytesPerIdleConnection(*block, /*front_tls=*/true, /*back_tls=*/true),
            kMostBytesIdleBridge);
}

TEST_F(CostsTest, MemoryPerIdleConnectionOfTheRouterIsBounded) {
  const std::unique_ptr<ProxyBlock> block = NewRouter();
  EXPECT_LE(BytesPerIdleConnection(*block, /*front_tls=*/false, /*back_tls=*/false),
            kMostBytesIdleRouter);
}

// Without counting, the bounds above would always hold.
TEST_F(CostsTest, AllocationsAreCounted) {
  const uint64_t before = AllocationsSoFar();
  const int64_t bytes_before = BytesAllocatedNow();
  const auto block = std::make_unique<std::string>(10'000, 'x');
  if (!AllocationsAreCounted()) {
    EXPECT_EQ(AllocationsSoFar(), 0u) << "the sanitizer has its own malloc";
    return;
  }
  EXPECT_GE(AllocationsSoFar(), before + 2);
  EXPECT_GE(BytesAllocatedNow(), bytes_before + 10'000);
}

}  // namespace
}  // namespace trestle::bench
