#include "lib/proxy/proxy_header_leg.h"

#include <array>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "trestle/base/error.h"
#include "trestle/io/prefixed_transport.h"

namespace trestle {
namespace {

// Large enough to read a header and a post-quantum hello at once.
constexpr size_t kReadBytes = 4096;

}  // namespace

ProxyHeaderLeg::~ProxyHeaderLeg() {
  if (raw_ != nullptr) raw_->SetHandler(nullptr);
}

void ProxyHeaderLeg::Open(std::unique_ptr<Transport> raw,
                          absl::AnyInvocable<void(absl::Status)> done) {
  raw_ = std::move(raw);
  done_ = std::move(done);
  raw_->SetHandler(this);
  first_read_ = scheduler_.RunAfter(absl::ZeroDuration(), [this] { ReadHeader(); });
}

std::unique_ptr<Transport> ProxyHeaderLeg::Take() {
  if (header_read_) return next_->Take();
  if (raw_ != nullptr) raw_->SetHandler(nullptr);
  return std::move(raw_);
}

void ProxyHeaderLeg::ReadHeader() {
  std::array<uint8_t, kReadBytes> bytes;
  while (true) {
    const IoResult result = raw_->Read(absl::MakeSpan(bytes));
    if (result.state == IoState::kWouldBlock) return;
    if (result.state == IoState::kFailed) {
      return Fail(AtLeg(raw_->status(), Leg::kFront, Phase::kHello));
    }
    if (result.state == IoState::kEndOfStream) {
      return Fail(MakeError(ErrorCode::kTruncated, Leg::kFront, Phase::kHello,
                            absl::StrCat("the proxy in front left after ", reader_.header_bytes(),
                                         " bytes, before its PROXY header was complete")));
    }
    const ByteView fed(bytes.data(), result.bytes);
    const ProxyHeaderReader::Result taken = reader_.Feed(fed);
    if (taken.state == ProxyHeaderState::kDone) return OpenNext(fed.subspan(taken.taken));
    if (taken.state != ProxyHeaderState::kNeedMore) return Fail(reader_.error());
  }
}

void ProxyHeaderLeg::OpenNext(ByteView surplus) {
  header_read_ = true;
  NoteOrigin(reader_.TakeHeader());
  raw_->SetHandler(nullptr);
  next_->Open(std::make_unique<PrefixedTransport>(std::string(AsText(surplus)), std::move(raw_)),
              std::move(done_));
}

void ProxyHeaderLeg::NoteOrigin(ProxyHeader header) {
  if (header.family == ProxyFamily::kIpv4 || header.family == ProxyFamily::kIpv6) {
    origin_.peer = header.source;
    origin_.local = header.destination;
  }
  origin_.proxy_header = std::make_shared<const ProxyHeader>(std::move(header));
}

void ProxyHeaderLeg::Fail(absl::Status status) {
  // The call may destroy the leg.
  absl::AnyInvocable<void(absl::Status)> done = std::move(done_);
  done(std::move(status));
}

}  // namespace trestle
