#include "lib/proxy/hello_leg.h"

#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/wire/first_bytes.h"
#include "trestle/base/error.h"
#include "trestle/io/prefixed_transport.h"
#include "trestle/wire/hello_fingerprint.h"

namespace trestle {
namespace {

// Large enough to read a post-quantum hello at once.
constexpr size_t kReadBytes = 4096;

}  // namespace

HelloLeg::~HelloLeg() {
  if (raw_ != nullptr) raw_->SetHandler(nullptr);
}

void HelloLeg::Open(std::unique_ptr<Transport> raw, absl::AnyInvocable<void(absl::Status)> done) {
  raw_ = std::move(raw);
  done_ = std::move(done);
  raw_->SetHandler(this);
  first_read_ = scheduler_.RunAfter(absl::ZeroDuration(), [this] { ReadHello(); });
}

std::unique_ptr<Transport> HelloLeg::Take() {
  if (raw_ == nullptr) return nullptr;
  raw_->SetHandler(nullptr);
  if (reader_.state() != HelloState::kDone) return std::move(raw_);
  return std::make_unique<PrefixedTransport>(reader_.TakeReplay(), std::move(raw_));
}

LegFacts HelloLeg::facts() const {
  LegFacts facts;
  if (routed_ != nullptr) {
    facts.server_name = routed_->server_name;
    facts.hello = routed_->report;
    return facts;
  }
  if (reader_.state() != HelloState::kDone) return facts;
  const ClientHello& hello = reader_.hello();
  facts.server_name = hello.server_name;
  HelloReport& report = facts.hello.emplace();
  report.alpn.assign(hello.alpn.begin(), hello.alpn.end());
  report.bytes = hello.message.size();
  report.records = hello.records;
  report.segments = reader_.segments();
  if (ja4_sha256_ != nullptr) report.ja4 = Ja4(hello, ja4_sha256_);
  return facts;
}

std::string HelloLeg::last_words() const {
  const bool http =
      reader_.state() == HelloState::kNotTls && wire_internal::IsPlainHttpRequest(reader_.replay());
  return answer_plain_http_ && http ? std::string(wire_internal::PlainHttpAnswer()) : "";
}

void HelloLeg::ReadHello() {
  if (routed_ != nullptr) return Finish(absl::OkStatus());
  std::array<uint8_t, kReadBytes> bytes;
  while (reader_.state() == HelloState::kNeedMore) {
    const IoResult result = raw_->Read(absl::MakeSpan(bytes));
    switch (result.state) {
      case IoState::kWouldBlock:
        return;
      case IoState::kFailed:
        return Finish(AtLeg(raw_->status(), Leg::kFront, Phase::kHello));
      case IoState::kEndOfStream:
        return Finish(MakeError(ErrorCode::kTruncated, Leg::kFront, Phase::kHello,
                                absl::StrCat("the client left after ", reader_.replay().size(),
                                             " bytes, before its ClientHello was complete")));
      case IoState::kOk:
        reader_.Feed(ByteView(bytes.data(), result.bytes));
        break;
    }
  }
  Finish(reader_.error());
}

void HelloLeg::Finish(absl::Status status) {
  // The call may destroy the leg.
  absl::AnyInvocable<void(absl::Status)> done = std::move(done_);
  done(std::move(status));
}

}  // namespace trestle
