// Transports that end in the wrong way.

#include <csignal>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "tests/conformance/broken.h"
#include "tests/conformance/filter_transport.h"

namespace trestle::testing {
namespace {

struct LosesTheLastBytes final : FilterTransport {
  using FilterTransport::FilterTransport;
  IoResult WriteBeforeEnd(ByteView data) override { return {data.size(), IoState::kOk}; }
};

struct EndsBothDirections final : FilterTransport {
  using FilterTransport::FilterTransport;
  IoResult Read(MutableByteView out) override {
    return ended ? IoResult{0, IoState::kEndOfStream} : inner_->Read(out);
  }
  IoResult ShutdownWrite(StreamEnd end) override {
    ended = true;
    return inner_->ShutdownWrite(end);
  }
  bool ended = false;
};

// Rejects calls that earlier succeeded.
template <StreamEnd refused>
struct EndsOnce final : FilterTransport {
  using FilterTransport::FilterTransport;
  IoResult ShutdownWrite(StreamEnd end) override {
    if (done && end == refused) return {0, IoState::kFailed};
    const IoResult result = inner_->ShutdownWrite(end);
    done = result.state == IoState::kOk;
    return result;
  }
  bool done = false;
};

struct ForgetsTheEnd final : FilterTransport {
  using FilterTransport::FilterTransport;
  IoResult Read(MutableByteView out) override {
    if (std::exchange(ended, false)) return {0, IoState::kWouldBlock};
    const IoResult result = inner_->Read(out);
    ended = result.state == IoState::kEndOfStream;
    return result;
  }
  bool ended = false;
};

struct ForgetsTheFailure final : FilterTransport {
  using FilterTransport::FilterTransport;
  IoResult Read(MutableByteView out) override {
    if (failed > 1) return {0, IoState::kEndOfStream};
    const IoResult result = inner_->Read(out);
    failed += result.state == IoState::kFailed;
    return result;
  }
  int failed = 0;
};

struct TakesAResetForAnEnd final : FilterTransport {
  using FilterTransport::FilterTransport;
  IoResult Read(MutableByteView out) override {
    IoResult result = inner_->Read(out);
    if (result.state == IoState::kFailed) result.state = IoState::kEndOfStream;
    return result;
  }
};

struct CallsTheHandlerOfAnAbortedStream final : FilterTransport {
  using FilterTransport::FilterTransport;
  void Abort() override {
    aborted = true;
    inner_->Abort();
  }
  void SetHandler(TransportHandler* handler) override {
    FilterTransport::SetHandler(handler);
    if (aborted) PostWritable();
  }
  bool aborted = false;
};

struct EndWaitsAfterAFailure final : FilterTransport {
  using FilterTransport::FilterTransport;
  IoResult Write(ByteView data) override {
    const IoResult result = inner_->Write(data);
    failed = result.state == IoState::kFailed;
    return result;
  }
  IoResult ShutdownWrite(StreamEnd end) override {
    return failed ? IoResult{0, IoState::kWouldBlock} : inner_->ShutdownWrite(end);
  }
  bool failed = false;
};

struct DestructionAborts final : FilterTransport {
  using FilterTransport::FilterTransport;
  ~DestructionAborts() override { inner_->Abort(); }
};

struct RaisesASignal final : FilterTransport {
  using FilterTransport::FilterTransport;
  IoResult Write(ByteView data) override {
    const IoResult result = inner_->Write(data);
    if (result.state == IoState::kFailed) std::raise(SIGPIPE);
    return result;
  }
};

// Resets at once, so that the peer loses its unread bytes.
struct NaiveReset final : FilterTransport {
  using FilterTransport::FilterTransport;
  IoResult Read(MutableByteView out) override {
    return reset ? IoResult{0, IoState::kFailed} : inner_->Read(out);
  }
  IoResult Write(ByteView data) override {
    return reset ? IoResult{0, IoState::kFailed} : inner_->Write(data);
  }
  IoResult ShutdownWrite(StreamEnd end) override {
    if (end == StreamEnd::kClean) return inner_->ShutdownWrite(end);
    reset = true;
    inner_->Abort();
    return {0, IoState::kOk};
  }
  bool reset = false;
};

struct CutsCleanly final : FilterTransport {
  using FilterTransport::FilterTransport;
  IoResult ShutdownWrite(StreamEnd) override { return inner_->ShutdownWrite(StreamEnd::kClean); }
};

struct RefusesToCutAfterAnEnd final : FilterTransport {
  using FilterTransport::FilterTransport;
  IoResult ShutdownWrite(StreamEnd end) override {
    if (ended && end == StreamEnd::kTruncated) return {0, IoState::kFailed};
    ended = end == StreamEnd::kClean;
    return inner_->ShutdownWrite(end);
  }
  bool ended = false;
};

struct ReadsAnEndAfterACut final : FilterTransport {
  using FilterTransport::FilterTransport;
  IoResult Read(MutableByteView out) override {
    return cut ? IoResult{0, IoState::kEndOfStream} : inner_->Read(out);
  }
  IoResult ShutdownWrite(StreamEnd end) override {
    cut = end == StreamEnd::kTruncated;
    return inner_->ShutdownWrite(end);
  }
  bool cut = false;
};

struct CallsBackAboutAnAbortedCut final : FilterTransport {
  using FilterTransport::FilterTransport;
  IoResult ShutdownWrite(StreamEnd end) override {
    cutting = end == StreamEnd::kTruncated;
    return inner_->ShutdownWrite(end);
  }
  void Abort() override {
    inner_->Abort();
    if (cutting) PostWritable();
  }
  bool cutting = false;
};

struct AFailedWriteEndsReads final : FilterTransport {
  using FilterTransport::FilterTransport;
  IoResult Read(MutableByteView out) override {
    return failed ? IoResult{0, IoState::kFailed} : inner_->Read(out);
  }
  IoResult Write(ByteView data) override {
    const IoResult result = inner_->Write(data);
    failed = result.state == IoState::kFailed;
    return result;
  }
  bool failed = false;
};

constexpr BrokenTransport kBroken[] = {
    {"ACleanEndFollowsAllBytes", Wrapped<LosesTheLastBytes>},
    {"AfterACleanEndReadingGoesOn", Wrapped<EndsBothDirections>},
    {"RepeatingACompleteEndHasNoEffect", Wrapped<EndsOnce<StreamEnd::kClean>>},
    {"AnEndIsPermanent", Wrapped<ForgetsTheEnd>},
    {"AFailureIsPermanent", Wrapped<ForgetsTheFailure>},
    {"AnAbortIsATruncation", Wrapped<TakesAResetForAnEnd>},
    {"AfterAbortHarmlessCallsAreAllowed", Wrapped<CallsTheHandlerOfAnAbortedStream>},
    {"AnEndIsAllowedAfterAFailure", Wrapped<EndWaitsAfterAFailure>},
    {"NothingIsLostIfBothReadToTheEnd", Wrapped<DestructionAborts>},
    {"DestructionSendsWhatTheSystemHolds", Wrapped<DestructionAborts>},
    {"AWriteToAClosedPeerFailsWithoutASignal", Wrapped<RaisesASignal>},
    {"ATruncatedEndLosesNoAcceptedByte", Wrapped<NaiveReset>},
    {"ATruncatedEndShowsAsACut", Wrapped<CutsCleanly>},
    {"ATruncatedEndIsAllowedAfterACleanOne", Wrapped<RefusesToCutAfterAnEnd>},
    {"RepeatingACompleteTruncationHasNoEffect", Wrapped<EndsOnce<StreamEnd::kTruncated>>},
    {"ReadsAfterATruncatedEndFailAsCancelled", Wrapped<ReadsAnEndAfterACut>},
    {"AbortEndsATruncationThatWaits", Wrapped<CallsBackAboutAnAbortedCut>},
    {"BytesBeforeAResetAreReadAfterAFailedWrite", Wrapped<AFailedWriteEndsReads>},
};

}  // namespace

absl::Span<const BrokenTransport> BrokenEnds() { return kBroken; }

}  // namespace trestle::testing
