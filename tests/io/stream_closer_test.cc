#include "trestle/io/stream_closer.h"

#include <memory>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "trestle/base/error.h"
#include "trestle/testing/memory_transport.h"
#include "trestle/testing/simulated_loop.h"

namespace trestle::testing {
namespace {

class StreamCloserTest : public ::testing::Test {
 protected:
  void Connect(const MemoryLink& to_peer = {}, const MemoryLink& to_us = {}) {
    auto [ours, theirs] = NewMemoryPair(loop_, to_peer, to_us);
    ours_ = std::move(ours);
    peer_ = std::move(theirs);
  }

  // Returns true if the stream is closed already.
  bool Close(StreamCloserOptions options = {}) {
    closer_ = std::make_unique<StreamCloser>(loop_, std::move(ours_), std::move(options));
    return closer_->Start([this] { ++done_; });
  }

  IoResult PeerReads() {
    uint8_t buffer[1024];
    const IoResult result = peer_->Read(absl::MakeSpan(buffer));
    got_.append(reinterpret_cast<const char*>(buffer), result.bytes);
    return result;
  }

  IoState PeerReadsAll() {
    IoResult result = PeerReads();
    while (result.state == IoState::kOk) result = PeerReads();
    return result.state;
  }

  SimulatedLoop loop_;
  std::unique_ptr<Transport> ours_;
  std::unique_ptr<Transport> peer_;
  std::unique_ptr<StreamCloser> closer_;
  int done_ = 0;
  std::string got_;
};

TEST_F(StreamCloserTest, AnEndedStreamIsClosedAtOnce) {
  Connect();
  ASSERT_EQ(peer_->ShutdownWrite(StreamEnd::kClean).state, IoState::kOk);
  loop_.RunFor(absl::Seconds(1));
  EXPECT_TRUE(Close());
  loop_.RunFor(absl::Minutes(1));
  EXPECT_EQ(done_, 0);
  EXPECT_EQ(PeerReadsAll(), IoState::kEndOfStream);
}

TEST_F(StreamCloserTest, WaitsForThePeersEndAndDropsItsBytes) {
  Connect();
  EXPECT_FALSE(Close());
  loop_.RunFor(absl::Seconds(1));
  EXPECT_EQ(PeerReadsAll(), IoState::kEndOfStream);
  EXPECT_EQ(peer_->Write(AsBytes("a late request")).bytes, 14u);
  loop_.RunFor(absl::Seconds(1));
  EXPECT_EQ(done_, 0);
  ASSERT_EQ(peer_->ShutdownWrite(StreamEnd::kClean).state, IoState::kOk);
  loop_.RunFor(absl::Seconds(1));
  EXPECT_EQ(done_, 1);
}

TEST_F(StreamCloserTest, WithoutLingerTheMarkOfTheEndIsEnough) {
  Connect();
  StreamCloserOptions options;
  options.linger = false;
  EXPECT_TRUE(Close(options));
  EXPECT_EQ(PeerReadsAll(), IoState::kEndOfStream);
}

TEST_F(StreamCloserTest, LastWordsPassASlowPeerBeforeTheEnd) {
  MemoryLink narrow;
  narrow.capacity_bytes = 10;
  Connect(narrow);
  StreamCloserOptions options;
  options.last_words = "these words take several writes";
  options.linger = false;
  const std::string words = options.last_words;
  EXPECT_FALSE(Close(std::move(options)));
  IoState state = IoState::kOk;
  for (int i = 0; i < 20 && state != IoState::kEndOfStream; ++i) {
    loop_.RunFor(absl::Seconds(1));
    state = PeerReadsAll();
  }
  EXPECT_EQ(state, IoState::kEndOfStream);
  EXPECT_EQ(got_, words);
  EXPECT_EQ(done_, 1);
}

TEST_F(StreamCloserTest, TheLimitEndsTheWaitForAPeerThatStays) {
  Connect();
  EXPECT_FALSE(Close());
  loop_.RunFor(absl::Seconds(4));
  EXPECT_EQ(done_, 0);
  loop_.RunFor(absl::Seconds(2));
  EXPECT_EQ(done_, 1);
}

TEST_F(StreamCloserTest, TheLimitAbortsAStreamWhosePeerReadsNothing) {
  MemoryLink narrow;
  narrow.capacity_bytes = 10;
  Connect(narrow);
  StreamCloserOptions options;
  options.last_words = "these words take several writes";
  options.limit = absl::Seconds(3);
  EXPECT_FALSE(Close(options));
  loop_.RunFor(absl::Seconds(2));
  EXPECT_EQ(done_, 0);
  loop_.RunFor(absl::Seconds(2));
  EXPECT_EQ(done_, 1);
  EXPECT_EQ(PeerReadsAll(), IoState::kFailed);
  loop_.RunFor(absl::Minutes(1));
  EXPECT_EQ(done_, 1);
}

TEST_F(StreamCloserTest, WithoutALimitItWaitsForEver) {
  Connect();
  StreamCloserOptions options;
  options.limit = absl::InfiniteDuration();
  EXPECT_FALSE(Close(options));
  loop_.RunFor(absl::Hours(24));
  EXPECT_EQ(done_, 0);
  closer_.reset();
  loop_.RunFor(absl::Seconds(1));
  EXPECT_EQ(done_, 0);
}

TEST_F(StreamCloserTest, APeerThatSendsWithoutAPauseIsNotWaitedFor) {
  MemoryLink wide;
  wide.capacity_bytes = 1 << 20;
  Connect({}, wide);
  ASSERT_EQ(peer_->Write(AsBytes(std::string(512 * 1024, 'x'))).bytes, 512u * 1024);
  loop_.RunFor(absl::Seconds(1));
  EXPECT_TRUE(Close());
}

TEST_F(StreamCloserTest, MayBeDestroyedInItsCall) {
  Connect();
  closer_ = std::make_unique<StreamCloser>(loop_, std::move(ours_));
  EXPECT_FALSE(closer_->Start([this] {
    ++done_;
    closer_.reset();
  }));
  ASSERT_EQ(peer_->ShutdownWrite(StreamEnd::kClean).state, IoState::kOk);
  loop_.RunFor(absl::Minutes(1));
  EXPECT_EQ(done_, 1);
}

TEST_F(StreamCloserTest, ATruncatedEndIsSeenByThePeer) {
  Connect();
  StreamCloserOptions options;
  options.end = StreamEnd::kTruncated;
  options.last_words = "half a mess";
  EXPECT_TRUE(Close(options));
  EXPECT_EQ(PeerReadsAll(), IoState::kFailed);
  EXPECT_EQ(got_, "half a mess");
  EXPECT_EQ(GetError(peer_->status())->code, ErrorCode::kTruncated);
}

}  // namespace
}  // namespace trestle::testing
