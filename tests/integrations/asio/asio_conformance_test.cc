// The transport, dialer and scheduler on Asio keep the contracts of the io floor, on TCP and on
// Unix-domain sockets.

#include <unistd.h>

#include <asio.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "integrations/asio/asio_dialer.h"
#include "integrations/asio/asio_endpoint.h"
#include "integrations/asio/asio_scheduler.h"
#include "integrations/asio/asio_transport.h"
#include "tests/conformance/epoll_host.h"
#include "tests/conformance/hosts.h"
#include "trestle/testing/transport_conformance.h"

namespace trestle::testing {
namespace {

constexpr uint64_t kSeeds = 3;

// `Protocol` is that of TCP or of local sockets.
template <typename Protocol>
class AsioHost final : public ConformanceHost {
 public:
  explicit AsioHost(const typename Protocol::endpoint& endpoint) : endpoint_(endpoint) {}

  Scheduler& scheduler() override { return scheduler_; }
  Dialer& dialer() override { return dialer_; }

  Endpoint Listen(absl::AnyInvocable<void(std::unique_ptr<Transport>)> accept) override {
    accept_ = std::move(accept);
    acceptor_.open(endpoint_.protocol());
    acceptor_.bind(endpoint_);
    acceptor_.listen();
    AcceptNext();
    return FromAsio(acceptor_.local_endpoint());
  }

  bool RunUntil(absl::FunctionRef<bool()> done) override {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!done()) {
      if (std::chrono::steady_clock::now() > end) return false;
      io_.run_one_for(std::chrono::milliseconds(20));
      if (io_.stopped()) io_.restart();
    }
    return true;
  }

  ConformanceTraits traits() const override {
    ConformanceTraits traits;
    traits.shows_truncation = std::is_same_v<Protocol, asio::ip::tcp>;
    return traits;
  }

  Endpoint RefusingEndpoint() override { return FreeLoopbackEndpoint(); }
  Endpoint FreeEndpoint() override { return FreeLoopbackEndpoint(); }

 private:
  void AcceptNext() {
    acceptor_.async_accept([this](asio::error_code error, typename Protocol::socket socket) {
      if (error) return;
      accept_(std::make_unique<AsioTransport>(scheduler_, std::move(socket)));
      AcceptNext();
    });
  }

  asio::io_context io_;
  const typename Protocol::endpoint endpoint_;
  AsioScheduler scheduler_{io_.get_executor()};
  AsioDialer dialer_{scheduler_};
  typename Protocol::acceptor acceptor_{io_};
  absl::AnyInvocable<void(std::unique_ptr<Transport>)> accept_;
};

std::unique_ptr<ConformanceHost> NewTcpHost() {
  return std::make_unique<AsioHost<asio::ip::tcp>>(
      asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), 0));
}

// An abstract name, which no file takes.
std::unique_ptr<ConformanceHost> NewLocalHost() {
  static int hosts = 0;
  std::string name = absl::StrCat("@trestle-asio-", getpid(), "-", ++hosts);
  name[0] = '\0';
  return std::make_unique<AsioHost<asio::local::stream_protocol>>(
      asio::local::stream_protocol::endpoint(name));
}

const bool kRegistered =
    RegisterTransportConformance("AsioTcp", kSeeds, [](uint64_t) { return NewTcpHost(); }) &&
    RegisterTransportConformance("AsioLocal", kSeeds, [](uint64_t) { return NewLocalHost(); }) &&
    RegisterTransportConformance("TlsOverAsioTcp", kSeeds,
                                 [](uint64_t) { return NewTlsHost(NewTcpHost()); });

TEST(AsioConformanceTest, AllHostsAreRegistered) { EXPECT_TRUE(kRegistered); }

}  // namespace
}  // namespace trestle::testing
