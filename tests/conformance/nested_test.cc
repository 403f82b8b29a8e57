// EpollLoop inside the loops of Asio and libuv fulfils the contracts of the io floor.

#include <uv.h>

#include <asio.hpp>
#include <chrono>
#include <cstdint>
#include <memory>

#include "examples/support/loop_in_asio.h"
#include "examples/support/loop_in_uv.h"
#include "gtest/gtest.h"
#include "tests/conformance/epoll_host.h"
#include "tests/conformance/hosts.h"
#include "trestle/testing/transport_conformance.h"

namespace trestle::testing {
namespace {

constexpr uint64_t kSeeds = 3;

class AsioHost final : public EpollHost {
 private:
  void Turn() override { io_.run_one_for(std::chrono::milliseconds(20)); }

  asio::io_context io_;
  examples::LoopInAsio loop_in_asio_{io_, loop()};
};

class UvHost final : public EpollHost {
 public:
  UvHost() {
    EXPECT_EQ(uv_loop_init(&uv_), 0);
    EXPECT_EQ(loop_in_uv_.Start(&uv_), 0);
    // Ends a turn without other events.
    uv_timer_init(&uv_, &tick_);
    uv_timer_start(
        &tick_, [](uv_timer_t*) {}, /*timeout=*/20, /*repeat=*/20);
  }
  ~UvHost() override {
    uv_close(reinterpret_cast<uv_handle_t*>(&tick_), nullptr);
    loop_in_uv_.Close();
    uv_run(&uv_, UV_RUN_DEFAULT);
    EXPECT_EQ(uv_loop_close(&uv_), 0);
  }

 private:
  void Turn() override { uv_run(&uv_, UV_RUN_ONCE); }

  uv_loop_t uv_;
  uv_timer_t tick_;
  examples::LoopInUv loop_in_uv_{loop()};
};

const bool kRegistered =
    RegisterTransportConformance("InAsio", kSeeds,
                                 [](uint64_t) { return std::make_unique<AsioHost>(); }) &&
    RegisterTransportConformance("InUv", kSeeds,
                                 [](uint64_t) { return std::make_unique<UvHost>(); }) &&
    RegisterTransportConformance(
        "TlsInAsio", kSeeds, [](uint64_t) { return NewTlsHost(std::make_unique<AsioHost>()); }) &&
    RegisterTransportConformance("TlsInUv", kSeeds,
                                 [](uint64_t) { return NewTlsHost(std::make_unique<UvHost>()); });

TEST(NestedConformanceTest, BothLoopsAreRegistered) { EXPECT_TRUE(kRegistered); }

}  // namespace
}  // namespace trestle::testing
