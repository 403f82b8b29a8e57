// The cost of a datagram on its way through QuicPassthroughRouter, beside a plain UDP forwarder
// that looks up the client's address. Both use the same sockets, in one run, on loopback.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/log/check.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "bench/support/bench_main.h"
#include "bench/support/measure.h"
#include "benchmark/benchmark.h"
#include "trestle/linux/epoll_loop.h"
#include "trestle/linux/udp_sockets.h"
#include "trestle/proxy/quic_passthrough_router.h"
#include "trestle/proxy/route_table.h"
#include "trestle/testing/quic_hello_kit.h"

namespace trestle::bench {
namespace {

constexpr char kHowToRead[] =
    "quic/CLIENTS/BURST: each client sends BURST datagrams of 1200 bytes, and the backend answers\n"
    "with as many. us: the median time per datagram in the loop, with all system calls.\n"
    "us_plain: the same for a forwarder without QUIC. ratio: the one by the other.";

const Endpoint& Loopback() {
  static const auto* const endpoint = new Endpoint(*Endpoint::Parse("127.0.0.1:0"));
  return *endpoint;
}

// A forwarder by the client's address alone.
class PlainForwarder final : public DatagramHandler {
 public:
  PlainForwarder(UdpSockets& sockets, const Endpoint& backend)
      : sockets_(sockets), backend_(backend), front_(*sockets.Bind(Loopback())) {
    front_->SetHandler(this);
  }

  void OnReadable() override {
    while (front_->Receive([this](absl::Span<const Datagram> batch) { Take(batch); }).state ==
           IoState::kOk) {
    }
  }

  Endpoint endpoint() const { return front_->local_endpoint(); }

 private:
  struct Flow final : DatagramHandler {
    void OnReadable() override {
      while (back->Receive([this](absl::Span<const Datagram> batch) {
                   answers.clear();
                   for (const Datagram& datagram : batch) {
                     answers.push_back({datagram.bytes, client, {}});
                   }
                   front->Send(answers);
                 })
                 .state == IoState::kOk) {
      }
    }
    DatagramSocket* front = nullptr;
    std::unique_ptr<DatagramSocket> back;
    Endpoint client;
    std::vector<Datagram> answers;
  };

  void Take(absl::Span<const Datagram> batch) {
    size_t begin = 0;
    for (size_t i = 1; i <= batch.size(); ++i) {
      if (i < batch.size() && batch[i].peer == batch[begin].peer) continue;
      FlowOf(batch[begin].peer).back->Send(batch.subspan(begin, i - begin));
      begin = i;
    }
  }

  Flow& FlowOf(const Endpoint& client) {
    std::unique_ptr<Flow>& flow = flows_[client];
    if (flow == nullptr) {
      flow = std::make_unique<Flow>();
      flow->front = front_.get();
      flow->client = client;
      flow->back = *sockets_.Connect(backend_);
      flow->back->SetHandler(flow.get());
    }
    return *flow;
  }

  UdpSockets& sockets_;
  const Endpoint backend_;
  const std::unique_ptr<DatagramSocket> front_;
  absl::flat_hash_map<Endpoint, std::unique_ptr<Flow>> flows_;
};

// Receives what has arrived at a socket of a peer; returns the senders.
std::vector<Endpoint> Drain(DatagramSocket& socket) {
  std::vector<Endpoint> senders;
  DatagramResult result;
  do {
    result = socket.Receive([&](absl::Span<const Datagram> batch) {
      for (const Datagram& datagram : batch) senders.push_back(datagram.peer);
    });
  } while (result.state == IoState::kOk);
  return senders;
}

// Clients, a forwarder and a backend on one loop. The peers' work is not measured.
class Scene {
 public:
  Scene(int clients, int burst, bool quic) : burst_(burst) {
    if (quic) {
      QuicPassthroughRouterOptions options;
      options.routes = *RouteTable::Create({{"", backend_->local_endpoint()}});
      options.flows.new_flows_per_second_per_client = 0;
      router_ =
          *QuicPassthroughRouter::Create(*loop_, *sockets_.Bind(Loopback()), sockets_, options);
    } else {
      plain_ = std::make_unique<PlainForwarder>(sockets_, backend_->local_endpoint());
    }
    const Endpoint front = quic ? router_->local_endpoint() : plain_->endpoint();
    for (int i = 0; i < clients; ++i) {
      clients_.push_back(*peer_sockets_.Connect(front));
      OpenFlow(*clients_.back());
    }
    if (quic) CHECK_EQ(router_->proven_flows(), static_cast<size_t>(clients));
  }

  // One burst of each client and its answers.
  Stopwatch Turn() {
    Stopwatch watch;
    for (const auto& client : clients_) SendBurst(*client, {});
    Run(watch);
    const std::vector<Endpoint> senders = Drain(*backend_);
    CHECK_EQ(senders.size(), clients_.size() * static_cast<size_t>(burst_));
    for (size_t i = 0; i < senders.size(); i += static_cast<size_t>(burst_)) {
      SendBurst(*backend_, senders[i]);
    }
    Run(watch);
    for (const auto& client : clients_) {
      CHECK_EQ(Drain(*client).size(), static_cast<size_t>(burst_));
    }
    return watch;
  }

  size_t datagrams() const { return 2 * clients_.size() * static_cast<size_t>(burst_); }

 private:
  void Send(DatagramSocket& socket, const std::string& bytes, const Endpoint& peer = {}) {
    const Datagram datagram{AsBytes(bytes), peer, {}};
    CHECK_EQ(socket.Send({&datagram, 1}).datagrams, 1u);
  }

  void SendBurst(DatagramSocket& socket, const Endpoint& peer) {
    const std::vector<Datagram> batch(static_cast<size_t>(burst_),
                                      Datagram{AsBytes(packet_), peer, {}});
    CHECK_EQ(socket.Send(batch).datagrams, batch.size());
  }

  // On loopback all datagrams have arrived when they are sent.
  void Run(Stopwatch& watch) {
    watch.Start();
    for (int i = 0; i < 4; ++i) loop_->RunTurn(absl::ZeroDuration());
    watch.Stop();
  }

  void OpenFlow(DatagramSocket& client) {
    Stopwatch unused;
    testing::QuicInitialHeader header;
    const std::string hello = testing::QuicHello("bench.test").Message();
    Send(client, testing::QuicInitialDatagram(header, testing::QuicCryptoFrame(0, hello)));
    Run(unused);
    const std::vector<Endpoint> senders = Drain(*backend_);
    CHECK_EQ(senders.size(), 1u);
    testing::QuicInitialHeader answer;
    answer.destination_id = header.source_id;
    answer.source_id = kBackendId;
    answer.key_id = header.destination_id;
    answer.from_server = true;
    Send(*backend_, testing::QuicInitialDatagram(answer, testing::QuicCryptoFrame(0, "server")),
         senders[0]);
    Run(unused);
    Send(client, packet_);
    Run(unused);
    Drain(*backend_);
    Drain(client);
  }

  static constexpr char kBackendId[] = "backend1";

  const int burst_;
  const std::unique_ptr<EpollLoop> loop_ = *EpollLoop::Create();
  const std::unique_ptr<EpollLoop> peer_loop_ = *EpollLoop::Create();
  UdpSockets sockets_{*loop_};
  UdpSockets peer_sockets_{*peer_loop_};
  const std::unique_ptr<DatagramSocket> backend_ = *peer_sockets_.Bind(Loopback());
  std::unique_ptr<QuicPassthroughRouter> router_;
  std::unique_ptr<PlainForwarder> plain_;
  std::vector<std::unique_ptr<DatagramSocket>> clients_;
  const std::string packet_ =
      absl::StrCat("\x40", kBackendId, std::string(1200 - 1 - (sizeof kBackendId - 1), 'x'));
};

void RunDatagrams(benchmark::State& state, int clients, int burst) {
  Scene quic(clients, burst, true);
  Scene plain(clients, burst, false);
  Samples quic_samples;
  Samples plain_samples;
  for (auto _ : state) {
    plain_samples.Add(plain.Turn());
    const Stopwatch watch = quic.Turn();
    quic_samples.Add(watch);
    state.SetIterationTime(watch.seconds());
  }
  const double datagrams = static_cast<double>(quic.datagrams());
  state.counters["us"] = quic_samples.MedianSeconds() * 1e6 / datagrams;
  state.counters["us_plain"] = plain_samples.MedianSeconds() * 1e6 / datagrams;
  state.counters["ratio"] = quic_samples.MedianSeconds() / plain_samples.MedianSeconds();
}

}  // namespace
}  // namespace trestle::bench

int main(int argc, char** argv) {
  for (const auto& [clients, burst] : {std::pair(1, 1), {1, 10}, {50, 1}, {50, 10}}) {
    benchmark::RegisterBenchmark(absl::StrCat("quic/", clients, "/", burst).c_str(),
                                 trestle::bench::RunDatagrams, clients, burst)
        ->UseManualTime();
  }
  return trestle::bench::RunBenchmarks(argc, argv, trestle::bench::kHowToRead);
}
