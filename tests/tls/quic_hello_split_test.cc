// The kit's hellos are read correctly in every flight of its plan and in both versions.
#include <iostream>
#include <string>

#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "trestle/base/bytes.h"
#include "trestle/testing/client_hello_kit.h"
#include "trestle/testing/quic_hello_kit.h"
#include "trestle/tls/quic_hello_reader.h"

namespace trestle {
namespace {

using testing::ForEachQuicFlight;
using testing::KitHello;
using testing::QuicFlight;
using testing::QuicFlightPlan;

// Frames of one byte each need more datagrams than the default; all other flights fit it.
QuicHelloLimits LimitsFor(const QuicFlight& flight) {
  QuicHelloLimits limits;
  if (flight.label == "frames of 1 byte") {
    limits.datagrams = 64;
    limits.bytes = 128 * 1024;
  }
  return limits;
}

void ExpectRead(const QuicFlight& flight, absl::string_view message, uint32_t version) {
  QuicHelloReader reader(LimitsFor(flight));
  size_t fed = 0;
  while (fed < flight.datagrams.size() && reader.state() == QuicHelloState::kNeedMore) {
    reader.Feed(AsBytes(flight.datagrams[fed++]), MonotonicTime::FromStart({}));
  }
  ASSERT_EQ(reader.state(), QuicHelloState::kDone) << flight.label << ": " << reader.error();
  EXPECT_EQ(AsText(reader.hello().message), message) << flight.label;
  EXPECT_EQ(reader.version(), version);
  ASSERT_EQ(reader.datagrams(), fed);
  for (size_t i = 0; i < fed; ++i) ASSERT_EQ(AsText(reader.datagram(i)), flight.datagrams[i]);
}

size_t ExpectAllRead(absl::string_view message, const QuicFlightPlan& plan) {
  return ForEachQuicFlight(message, plan, [&](const QuicFlight& flight) {
    if (!::testing::Test::HasFailure()) ExpectRead(flight, message, plan.header.version);
  });
}

TEST(QuicHelloSplitTest, ReadsAClassicHello) {
  const std::string message = testing::QuicHello("a.test").Message();
  for (const uint32_t version : {kQuicV1, kQuicV2}) {
    QuicFlightPlan plan;
    plan.header.version = version;
    std::cout << ExpectAllRead(message, plan) << " flights\n";
  }
}

TEST(QuicHelloSplitTest, ReadsAPostQuantumHelloWithGreaseAndEch) {
  const std::string message =
      testing::QuicPostQuantumHello("a.test").AddGrease().AddEchOuter(7, 239).Message();
  QuicFlightPlan plan;
  plan.header.version = kQuicV2;
  plan.header.token = "of a Retry";
  std::cout << ExpectAllRead(message, plan) << " flights\n";
}

TEST(QuicHelloSplitTest, ReadsEveryHelloOfTheTcpKit) {
  for (const KitHello& kit : testing::AllKitHellos("a.test")) {
    if (kit.message.size() > 7000) continue;  // Over 8 datagrams.
    SCOPED_TRACE(kit.name);
    QuicFlightPlan plan;
    plan.every_cut = plan.every_packet_cut = plan.every_datagram_cut = false;
    plan.one_byte_frames = false;
    plan.every_order = kit.message.size() < 4000;
    plan.shuffled = kit.message.size() < 4000 ? 50 : 0;
    ExpectAllRead(kit.message, plan);
  }
}

}  // namespace
}  // namespace trestle
