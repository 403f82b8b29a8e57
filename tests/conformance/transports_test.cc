// All transports of this repository keep the contracts of the io floor.

#include <unistd.h>

#include <cstdint>
#include <memory>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/conformance/epoll_host.h"
#include "tests/conformance/hosts.h"
#include "tests/conformance/poll_loop.h"
#include "trestle/testing/transport_conformance.h"

namespace trestle::testing {
namespace {

constexpr uint64_t kSimulatedSeeds = 30;
constexpr uint64_t kRealSeeds = 3;

// An abstract name, which no file takes.
Endpoint NewUnixEndpoint() {
  static int endpoints = 0;
  return *Endpoint::Parse(absl::StrCat("unix:@trestle-", getpid(), "-", ++endpoints));
}

std::unique_ptr<ConformanceHost> NewUnixHost(uint64_t) {
  return std::make_unique<EpollHost>(NewUnixEndpoint());
}

using PollHost = FdLoopHost<PollLoop>;

const bool kRegistered =
    RegisterTransportConformance(
        "Memory", kSimulatedSeeds,
        [](uint64_t seed) { return std::make_unique<MemoryHost>(seed); }) &&
    RegisterTransportConformance(
        "TlsOverMemory", kSimulatedSeeds,
        [](uint64_t seed) { return NewTlsHost(std::make_unique<MemoryHost>(seed)); }) &&
    RegisterTransportConformance(
        "PrefixedOverMemory", kSimulatedSeeds,
        [](uint64_t seed) { return NewPrefixedHost(std::make_unique<MemoryHost>(seed), seed); }) &&
    RegisterTransportConformance("Tcp", kRealSeeds,
                                 [](uint64_t) { return std::make_unique<EpollHost>(); }) &&
    RegisterTransportConformance("UnixSocket", kRealSeeds, NewUnixHost) &&
    RegisterTransportConformance(
        "TcpOnPoll", kRealSeeds,
        [](uint64_t) { return std::make_unique<PollHost>(std::make_unique<PollLoop>()); }) &&
    RegisterTransportConformance("UnixSocketOnPoll", kRealSeeds,
                                 [](uint64_t) {
                                   return std::make_unique<PollHost>(std::make_unique<PollLoop>(),
                                                                     NewUnixEndpoint());
                                 }) &&
    RegisterTransportConformance(
        "TlsOverTcp", kRealSeeds,
        [](uint64_t) { return NewTlsHost(std::make_unique<EpollHost>()); }) &&
    RegisterTransportConformance("TlsOverUnixSocket", kRealSeeds,
                                 [](uint64_t seed) { return NewTlsHost(NewUnixHost(seed)); }) &&
    RegisterTransportConformance("PrefixedOverTcp", kRealSeeds, [](uint64_t seed) {
      return NewPrefixedHost(std::make_unique<EpollHost>(), seed);
    });

TEST(TransportConformanceTest, AllTransportsAreRegistered) { EXPECT_TRUE(kRegistered); }

}  // namespace
}  // namespace trestle::testing
