// The end of a stream leaves in one packet with the last bytes.
#include <linux/tcp.h>
#include <netinet/in.h>

#include <memory>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "tests/linux/loopback.h"

namespace trestle {
namespace {

// Not netinet/tcp.h, whose tcp_info has no counts of segments.
uint32_t SegmentsReceived(int fd) {
  tcp_info info = {};
  socklen_t size = sizeof info;
  EXPECT_EQ(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
  return info.tcpi_segs_in;
}

struct Ending {
  uint32_t segments = 0;
  std::string bytes;
};

// Sends a few bytes and the end, and returns the packets and the time.
Ending EndWith(EpollLoop& loop, IoResult (Transport::*write)(ByteView)) {
  const OwnedFd listener = RawListener();
  OwnedFd near = RawClient(LocalEndpoint(listener.get()));
  const OwnedFd far(accept(listener.get(), nullptr, nullptr));
  auto transport = *TcpTransport::Create(loop, std::move(near));
  Ending ending;
  const uint32_t before = SegmentsReceived(far.get());
  EXPECT_EQ((*transport.*write)(AsBytes("bye")).bytes, 3u);
  EXPECT_EQ(transport->ShutdownWrite(StreamEnd::kClean).state, IoState::kOk);
  char buffer[16];
  for (ssize_t got = 1; got > 0;) {
    got = recv(far.get(), buffer, sizeof buffer, 0);
    EXPECT_GE(got, 0);
    if (got > 0) ending.bytes.append(buffer, static_cast<size_t>(got));
  }
  ending.segments = SegmentsReceived(far.get()) - before;
  return ending;
}

TEST(EndPacketsTest, TheEndLeavesWithTheBytesBeforeIt) {
  const std::unique_ptr<EpollLoop> loop = *EpollLoop::Create();
  const Ending apart = EndWith(*loop, &Transport::Write);
  EXPECT_EQ(apart.bytes, "bye");
  EXPECT_EQ(apart.segments, 2u);
  // The system waits for the end for at most 200 ms, and this thread may be suspended for longer.
  Ending together;
  for (int attempt = 0; attempt < 10 && together.segments != 1; ++attempt) {
    together = EndWith(*loop, &Transport::WriteBeforeEnd);
    EXPECT_EQ(together.bytes, "bye");
  }
  EXPECT_EQ(together.segments, 1u);
}

}  // namespace
}  // namespace trestle
