#include "trestle/io/prefixed_transport.h"

#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "tests/support/stream_peer.h"
#include "trestle/testing/memory_transport.h"
#include "trestle/testing/simulated_loop.h"

namespace trestle {
namespace {

TEST(PrefixedTransportTest, YieldsThePrefixThenTheStream) {
  testing::SimulatedLoop loop;
  auto [near, far] = testing::NewMemoryPair(loop);
  StreamPeer sender(loop, std::move(far));
  sender.Send("stream");
  sender.End();
  StreamPeer reader(loop, std::make_unique<PrefixedTransport>("prefix+", std::move(near)));
  loop.RunUntilIdle();
  EXPECT_EQ(reader.received(), "prefix+stream");
  EXPECT_TRUE(reader.saw_end());
}

TEST(PrefixedTransportTest, YieldsThePrefixInAnyPieces) {
  testing::SimulatedLoop loop;
  auto [near, far] = testing::NewMemoryPair(loop);
  PrefixedTransport transport("abcdef", std::move(near));
  uint8_t byte[4];
  IoResult result = transport.Read(absl::MakeSpan(byte, 4));
  EXPECT_EQ(AsText(ByteView(byte, result.bytes)), "abcd");
  result = transport.Read(absl::MakeSpan(byte, 4));
  EXPECT_EQ(AsText(ByteView(byte, result.bytes)), "ef");
  EXPECT_EQ(transport.Read(absl::MakeSpan(byte, 4)).state, IoState::kWouldBlock);
}

TEST(PrefixedTransportTest, WritesPassUnchanged) {
  testing::SimulatedLoop loop;
  auto [near, far] = testing::NewMemoryPair(loop);
  StreamPeer reader(loop, std::move(far));
  StreamPeer writer(loop, std::make_unique<PrefixedTransport>("unseen", std::move(near)));
  writer.Send("hello");
  writer.End();
  loop.RunUntilIdle();
  EXPECT_EQ(reader.received(), "hello");
  EXPECT_TRUE(reader.saw_end());
}

}  // namespace
}  // namespace trestle
