#include "lib/proxy/hello_leg.h"

#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/proxy/inner_hello_transport.h"
#include "lib/wire/first_bytes.h"
#include "trestle/base/error.h"
#include "trestle/io/prefixed_transport.h"
#include "trestle/wire/hello_fingerprint.h"

namespace trestle {
namespace {

// Large enough to read a post-quantum hello at once.
constexpr size_t kReadBytes = 4096;

// Returns the hello of an earlier router if it has all that `options` request.
const RoutedHello* Sufficient(const RoutedHello* routed, const HelloLegOptions& options) {
  if (routed == nullptr) return nullptr;
  const bool fingerprint = options.ja4_sha256 == nullptr || !routed->report.ja4.empty();
  const bool opened = options.ech == nullptr || routed->server_name_hidden;
  return fingerprint && opened ? routed : nullptr;
}

}  // namespace

HelloLeg::HelloLeg(Scheduler& scheduler, const HelloLegOptions& options, FrontContext context)
    : scheduler_(scheduler),
      options_(options),
      context_(std::move(context)),
      routed_(Sufficient(context_.routed, options)) {}

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
  if (opening_.inner != nullptr) {
    return std::make_unique<InnerHelloTransport>(std::move(opening_),
                                                 reader_.hello().record_version,
                                                 reader_.after_hello(), std::move(raw_));
  }
  return std::make_unique<PrefixedTransport>(reader_.TakeReplay(), std::move(raw_));
}

std::string HelloLeg::server_name() const {
  if (routed_ != nullptr) return routed_->server_name;
  return reader_.state() == HelloState::kDone ? client_hello().server_name : std::string();
}

std::optional<HelloReport> HelloLeg::hello() const {
  if (routed_ != nullptr) return routed_->report;
  if (reader_.state() != HelloState::kDone) return std::nullopt;
  HelloReport report;
  for (absl::string_view protocol : client_hello().alpn) report.alpn.emplace_back(protocol);
  report.bytes = reader_.hello().message.size();
  report.records = reader_.hello().records;
  report.segments = reader_.segments();
  report.ech = opened_before() ? context_.routed->report.ech : opening_.verdict;
  if (options_.ja4_sha256 != nullptr) report.ja4 = Ja4(client_hello(), options_.ja4_sha256);
  return report;
}

std::string HelloLeg::last_words() const {
  const bool http =
      reader_.state() == HelloState::kNotTls && wire_internal::IsPlainHttpRequest(reader_.replay());
  return options_.answer_plain_http && http ? std::string(wire_internal::PlainHttpAnswer()) : "";
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
  Finish(reader_.state() == HelloState::kDone ? OpenEncrypted() : reader_.error());
}

// Opens the hello if that is enabled and possible.
absl::Status HelloLeg::OpenEncrypted() {
  if (options_.ech == nullptr || opened_before()) return absl::OkStatus();
  opening_ = options_.ech->Open(reader_.hello(), context_.origin.peer, scheduler_.MonotonicNow());
  if (opening_.inner == nullptr) return opening_.error;
  HelloToAnswer inner;
  inner.server_name = client_hello().server_name;
  for (absl::string_view protocol : client_hello().alpn) inner.alpn.emplace_back(protocol);
  inner.encrypted = true;
  return context_.check_hello(inner);
}

void HelloLeg::Finish(absl::Status status) {
  // The call may destroy the leg.
  absl::AnyInvocable<void(absl::Status)> done = std::move(done_);
  done(std::move(status));
}

}  // namespace trestle
