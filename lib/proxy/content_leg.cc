#include "lib/proxy/content_leg.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "trestle/base/error.h"
#include "trestle/io/prefixed_transport.h"

namespace trestle {
namespace {

constexpr size_t kReadBytes = 4096;

absl::Status RouteError(ErrorCode code, std::string detail) {
  return MakeError(code, Leg::kFront, Phase::kRoute, std::move(detail));
}

// The host provides the reader: an invalid name from it is not the client's fault.
absl::Status CheckTarget(const ContentTarget& target) {
  const Backends* const backends = std::get_if<Backends>(&target.target);
  return backends == nullptr ? absl::OkStatus() : CheckBackends(*backends);
}

}  // namespace

ContentLeg::~ContentLeg() {
  if (front_ != nullptr) front_->SetHandler(nullptr);
}

void ContentLeg::Read(std::unique_ptr<Transport> front,
                      absl::AnyInvocable<void(absl::Status)> done) {
  front_ = std::move(front);
  done_ = std::move(done);
  front_->SetHandler(this);
  first_read_ = scheduler_.RunAfter(absl::ZeroDuration(), [this] {
    if (!Ask(false)) ReadOn();
  });
}

std::unique_ptr<Transport> ContentLeg::Take() {
  if (front_ == nullptr) return nullptr;
  front_->SetHandler(nullptr);
  if (bytes_.empty()) return std::move(front_);
  return std::make_unique<PrefixedTransport>(std::move(bytes_), std::move(front_));
}

void ContentLeg::ReadOn() {
  std::array<uint8_t, kReadBytes> piece;
  while (true) {
    const size_t room = std::min(piece.size(), max_bytes_ - bytes_.size());
    const IoResult result = front_->Read(absl::MakeSpan(piece).first(room));
    switch (result.state) {
      case IoState::kWouldBlock:
        return;
      case IoState::kFailed:
        return Finish(AtLeg(front_->status(), Leg::kFront, Phase::kRoute));
      case IoState::kEndOfStream:
        if (Ask(true)) return;
        return Finish(
            RouteError(ErrorCode::kNoRoute, absl::StrCat("the client ended after ", bytes_.size(),
                                                         " bytes, which don't select a backend")));
      case IoState::kOk:
        bytes_.append(reinterpret_cast<const char*>(piece.data()), result.bytes);
        if (Ask(false)) return;
        if (bytes_.size() < max_bytes_) break;
        return Finish(
            RouteError(ErrorCode::kNoRoute,
                       absl::StrCat("the first ", bytes_.size(), " bytes don't select a backend")));
    }
  }
}

bool ContentLeg::Ask(bool end_of_stream) {
  ContentAnswer answer = reader_->Read(AsBytes(bytes_), end_of_stream);
  last_words_ = answer.last_words();
  switch (answer.action()) {
    case ContentAnswer::Action::kReadMore:
      return false;
    case ContentAnswer::Action::kGo:
      target_ = answer.target();
      Finish(CheckTarget(*target_));
      return true;
    case ContentAnswer::Action::kNoRoute:
      Finish(RouteError(ErrorCode::kNoRoute, answer.reason()));
      return true;
    case ContentAnswer::Action::kRefuse:
      Finish(RouteError(ErrorCode::kBlockedByInspector, answer.reason()));
      return true;
  }
  return false;
}

void ContentLeg::Finish(absl::Status status) {
  // The call may destroy the leg.
  absl::AnyInvocable<void(absl::Status)> done = std::move(done_);
  done(std::move(status));
}

}  // namespace trestle
