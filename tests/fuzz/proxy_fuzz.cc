// A whole proxy: a router on one port, with a terminator and a bridge behind it. The input is a
// script of clients and backends: the bytes they send, when, and how they leave. Every connection
// is reported once, with a typed error, and nothing is left when the script is over.
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/proxy/proxy_fixture.h"
#include "tests/proxy/tls_fixture.h"
#include "tests/support/stream_peer.h"
#include "trestle/base/error.h"
#include "trestle/proxy/sni_passthrough_router.h"
#include "trestle/proxy/tls_bridge.h"
#include "trestle/proxy/tls_terminator.h"
#include "trestle/testing/memory_transport.h"
#include "trestle/testing/simulated_loop.h"
#include "trestle/testing/test_pki.h"

namespace trestle {
namespace {

constexpr const char* kNames[] = {"offload.test", "bridge.test", "passthrough.test"};
constexpr size_t kMaxClients = 8;
constexpr size_t kMaxCalls = 200'000;

// What all runs share: certificates are made once.
struct Setup {
  Setup() : now(testing::SimulatedLoop().Now()), pki(now) {
    server = ServerFor(pki, now, {{kNames[0], kNames[1], kNames[2]}});
    client = ClientOf(pki);
  }

  const absl::Time now;
  const testing::TestPki pki;
  std::shared_ptr<const ServerTlsConfig> server;
  std::shared_ptr<const ClientTlsConfig> client;
};

class Proxy {
 public:
  Proxy(const Setup& setup, uint8_t choice) : setup_(setup) {
    for (uint8_t block = 0; block < 3; ++block) Listen(block);
    ConnectionOptions connection;
    if (choice & 1) connection.proxy_protocol_from = *TrustedPeers::Parse("192.0.2.0/24");
    if (choice & 2) connection.proxy_protocol_to_backend = ProxyProtocolOut::kV2;
    TlsTerminatorOptions offload;
    offload.front_tls = setup.server;
    offload.backend = BackendOf(0);
    offload.connection = connection;
    terminator_ = *TlsTerminator::Create(loop_, dialer_, std::move(offload), &observers_[0]);
    TlsBridgeOptions bridge;
    bridge.front_tls = setup.server;
    bridge.back_tls = setup.client;
    bridge.backend = BackendOf(1);
    bridge.backend_name = kNames[1];
    bridge.connection = connection;
    bridge_ = *TlsBridge::Create(loop_, dialer_, std::move(bridge), &observers_[1]);
    SniPassthroughRouterOptions router;
    router.routes = *RouteTable::Create(
        {{kNames[0], terminator_.get()}, {kNames[1], bridge_.get()}, {kNames[2], BackendOf(2)}});
    router.connection = connection;
    router_ = *SniPassthroughRouter::Create(loop_, dialer_, std::move(router), &observers_[2]);
  }

  void Step(FuzzInput& input) {
    const uint8_t step = input.Byte();
    const size_t which = step >> 4;
    switch (step & 15) {
      case 0:
        return ConnectRaw(input.Byte());
      case 1:
        return ConnectTls(which % 3);
      case 2:
      case 3:
        return Send(clients_, which, input.Text(input.Number() % 4096));
      case 4:
      case 5:
        return Send(backends_, which, input.Text(input.Number() % 4096));
      case 6:
        return Leave(clients_, which, input.Byte());
      case 7:
        return Leave(backends_, which, input.Byte());
      case 8:
        return SendDecrypted(which, input.Text(input.Number() % 4096));
      case 9:
        return Listen(static_cast<uint8_t>(which % 3));
      case 10:
        return dialer_.Refuse(BackendOf(static_cast<uint8_t>(which % 3)),
                              MakeError(ErrorCode::kTransport, Phase::kDial, "refused"),
                              which > 7 ? absl::InfiniteDuration() : absl::ZeroDuration());
      default:
        Require(loop_.RunFor(absl::Milliseconds(1 << which), kMaxCalls) < kMaxCalls,
                "the loop does not spin");
    }
  }

  void Finish() {
    Require(loop_.RunFor(absl::Hours(2), kMaxCalls) < kMaxCalls, "the loop does not spin");
    size_t handed_over = 0;
    for (const ConnectionReport& report : observers_[2].closed) handed_over += report.handed_over;
    Require(observers_[2].closed.size() == served_, "the router reports every connection once");
    Require(observers_[0].closed.size() + observers_[1].closed.size() == handed_over,
            "the blocks report every connection once");
    for (const RecordingObserver& observer : observers_) {
      for (const ConnectionReport& report : observer.closed) CheckReport(report);
    }
    router_.reset();
    bridge_.reset();
    terminator_.reset();
    clients_.clear();
    backends_.clear();
    tls_clients_.clear();
    tls_backends_.clear();
    Require(loop_.RunUntilIdle(kMaxCalls) < kMaxCalls, "nothing is left to call");
    Require(loop_.buffers().lent_blocks() == 0, "all buffers are returned");
  }

 private:
  struct Peer {
    std::unique_ptr<StreamPeer> stream;
    bool ended = false;
  };
  using Peers = std::vector<Peer>;

  static Endpoint BackendOf(uint8_t block) { return Endpoint(ByteView({192, 0, 2, block}), 443); }

  // A backend of the bridge is a TLS server; the others send the bytes of the input.
  void Listen(uint8_t block) {
    dialer_.Listen(BackendOf(block), [this, block](std::unique_ptr<Transport> transport) {
      if (block == 1) {
        tls_backends_.push_back(TlsPeer::Server(loop_, std::move(transport), setup_.server));
        tls_backends_.back()->Send("answer");
      } else {
        backends_.push_back({std::make_unique<StreamPeer>(loop_, std::move(transport))});
      }
    });
  }

  std::unique_ptr<Transport> Connect(const testing::MemoryLink& link) {
    ++served_;
    return ConnectTo(*router_, loop_, link);
  }

  void ConnectRaw(uint8_t chunk) {
    if (served_ == kMaxClients) return;
    testing::MemoryLink link;
    link.chunk_bytes = chunk;
    clients_.push_back({std::make_unique<StreamPeer>(loop_, Connect(link))});
  }

  void ConnectTls(size_t block) {
    if (served_ == kMaxClients) return;
    ClientTlsTarget target;
    target.server_name = kNames[block];
    tls_clients_.push_back(TlsPeer::Client(loop_, Connect({}), setup_.client, target));
  }

  static void Send(Peers& peers, size_t which, absl::string_view bytes) {
    if (peers.empty()) return;
    Peer& peer = peers[which % peers.size()];
    if (!peer.ended) peer.stream->Send(bytes);
  }

  void SendDecrypted(size_t which, absl::string_view bytes) {
    if (!tls_clients_.empty()) tls_clients_[which % tls_clients_.size()]->Send(bytes);
  }

  static void Leave(Peers& peers, size_t which, uint8_t how) {
    if (peers.empty()) return;
    Peer& peer = peers[which % peers.size()];
    switch (how % 5) {
      case 0:
      case 1:
        if (!std::exchange(peer.ended, true)) {
          peer.stream->End(how % 5 == 0 ? StreamEnd::kClean : StreamEnd::kTruncated);
        }
        return;
      case 2:
      case 3:
        return peer.stream->SetReading(how % 5 == 3);
      case 4:
        peers.erase(peers.begin() + static_cast<Peers::difference_type>(which % peers.size()));
    }
  }

  static void CheckReport(const ConnectionReport& report) {
    Require(report.front.bytes_written <= report.back.bytes_read || report.error.has_value() ||
                report.handed_over,
            "no byte comes from nowhere");
    if (!report.error.has_value()) return;
    Require(!report.error->detail.empty(), "an error has a reason");
    Require(report.error->code != ErrorCode::kInternal, "no error is our own");
    Require(report.error->code != ErrorCode::kConfiguration, "no error is of the configuration");
  }

  const Setup& setup_;
  testing::SimulatedLoop loop_;
  testing::MemoryDialer dialer_{loop_};
  std::array<RecordingObserver, 3> observers_;  // Of terminator, bridge and router.
  std::unique_ptr<TlsTerminator> terminator_;
  std::unique_ptr<TlsBridge> bridge_;
  std::unique_ptr<SniPassthroughRouter> router_;
  Peers clients_;
  Peers backends_;
  std::vector<std::unique_ptr<TlsPeer>> tls_clients_;
  std::vector<std::unique_ptr<TlsPeer>> tls_backends_;
  size_t served_ = 0;
};

}  // namespace
}  // namespace trestle

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto* const setup = new trestle::Setup;
  trestle::FuzzInput input(data, size);
  trestle::Proxy proxy(*setup, input.Byte());
  for (int steps = 0; !input.empty() && steps < 100; ++steps) proxy.Step(input);
  proxy.Finish();
  return 0;
}
