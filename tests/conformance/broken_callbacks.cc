// Transports that call their handler at the wrong time, or not at all.

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "tests/conformance/broken.h"
#include "tests/conformance/filter_transport.h"

namespace trestle::testing {
namespace {

struct ReadWaits final : FilterTransport {
  using FilterTransport::FilterTransport;
  IoResult Read(MutableByteView out) override {
    IoResult result = inner_->Read(out);
    for (int i = 0; i < 200 && result.state == IoState::kWouldBlock; ++i) {
      loop_.RunFor(absl::Milliseconds(1));
      result = inner_->Read(out);
    }
    return result;
  }
};

struct WriteAcceptsAll final : FilterTransport {
  using FilterTransport::FilterTransport;
  IoResult Write(ByteView data) override {
    queue.append(AsText(data).data(), data.size());
    Flush();
    return {data.size(), IoState::kOk};
  }
  void OnWritable() override { Flush(); }
  void Flush() {
    while (!queue.empty()) {
      const IoResult result = inner_->Write(AsBytes(queue));
      queue.erase(0, result.bytes);
      if (result.state == IoState::kFailed) queue.clear();
      if (result.state != IoState::kOk) return;
    }
  }
  std::string queue;
};

struct WriteCallsBack final : FilterTransport {
  using FilterTransport::FilterTransport;
  IoResult Write(ByteView data) override {
    const IoResult result = inner_->Write(data);
    if (result.state == IoState::kOk && handler_ != nullptr) handler_->OnWritable();
    return result;
  }
};

struct LevelTriggered final : FilterTransport {
  LevelTriggered(std::unique_ptr<Transport> inner, SimulatedLoop& loop)
      : FilterTransport(std::move(inner), loop) {
    Arm();
  }
  void Arm() {
    timer = loop_.RunAfter(absl::Milliseconds(1), [this] {
      Arm();
      FilterTransport::OnReadable();
    });
  }
  Timer timer;
};

struct OneOnReadableForEachRead final : FilterTransport {
  using FilterTransport::FilterTransport;
  IoResult Read(MutableByteView out) override {
    const IoResult result = inner_->Read(out);
    blocked += result.state == IoState::kWouldBlock;
    return result;
  }
  void OnReadable() override {
    for (; blocked > 0; --blocked) PostReadable();
  }
  int blocked = 0;
};

struct OneOnWritableForEachWrite final : FilterTransport {
  using FilterTransport::FilterTransport;
  IoResult Write(ByteView data) override {
    const IoResult result = inner_->Write(data);
    blocked += result.state == IoState::kWouldBlock;
    return result;
  }
  void OnWritable() override {
    for (; blocked > 0; --blocked) PostWritable();
  }
  int blocked = 0;
};

struct OneOnWritableForTheShutdown final : FilterTransport {
  using FilterTransport::FilterTransport;
  IoResult ShutdownWrite(StreamEnd end) override {
    PostWritable();
    return inner_->ShutdownWrite(end);
  }
};

struct LosesThirdOnReadable final : FilterTransport {
  using FilterTransport::FilterTransport;
  void OnReadable() override {
    if (++calls % 3 != 0) FilterTransport::OnReadable();
  }
  int calls = 0;
};

struct LosesThirdOnWritable final : FilterTransport {
  using FilterTransport::FilterTransport;
  void OnWritable() override {
    if (++calls % 3 != 0) FilterTransport::OnWritable();
  }
  int calls = 0;
};

// Inspects the result of the next read, and calls the handler for some states only.
struct Peeking : FilterTransport {
  Peeking(std::unique_ptr<Transport> inner, SimulatedLoop& loop, IoState silent)
      : FilterTransport(std::move(inner), loop), silent(silent) {}
  IoResult Read(MutableByteView out) override {
    if (!has_byte) return inner_->Read(out);
    has_byte = false;
    out[0] = byte;
    return {1, IoState::kOk};
  }
  IoState Peek() {
    if (has_byte) return IoState::kOk;
    const IoResult result = inner_->Read(MutableByteView(&byte, 1));
    has_byte = result.bytes == 1;
    return result.state;
  }
  void OnReadable() override {
    if (Peek() != silent) FilterTransport::OnReadable();
  }
  void OnWritable() override {
    if (Peek() != silent) FilterTransport::OnWritable();
  }
  const IoState silent;
  bool has_byte = false;
  uint8_t byte = 0;
};

struct SilentAboutTheEnd final : Peeking {
  SilentAboutTheEnd(std::unique_ptr<Transport> inner, SimulatedLoop& loop)
      : Peeking(std::move(inner), loop, IoState::kEndOfStream) {}
};

struct SilentAboutFailures final : Peeking {
  SilentAboutFailures(std::unique_ptr<Transport> inner, SimulatedLoop& loop)
      : Peeking(std::move(inner), loop, IoState::kFailed) {}
};

struct CallsAfterAbort final : FilterTransport {
  using FilterTransport::FilterTransport;
  void Abort() override {
    inner_->Abort();
    PostReadable();
  }
};

struct CallsAfterDestruction final : FilterTransport {
  using FilterTransport::FilterTransport;
  ~CallsAfterDestruction() override { PostReadable(); }
};

// Decides on both callbacks before it calls the first.
struct MakesBothCallbacks final : FilterTransport {
  using FilterTransport::FilterTransport;
  void OnReadable() override {
    PostWritable();
    FilterTransport::OnReadable();
  }
  void OnWritable() override {
    PostReadable();
    FilterTransport::OnWritable();
  }
};

struct RemembersTheHandler final : FilterTransport {
  using FilterTransport::FilterTransport;
  IoResult Read(MutableByteView out) override {
    const IoResult result = inner_->Read(out);
    if (result.state == IoState::kWouldBlock) waiting = handler_;
    return result;
  }
  void OnReadable() override {
    if (waiting != nullptr) waiting->OnReadable();
  }
  TransportHandler* waiting = nullptr;
};

struct KeepsTheHandler final : FilterTransport {
  using FilterTransport::FilterTransport;
  void SetHandler(TransportHandler* handler) override {
    if (handler != nullptr) handler_ = handler;
  }
};

constexpr BrokenTransport kBroken[] = {
    {"ReadOfNothingWouldBlock", Wrapped<ReadWaits>},
    {"AWriteThatFindsNoRoomWouldBlock", Wrapped<WriteAcceptsAll>},
    {"NoCallbackComesFromInsideACall", Wrapped<WriteCallsBack>},
    {"NoCallbackWithoutABlockedCall", Wrapped<LevelTriggered>},
    {"ManyBlockedReadsGetOneOnReadable", Wrapped<OneOnReadableForEachRead>},
    {"ManyBlockedWritesGetOneOnWritable", Wrapped<OneOnWritableForEachWrite>},
    {"ABlockedWriteAndAShutdownGetOneOnWritable", Wrapped<OneOnWritableForTheShutdown>},
    {"EveryBlockedReadGetsACallback", Wrapped<LosesThirdOnReadable>},
    {"EveryBlockedWriteGetsACallback", Wrapped<LosesThirdOnWritable>},
    {"ABlockedReadHearsOfTheEnd", Wrapped<SilentAboutTheEnd>},
    {"ABlockedReadHearsOfAFailure", Wrapped<SilentAboutFailures>},
    {"ABlockedWriteHearsOfAFailure", Wrapped<SilentAboutFailures>},
    {"NoCallbackAfterAbort", Wrapped<CallsAfterAbort>},
    {"NoCallbackAfterDestruction", Wrapped<CallsAfterDestruction>},
    {"AbortIsAllowedInsideACallback", Wrapped<MakesBothCallbacks>},
    {"DestructionIsAllowedInsideACallback", Wrapped<MakesBothCallbacks>},
    {"APendingCallbackGoesToTheHandlerOfItsTime", Wrapped<RemembersTheHandler>},
    {"ANullHandlerGetsNoCallback", Wrapped<KeepsTheHandler>},
};

}  // namespace

absl::Span<const BrokenTransport> BrokenCallbacks() { return kBroken; }

}  // namespace trestle::testing
