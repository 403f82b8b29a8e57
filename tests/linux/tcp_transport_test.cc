#include "trestle/linux/tcp_transport.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "tests/linux/loopback.h"

namespace trestle {
namespace {

// A transport on loopback and, as its peer, a raw blocking socket.
class TcpTransportTest : public ::testing::Test {
 protected:
  void SetUp() override {
    loop_ = *EpollLoop::Create();
    Connect();
  }

  // `send_buffer` above 0 limits the bytes that the system accepts from the transport.
  void Connect(int send_buffer = 0, int far_receive_buffer = 0) {
    transport_.reset();
    const OwnedFd listener = RawListener();
    OwnedFd near = OpenStreamSocket(Endpoint::Family::kIpv4);
    far_ = OwnedFd();
    SetBlocking(near.get());
    if (send_buffer > 0) {
      setsockopt(near.get(), SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer);
    }
    if (far_receive_buffer > 0) {
      setsockopt(listener.get(), SOL_SOCKET, SO_RCVBUF, &far_receive_buffer,
                 sizeof far_receive_buffer);
    }
    const SocketAddress address(LocalEndpoint(listener.get()));
    ASSERT_EQ(connect(near.get(), address.get(), address.size), 0);
    far_ = OwnedFd(accept(listener.get(), nullptr, nullptr));
    ASSERT_TRUE(far_.valid());
    fcntl(near.get(), F_SETFL, O_NONBLOCK);
    auto transport = TcpTransport::Create(*loop_, std::move(near));
    ASSERT_TRUE(transport.ok());
    transport_ = *std::move(transport);
    transport_->SetHandler(&handler_);
    handler_.readable = handler_.writable = 0;
  }

  IoState Read(std::string* bytes = nullptr, size_t size = 65536) {
    IoState state;
    std::string read = ReadOnce(*transport_, &state, size);
    if (bytes != nullptr) *bytes = std::move(read);
    return state;
  }

  // Reads until the end or a failure; runs the loop to receive more.
  std::string ReadToTheEnd(IoState* state) {
    std::string all;
    const bool ended = TurnUntil(*loop_, [&] {
      std::string bytes;
      do {
        *state = Read(&bytes, 1000);
        all += bytes;
      } while (*state == IoState::kOk);
      return *state != IoState::kWouldBlock;
    });
    EXPECT_TRUE(ended);
    return all;
  }

  // Returns the bytes that the peer reads until its stream ends; `error` is 0 for a FIN.
  std::string FarReadToTheEnd(int* error) {
    std::string all;
    fcntl(far_.get(), F_SETFL, O_NONBLOCK);
    *error = 0;
    const bool ended = TurnUntil(*loop_, [&] {
      char buffer[4096];
      while (true) {
        const ssize_t bytes = recv(far_.get(), buffer, sizeof buffer, 0);
        if (bytes < 0 && errno == EAGAIN) return false;
        if (bytes < 0) *error = errno;
        if (bytes <= 0) return true;
        all.append(buffer, static_cast<size_t>(bytes));
      }
    });
    EXPECT_TRUE(ended);
    return all;
  }

  // Writes until the transport would block; returns the accepted bytes.
  std::string FillUp() {
    std::string all;
    std::string block(10000, 'x');
    while (true) {
      for (size_t i = 0; i < block.size(); ++i) block[i] = static_cast<char>(all.size() + 7 * i);
      const IoResult result = transport_->Write(AsBytes(block));
      if (result.state != IoState::kOk) return all;
      all += block.substr(0, result.bytes);
    }
  }

  std::unique_ptr<EpollLoop> loop_;
  CountingHandler handler_;
  std::unique_ptr<Transport> transport_;
  OwnedFd far_;
};

TEST_F(TcpTransportTest, CarriesBytesInBothDirections) {
  EXPECT_EQ(transport_->Write(AsBytes("ping")).bytes, 4u);
  char buffer[16];
  EXPECT_EQ(recv(far_.get(), buffer, sizeof buffer, 0), 4);
  RawSend(far_.get(), "pong!");
  std::string bytes;
  EXPECT_EQ(Read(&bytes), IoState::kOk);
  EXPECT_EQ(bytes, "pong!");
  EXPECT_TRUE(transport_->status().ok());
}

TEST_F(TcpTransportTest, ReportsItsAddressesAndDescriptor) {
  const TransportInfo info = transport_->info();
  EXPECT_EQ(info.peer, LocalEndpoint(far_.get()));
  EXPECT_EQ(info.local, PeerEndpoint(far_.get()));
  EXPECT_GE(static_cast<TcpTransport&>(*transport_).fd(), 0);
}

TEST_F(TcpTransportTest, EachBlockedReadGetsOneCallback) {
  RawSend(far_.get(), "x");
  Settle(*loop_);
  EXPECT_EQ(handler_.readable, 0) << "no call has blocked yet";
  EXPECT_EQ(Read(), IoState::kOk);
  EXPECT_EQ(Read(), IoState::kWouldBlock);
  EXPECT_EQ(Read(), IoState::kWouldBlock);
  Settle(*loop_);
  EXPECT_EQ(handler_.readable, 0) << "no progress is possible yet";
  RawSend(far_.get(), "y");
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return handler_.readable == 1; }));
  RawSend(far_.get(), "z");
  Settle(*loop_);
  EXPECT_EQ(handler_.readable, 1) << "the callback was made already";
  EXPECT_EQ(handler_.writable, 0);
  std::string bytes;
  EXPECT_EQ(Read(&bytes), IoState::kOk);
  EXPECT_EQ(bytes, "yz");
}

TEST_F(TcpTransportTest, ReadThatCannotSucceedMakesNoSystemCall) {
  RawSend(far_.get(), "first");
  Settle(*loop_);
  EXPECT_EQ(Read(), IoState::kOk);
  RawSend(far_.get(), "second");
  // The bytes are there, but only a system call would find them before the next turn.
  EXPECT_EQ(Read(), IoState::kWouldBlock);
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return handler_.readable == 1; }));
  std::string bytes;
  EXPECT_EQ(Read(&bytes), IoState::kOk);
  EXPECT_EQ(bytes, "second");
}

TEST_F(TcpTransportTest, TheCallbackGoesToTheCurrentHandler) {
  EXPECT_EQ(Read(), IoState::kWouldBlock);
  CountingHandler other;
  transport_->SetHandler(&other);
  RawSend(far_.get(), "x");
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return other.readable == 1; }));
  EXPECT_EQ(handler_.readable, 0);
  EXPECT_EQ(Read(), IoState::kOk);
  EXPECT_EQ(Read(), IoState::kWouldBlock);
  transport_->SetHandler(nullptr);
  RawSend(far_.get(), "x");
  Settle(*loop_);
  EXPECT_EQ(Read(), IoState::kOk);
}

TEST_F(TcpTransportTest, AFullSocketBlocksUntilThePeerReads) {
  Connect(20000, 20000);
  const std::string sent = FillUp();
  EXPECT_LT(sent.size(), 4u << 20) << "the system's buffers are bounded";
  Settle(*loop_);
  EXPECT_EQ(handler_.writable, 0);
  std::string received(sent.size(), '\0');
  ASSERT_EQ(recv(far_.get(), &received[0], received.size(), MSG_WAITALL),
            static_cast<ssize_t>(sent.size()));
  EXPECT_TRUE(received == sent);
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return handler_.writable == 1; }));
  EXPECT_EQ(transport_->Write(AsBytes("more")).state, IoState::kOk);
  EXPECT_EQ(handler_.readable, 0);
}

TEST_F(TcpTransportTest, LargeTransferToASlowReaderArrivesWhole) {
  constexpr size_t kTotal = 4 << 20;
  Connect(100000, 100000);
  std::string pattern(kTotal, '\0');
  for (size_t i = 0; i < kTotal; ++i) pattern[i] = static_cast<char>(i * 2654435761u >> 13);
  size_t sent = 0;
  bool blocked = false;
  handler_.on_writable = [&] { blocked = false; };
  std::string received;
  fcntl(far_.get(), F_SETFL, O_NONBLOCK);
  int refusals = 0;
  const bool whole = TurnUntil(*loop_, [&] {
    while (!blocked && sent < kTotal) {
      const IoResult result = transport_->Write(AsBytes(pattern).subspan(sent));
      if (result.state == IoState::kOk) sent += result.bytes;
      if (result.state == IoState::kWouldBlock) blocked = ++refusals > 0;
    }
    char buffer[3000];
    ssize_t bytes;
    while ((bytes = recv(far_.get(), buffer, sizeof buffer, 0)) > 0) {
      received.append(buffer, static_cast<size_t>(bytes));
    }
    return received.size() == kTotal;
  });
  EXPECT_TRUE(whole) << "got " << received.size() << " of " << kTotal;
  EXPECT_TRUE(received == pattern);
  EXPECT_GT(refusals, 3);
  EXPECT_LE(handler_.writable, refusals);
}

TEST_F(TcpTransportTest, PeersHalfCloseLeavesTheOtherDirectionOpen) {
  EXPECT_EQ(Read(), IoState::kWouldBlock);
  RawSend(far_.get(), "question");
  shutdown(far_.get(), SHUT_WR);
  IoState state;
  EXPECT_EQ(ReadToTheEnd(&state), "question");
  EXPECT_EQ(state, IoState::kEndOfStream);
  EXPECT_EQ(Read(), IoState::kEndOfStream) << "the state remains";
  EXPECT_EQ(handler_.readable, 1);
  EXPECT_EQ(transport_->Write(AsBytes("answer")).bytes, 6u);
  EXPECT_EQ(transport_->ShutdownWrite(StreamEnd::kClean).state, IoState::kOk);
  int error;
  EXPECT_EQ(FarReadToTheEnd(&error), "answer");
  EXPECT_EQ(error, 0);
}

TEST_F(TcpTransportTest, OwnHalfCloseLeavesReadingOpen) {
  EXPECT_EQ(transport_->Write(AsBytes("question")).bytes, 8u);
  EXPECT_EQ(transport_->ShutdownWrite(StreamEnd::kClean).state, IoState::kOk);
  EXPECT_EQ(transport_->ShutdownWrite(StreamEnd::kClean).state, IoState::kOk);
  int error;
  EXPECT_EQ(FarReadToTheEnd(&error), "question");
  SetBlocking(far_.get());
  RawSend(far_.get(), "answer");
  shutdown(far_.get(), SHUT_WR);
  IoState state;
  EXPECT_EQ(ReadToTheEnd(&state), "answer");
  EXPECT_EQ(state, IoState::kEndOfStream);
}

TEST_F(TcpTransportTest, AnEndWithTheLastBytesIsDetected) {
  RawSend(far_.get(), "last");
  shutdown(far_.get(), SHUT_WR);
  Settle(*loop_);
  std::string bytes;
  EXPECT_EQ(Read(&bytes), IoState::kOk);
  EXPECT_EQ(bytes, "last");
  EXPECT_EQ(Read(), IoState::kEndOfStream);
}

TEST_F(TcpTransportTest, AnEndAfterAShortReadIsDetected) {
  RawSend(far_.get(), "last");
  Settle(*loop_);
  EXPECT_EQ(Read(), IoState::kOk);
  shutdown(far_.get(), SHUT_WR);
  EXPECT_EQ(Read(), IoState::kWouldBlock);
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return handler_.readable == 1; }));
  EXPECT_EQ(Read(), IoState::kEndOfStream);
}

TEST_F(TcpTransportTest, ResetIsTruncationAfterAllBytesThatArrived) {
  const std::string sent(50000, 'x');
  RawSend(far_.get(), sent);
  RawReset(far_);
  IoState state;
  EXPECT_EQ(ReadToTheEnd(&state).size(), sent.size());
  EXPECT_EQ(state, IoState::kFailed);
  EXPECT_EQ(CodeOf(transport_->status()), ErrorCode::kTruncated);
  EXPECT_EQ(DetailOf(transport_->status()), "the peer reset the connection");
  EXPECT_EQ(Read(), IoState::kFailed) << "the state remains";
  EXPECT_EQ(transport_->Write(AsBytes("x")).state, IoState::kFailed);
  EXPECT_EQ(transport_->ShutdownWrite(StreamEnd::kClean).state, IoState::kFailed);
}

TEST_F(TcpTransportTest, ResetWakesAReaderAndABlockedWriter) {
  Connect(20000, 20000);
  FillUp();
  EXPECT_EQ(Read(), IoState::kWouldBlock);
  RawReset(far_);
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return handler_.readable == 1; }));
  EXPECT_EQ(handler_.writable, 1);
  Settle(*loop_);
  EXPECT_EQ(handler_.readable + handler_.writable, 2);
  EXPECT_EQ(transport_->Write(AsBytes("x")).state, IoState::kFailed);
  EXPECT_EQ(CodeOf(transport_->status()), ErrorCode::kTruncated);
}

TEST_F(TcpTransportTest, AResetFoundByAWriteIsNoCleanEndForReads) {
  RawSend(far_.get(), "received before");
  RawReset(far_);
  EXPECT_EQ(transport_->Write(AsBytes("x")).state, IoState::kFailed);
  EXPECT_EQ(CodeOf(transport_->status()), ErrorCode::kTruncated);
  IoState state;
  EXPECT_EQ(ReadToTheEnd(&state), "received before");
  EXPECT_EQ(state, IoState::kFailed) << "recv(2) returns 0 here";
}

TEST_F(TcpTransportTest, ResetAfterACleanEndLeavesTheEndClean) {
  RawSend(far_.get(), "all of it");
  far_.Reset();
  EXPECT_EQ(transport_->Write(AsBytes("x")).state, IoState::kOk) << "answered by a RST";
  Settle(*loop_);
  EXPECT_EQ(transport_->Write(AsBytes("x")).state, IoState::kFailed);
  IoState state;
  EXPECT_EQ(ReadToTheEnd(&state), "all of it");
  EXPECT_EQ(state, IoState::kEndOfStream);
}

TEST_F(TcpTransportTest, AfterAFailedWriteArrivedBytesAreReadWithoutWaiting) {
  EXPECT_EQ(Read(), IoState::kWouldBlock);
  RawSend(far_.get(), "all of it");
  far_.Reset();
  EXPECT_EQ(transport_->Write(AsBytes("x")).state, IoState::kOk) << "answered by a RST";
  EXPECT_EQ(transport_->ShutdownWrite(StreamEnd::kClean).state, IoState::kFailed);
  // The loop has not turned.
  std::string bytes;
  EXPECT_EQ(Read(&bytes), IoState::kOk);
  EXPECT_EQ(bytes, "all of it");
  EXPECT_EQ(Read(), IoState::kEndOfStream);
}

TEST_F(TcpTransportTest, TruncatedEndDeliversAllBytesAndThenAnError) {
  Connect(200000, 20000);
  const std::string sent = FillUp();
  EXPECT_EQ(Read(), IoState::kWouldBlock);
  EXPECT_EQ(transport_->ShutdownWrite(StreamEnd::kTruncated).state, IoState::kWouldBlock);
  IoState state = IoState::kWouldBlock;
  handler_.on_writable = [&] { state = transport_->ShutdownWrite(StreamEnd::kTruncated).state; };
  int error;
  const std::string received = FarReadToTheEnd(&error);
  EXPECT_TRUE(received == sent) << "got " << received.size() << " of " << sent.size();
  EXPECT_EQ(error, ECONNRESET);
  EXPECT_EQ(state, IoState::kOk);
  EXPECT_EQ(handler_.writable, 1);
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return handler_.readable == 1; }))
      << "the blocked read gets its callback: it fails";
  EXPECT_EQ(Read(), IoState::kFailed);
  EXPECT_EQ(CodeOf(transport_->status()), ErrorCode::kCancelled);
  EXPECT_EQ(transport_->ShutdownWrite(StreamEnd::kTruncated).state, IoState::kOk);
  EXPECT_EQ(static_cast<TcpTransport&>(*transport_).fd(), -1);
}

TEST_F(TcpTransportTest, TruncatedEndWithNothingInFlightIsDoneAtOnce) {
  EXPECT_EQ(transport_->ShutdownWrite(StreamEnd::kTruncated).state, IoState::kOk);
  int error;
  EXPECT_EQ(FarReadToTheEnd(&error), "");
  EXPECT_EQ(error, ECONNRESET);
}

TEST_F(TcpTransportTest, TruncatedEndStillReadsWhileItWaits) {
  Connect(20000, 20000);
  FillUp();
  EXPECT_EQ(transport_->ShutdownWrite(StreamEnd::kTruncated).state, IoState::kWouldBlock);
  RawSend(far_.get(), "still here");
  Settle(*loop_);
  std::string bytes;
  EXPECT_EQ(Read(&bytes), IoState::kOk);
  EXPECT_EQ(bytes, "still here");
}

TEST_F(TcpTransportTest, TruncatedEndIsDoneWhenThePeerResetsFirst) {
  Connect(20000, 20000);
  FillUp();
  EXPECT_EQ(transport_->ShutdownWrite(StreamEnd::kTruncated).state, IoState::kWouldBlock);
  RawReset(far_);
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return handler_.writable == 1; }));
  EXPECT_NE(transport_->ShutdownWrite(StreamEnd::kTruncated).state, IoState::kWouldBlock);
}

TEST_F(TcpTransportTest, MayBeDestroyedWhileATruncatedEndWaits) {
  Connect(20000, 20000);
  FillUp();
  EXPECT_EQ(transport_->ShutdownWrite(StreamEnd::kTruncated).state, IoState::kWouldBlock);
  transport_.reset();
  loop_->RunTurn(absl::Milliseconds(5));
  EXPECT_EQ(handler_.writable, 0);
}

TEST_F(TcpTransportTest, AbortResetsAndMakesNoCallback) {
  EXPECT_EQ(Read(), IoState::kWouldBlock);
  transport_->Abort();
  transport_->Abort();
  Settle(*loop_);
  EXPECT_EQ(handler_.readable, 0);
  int error;
  FarReadToTheEnd(&error);
  EXPECT_EQ(error, ECONNRESET);
  EXPECT_EQ(Read(), IoState::kFailed);
  EXPECT_EQ(CodeOf(transport_->status()), ErrorCode::kCancelled);
  EXPECT_EQ(transport_->Write(AsBytes("x")).state, IoState::kFailed);
}

TEST_F(TcpTransportTest, DestructionSendsWrittenBytesAndFin) {
  transport_->Write(AsBytes("goodbye"));
  transport_.reset();
  int error;
  EXPECT_EQ(FarReadToTheEnd(&error), "goodbye");
  EXPECT_EQ(error, 0);
}

TEST_F(TcpTransportTest, DestructionWithUnreadBytesResets) {
  RawSend(far_.get(), "unread");
  transport_.reset();
  int error;
  FarReadToTheEnd(&error);
  EXPECT_EQ(error, ECONNRESET);
}

TEST_F(TcpTransportTest, UrgentByteStaysInTheStreamAndStallsNothing) {
  EXPECT_EQ(Read(), IoState::kWouldBlock);
  RawSend(far_.get(), "before");
  RawSend(far_.get(), "!", MSG_OOB);
  RawSend(far_.get(), "after");
  std::string all;
  EXPECT_TRUE(TurnUntil(*loop_, [&] {
    std::string bytes;
    while (Read(&bytes) == IoState::kOk) all += bytes;
    return all.size() >= 12;
  })) << all;
  EXPECT_EQ(all, "before!after");
}

TEST_F(TcpTransportTest, UnreadEndsDoNotKeepTheLoopBusy) {
  const auto turns_until_timer = [&] {
    bool fired = false;
    const Timer timer = loop_->RunAfter(absl::Milliseconds(20), [&] { fired = true; });
    int turns = 0;
    for (; !fired && turns < 1000; ++turns) loop_->RunTurn(absl::InfiniteDuration());
    return turns;
  };
  FillUp();
  RawSend(far_.get(), "unread");
  Settle(*loop_);
  EXPECT_LE(turns_until_timer(), 3) << "bytes";
  shutdown(far_.get(), SHUT_WR);
  EXPECT_LE(turns_until_timer(), 3) << "half-close";
  RawReset(far_);
  EXPECT_LE(turns_until_timer(), 3) << "reset";
}

TEST_F(TcpTransportTest, MayBeDestroyedInsideACallbackWhileAnotherIsDue) {
  Connect(20000, 20000);
  FillUp();
  EXPECT_EQ(Read(), IoState::kWouldBlock);
  handler_.on_readable = [&] { transport_.reset(); };
  RawReset(far_);
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return transport_ == nullptr; }));
  Settle(*loop_);
  EXPECT_EQ(handler_.readable, 1);
  EXPECT_EQ(handler_.writable, 0);
}

TEST_F(TcpTransportTest, MayBeAbortedInsideACallbackWhileAnotherIsDue) {
  Connect(20000, 20000);
  FillUp();
  EXPECT_EQ(Read(), IoState::kWouldBlock);
  handler_.on_readable = [&] { transport_->Abort(); };
  RawReset(far_);
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return handler_.readable == 1; }));
  Settle(*loop_);
  EXPECT_EQ(handler_.writable, 0);
}

}  // namespace
}  // namespace trestle
