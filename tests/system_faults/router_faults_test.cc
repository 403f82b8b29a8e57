// Each system call of a router that relays over sockets fails in turn, with each error that its man
// page names. The connection ends within a bounded number of turns, with one report and without a
// wrong byte; nothing leaks, and the next connection succeeds.
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "tests/linux/loopback.h"
#include "tests/system_faults/raw_peer.h"
#include "tests/system_faults/system_faults.h"
#include "trestle/linux/tcp_dialer.h"
#include "trestle/linux/tcp_listener.h"
#include "trestle/proxy/sni_passthrough_router.h"
#include "trestle/testing/client_hello_kit.h"

namespace trestle {
namespace {

// A connection without a fault needs about 30 turns.
constexpr int kMostTurns = 1000;
constexpr size_t kMaxPlaces = 12;

struct Reports final : ConnectionObserver {
  void OnClosed(const ConnectionReport& report) override { all.push_back(report); }
  std::vector<ConnectionReport> all;
};

// What one client and its backend saw.
struct Outcome {
  bool in_time = false;
  RawPeer::End client_end = RawPeer::End::kNone;
  std::string up;
  std::string down;
};

class Scene {
 public:
  Scene()
      : up_(testing::InRecords(testing::Tls12Hello("a.test").Message()) +
            std::string(200'000, 'u')),
        down_(300'000, 'd'),
        loop_(*EpollLoop::Create()),
        dialer_(*loop_),
        backend_listener_(RawListener()) {
    fcntl(backend_listener_.get(), F_SETFL, O_NONBLOCK);
    SniPassthroughRouterOptions options;
    options.routes = *RouteTable::Create({{"a.test", LocalEndpoint(backend_listener_.get())}});
    router_ = *SniPassthroughRouter::Create(*loop_, dialer_, std::move(options), &reports_);
    TcpListenerOptions listening;
    listening.retry_delay = absl::Milliseconds(1);
    listener_ = *TcpListener::Create(
        *loop_, Loopback(),
        [this](std::unique_ptr<Transport> leg) {
          ++served_;
          router_->Serve(std::move(leg));
        },
        listening);
  }

  // Takes one client through the router.
  Outcome Connect(LastAct of_backend) {
    Outcome outcome;
    RawPeer client(NewClient(), up_, LastAct::kFin);
    std::unique_ptr<RawPeer> backend;
    for (int turn = 0; turn < kMostTurns && !outcome.in_time; ++turn) {
      loop_->RunTurn(absl::Milliseconds(1));
      client.Step();
      if (backend == nullptr) backend = AcceptBackend(of_backend);
      if (backend != nullptr) backend->Step();
      const bool backend_ended = backend == nullptr || backend->end() != RawPeer::End::kNone;
      // Closed connections are destroyed in the next turn.
      outcome.in_time = client.end() != RawPeer::End::kNone && backend_ended &&
                        router_->open_connections() == 0 &&
                        loop_->NextTurnIn() == absl::InfiniteDuration();
    }
    outcome.client_end = client.end();
    outcome.down = client.received();
    if (backend != nullptr) outcome.up = backend->received();
    return outcome;
  }

  const std::string& up() const { return up_; }
  const std::string& down() const { return down_; }
  const std::vector<ConnectionReport>& reports() const { return reports_.all; }
  size_t served() const { return served_; }
  uint64_t accept_failures() const { return listener_->failures(); }
  size_t lent_pipes() const { return loop_->kernel_pipe_pool().lent(); }

 private:
  OwnedFd NewClient() {
    const RealCalls real;
    return RawClient(listener_->local_endpoint());
  }

  std::unique_ptr<RawPeer> AcceptBackend(LastAct last_act) {
    const RealCalls real;
    OwnedFd fd(accept(backend_listener_.get(), nullptr, nullptr));
    return fd.valid() ? std::make_unique<RawPeer>(std::move(fd), down_, last_act) : nullptr;
  }

  const std::string up_;
  const std::string down_;
  const std::unique_ptr<EpollLoop> loop_;
  Reports reports_;
  TcpDialer dialer_;
  OwnedFd backend_listener_;
  size_t served_ = 0;
  std::unique_ptr<SniPassthroughRouter> router_;
  std::unique_ptr<TcpListener> listener_;
};

bool IsOurs(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

void CheckReport(const Scene& scene, const Fault& fault, LastAct of_backend,
                 const Outcome& outcome) {
  ASSERT_EQ(scene.reports().size(), scene.served());
  if (scene.reports().empty()) {
    EXPECT_GT(scene.accept_failures(), 0u);
    return;
  }
  const ConnectionReport& report = scene.reports().front();
  const bool complete = outcome.up == scene.up() && outcome.down == scene.down();
  EXPECT_TRUE(complete || !report.ok()) << "a cut looks complete";
  if (report.ok()) return;
  EXPECT_FALSE(report.error->detail.empty());
  if (!IsOurs(fault.error)) return;
  const ErrorCode code = report.error->code;
  // The fault may have had no effect, and then the backend's reset is the reason.
  const bool backends = code == ErrorCode::kTruncated && report.error->leg == Leg::kBack;
  if (backends && of_backend == LastAct::kReset) return;
  EXPECT_TRUE(code == ErrorCode::kTransport || code == ErrorCode::kOverLimit) << *report.error;
  EXPECT_TRUE(absl::StrContains(report.error->detail, strerrordesc_np(fault.error)))
      << *report.error;
}

void CheckBytes(const Scene& scene, const Fault& fault, const Outcome& outcome) {
  EXPECT_TRUE(absl::StartsWith(scene.up(), outcome.up)) << "the backend got other bytes";
  EXPECT_TRUE(absl::StartsWith(scene.down(), outcome.down)) << "the client got other bytes";
  // Without SO_LINGER, nothing can send a RST.
  const bool may_reset = fault.call != "setsockopt";
  if (outcome.client_end == RawPeer::End::kClean && !outcome.down.empty() && may_reset) {
    EXPECT_EQ(outcome.down.size(), scene.down().size()) << "a cut looks complete for the client";
  }
}

// Returns whether the fault came: a run may make fewer calls than the one that was counted.
bool RunWith(const Fault& fault, LastAct of_backend) {
  SCOPED_TRACE(::testing::PrintToString(fault));
  const size_t descriptors = OpenDescriptors();
  bool came = false;
  {
    Scene scene;
    Outcome outcome;
    {
      const InjectedFault injected(fault);
      outcome = scene.Connect(of_backend);
      came = InjectedFault::Injected() > 0;
    }
    EXPECT_TRUE(outcome.in_time) << "it is still open, or a timer is left";
    CheckBytes(scene, fault, outcome);
    CheckReport(scene, fault, of_backend, outcome);

    const Outcome next = scene.Connect(LastAct::kFin);
    EXPECT_TRUE(next.in_time && next.up == scene.up() && next.down == scene.down())
        << "the next connection fails: "
        << (scene.reports().empty() ? "" : ErrorText(scene.reports().back().error));
    EXPECT_EQ(scene.lent_pipes(), 0u);
  }
  EXPECT_EQ(OpenDescriptors(), descriptors);
  return came;
}

// Calls that one connection makes; `calls` must be among them.
std::map<std::string, size_t> CallsOf(LastAct of_backend, std::vector<std::string> calls) {
  Scene scene;
  const auto counts = CountCalls([&] { EXPECT_TRUE(scene.Connect(of_backend).in_time); });
  for (const std::string& call : calls) EXPECT_GT(counts.count(call), 0u) << call;
  return counts;
}

void TryEachFault(LastAct of_backend, const std::map<std::string, size_t>& counts) {
  size_t came = 0;
  const size_t faults = ForEachFault(counts, kMaxPlaces, [&](const Fault& fault) {
    if (!::testing::Test::HasFailure() && RunWith(fault, of_backend)) ++came;
  });
  EXPECT_GT(came, faults / 2);
  std::cout << came << " of " << faults << " faults came\n";
}

TEST(RouterFaultsTest, WhereBothSidesEndCleanly) {
  TryEachFault(LastAct::kFin,
               CallsOf(LastAct::kFin, {"accept4", "socket", "connect", "recv", "send", "splice",
                                       "pipe2", "epoll_ctl", "epoll_wait", "shutdown", "close"}));
}

TEST(RouterFaultsTest, WhereTheBackendResets) {
  TryEachFault(LastAct::kReset, CallsOf(LastAct::kReset, {"ioctl", "setsockopt"}));
}

}  // namespace
}  // namespace trestle
