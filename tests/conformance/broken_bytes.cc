// Transports that lose, add or hold bytes.

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "tests/conformance/broken.h"
#include "tests/conformance/filter_transport.h"
#include "trestle/io/splice_buffer.h"

namespace trestle::testing {
namespace {

struct LosesABytePerManyWrites final : FilterTransport {
  using FilterTransport::FilterTransport;
  IoResult Write(ByteView data) override {
    if (data.size() < 2 || ++writes % 5 != 0) return inner_->Write(data);
    IoResult result = inner_->Write(data.subspan(0, data.size() - 1));
    if (result.bytes == data.size() - 1) ++result.bytes;
    return result;
  }
  int writes = 0;
};

struct AcceptsWhatItRefuses final : FilterTransport {
  using FilterTransport::FilterTransport;
  IoResult Write(ByteView data) override {
    const IoResult result = inner_->Write(data);
    if (result.state == IoState::kWouldBlock) refused.assign(AsText(data).data(), data.size());
    return result;
  }
  void OnWritable() override {
    const IoResult result = refused.empty() ? IoResult() : inner_->Write(AsBytes(refused));
    refused.erase(0, result.bytes);
    FilterTransport::OnWritable();
  }
  std::string refused;
};

struct DropsWhatNobodyReads final : FilterTransport {
  using FilterTransport::FilterTransport;
  IoResult Read(MutableByteView out) override {
    was_read = true;
    return inner_->Read(out);
  }
  void OnReadable() override {
    was_read = false;
    FilterTransport::OnReadable();
    uint8_t dropped[1000];
    if (!was_read) inner_->Read(MutableByteView(dropped, sizeof dropped));
  }
  bool was_read = false;
};

struct WritesBehindTheBuffer final : FilterTransport {
  using FilterTransport::FilterTransport;
  IoResult Read(MutableByteView out) override {
    out.data()[out.size()] = 0;  // The suite's buffer has some room there.
    return inner_->Read(out);
  }
};

struct CountsABytePerEnd final : FilterTransport {
  using FilterTransport::FilterTransport;
  IoResult Read(MutableByteView out) override {
    IoResult result = inner_->Read(out);
    if (result.state == IoState::kEndOfStream) result.bytes = 1;
    return result;
  }
};

// Like an algorithm that waits for a full segment.
struct HoldsSingleBytes final : FilterTransport {
  using FilterTransport::FilterTransport;
  IoResult Write(ByteView data) override {
    if (!held.empty() || data.size() > 1) {
      const IoResult result = held.empty() ? IoResult() : inner_->Write(AsBytes(held));
      held.erase(0, result.bytes);
      return inner_->Write(data);
    }
    held.assign(AsText(data).data(), data.size());
    return {1, IoState::kOk};
  }
  std::string held;
};

struct MixesUpTheAddresses final : FilterTransport {
  using FilterTransport::FilterTransport;
  TransportInfo info() const override {
    TransportInfo info = inner_->info();
    info.local = info.peer;
    return info;
  }
};

// Pipes in memory. The fault is in WriteFrom.
struct Pipe final : SpliceBuffer {
  size_t size() const override { return bytes.size(); }
  std::string bytes;
};

struct Pipes final : SplicePool {
  std::unique_ptr<SpliceBuffer> Take() override { return std::make_unique<Pipe>(); }
  void Return(std::unique_ptr<SpliceBuffer> pipe) override { pipe.reset(); }
};

struct LosesABytePerPipe final : FilterTransport {
  using FilterTransport::FilterTransport;
  SplicePool* splice_pool() override { return &pipes; }
  IoResult ReadInto(SpliceBuffer& pipe, size_t max_bytes) override {
    std::string& bytes = static_cast<Pipe&>(pipe).bytes;
    bytes.resize(max_bytes);
    const IoResult result =
        inner_->Read(MutableByteView(reinterpret_cast<uint8_t*>(&bytes[0]), max_bytes));
    bytes.resize(result.bytes);
    return result;
  }
  IoResult WriteFrom(SpliceBuffer& pipe) override {
    std::string& bytes = static_cast<Pipe&>(pipe).bytes;
    if (bytes.size() == 1) {
      bytes.clear();
      return {1, IoState::kOk};
    }
    const IoResult result = inner_->Write(AsBytes(bytes).subspan(0, bytes.size() - 1));
    bytes.erase(0, result.bytes);
    return result;
  }
  Pipes pipes;
};

constexpr BrokenTransport kBroken[] = {
    {"EveryAcceptedByteArrivesOnceAndInOrder", Wrapped<LosesABytePerManyWrites>},
    {"ABlockedWriteHasAcceptedNothing", Wrapped<AcceptsWhatItRefuses>},
    {"BytesWaitForAReaderThatPauses", Wrapped<DropsWhatNobodyReads>},
    {"AReadStaysInItsBuffer", Wrapped<WritesBehindTheBuffer>},
    {"BytesAreCountedOnlyWithOk", Wrapped<CountsABytePerEnd>},
    {"ASingleByteLeavesAtOnce", Wrapped<HoldsSingleBytes>},
    {"InfoNamesBothEnds", Wrapped<MixesUpTheAddresses>},
    {"BytesPassThroughPipes", Wrapped<LosesABytePerPipe>},
};

}  // namespace

absl::Span<const BrokenTransport> BrokenBytes() { return kBroken; }

}  // namespace trestle::testing
