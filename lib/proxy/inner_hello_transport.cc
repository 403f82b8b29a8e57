#include "lib/proxy/inner_hello_transport.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace trestle {
namespace {

constexpr uint8_t kUnexpectedMessage = 10;  // RFC 8446 6.2.
constexpr uint8_t kDecodeError = 50;

// The failure of a second hello that can't be read.
absl::Status Unreadable(const absl::Status& status) {
  Error error = *GetError(status);
  if (!error.alert.has_value()) error.alert = kDecodeError;
  return MakeError(error);
}

absl::Status Unexpected() {
  return MakeError({ErrorCode::kMalformedHello, Leg::kFront, Phase::kHello, kUnexpectedMessage,
                    "ECH: a second hello came without a HelloRetryRequest"});
}

}  // namespace

InnerHelloTransport::InnerHelloTransport(EchOpening opening, uint16_t record_version,
                                         ByteView surplus, std::unique_ptr<Transport> raw)
    : raw_(std::move(raw)),
      ready_(wire_internal::InHandshakeRecords(AsBytes(opening.inner->message), record_version)),
      hellos_(std::make_unique<Hellos>()) {
  hellos_->context = std::move(opening.context);
  hellos_->record_version = record_version;
  Take(surplus);
}

IoResult InnerHelloTransport::Read(MutableByteView out) {
  while (ready_.empty() && hellos_ != nullptr) {
    const IoResult result = raw_->Read(out);
    if (result.state != IoState::kOk) {
      if (result.state != IoState::kEndOfStream || hellos_->second == nullptr) return result;
      Fail(MakeError(ErrorCode::kTruncated, Leg::kFront, Phase::kHello,
                     "the client left within its second hello"));
      break;
    }
    Take(out.first(result.bytes));
  }
  if (ready_.empty()) return failure_.ok() ? raw_->Read(out) : IoResult{0, IoState::kFailed};
  const size_t bytes = std::min(out.size(), ready_.size() - taken_);
  std::memcpy(out.data(), ready_.data() + taken_, bytes);
  taken_ += bytes;
  if (taken_ == ready_.size()) {
    ready_ = std::string();
    taken_ = 0;
  }
  return {bytes, IoState::kOk};
}

void InnerHelloTransport::Abort() {
  ready_ = std::string();
  hellos_.reset();
  raw_->Abort();
}

// Inspects the bytes from the server to the client.
IoResult InnerHelloTransport::Note(ByteView data, IoResult written) {
  if (hellos_ == nullptr) return written;
  hellos_->answer = hellos_->server.Feed(data.first(written.bytes));
  if (hellos_->answer == Answer::kOther) hellos_.reset();
  return written;
}

// Passes on the client's records up to its second hello.
void InnerHelloTransport::Take(ByteView from_client) {
  while (!from_client.empty() && hellos_ != nullptr) {
    const bool new_record = hellos_->client.at_boundary();
    if (hellos_->second != nullptr ||
        (new_record && from_client[0] == wire_internal::kHandshakeRecord)) {
      return TakeSecond(from_client);
    }
    const ByteView part = hellos_->client.Next(from_client).bytes;
    ready_.append(AsText(part).data(), part.size());
    from_client.remove_prefix(part.size());
  }
}

void InnerHelloTransport::TakeSecond(ByteView from_client) {
  if (hellos_->answer != Answer::kRetry) return Fail(Unexpected());
  if (hellos_->second == nullptr) hellos_->second = std::make_unique<ClientHelloReader>();
  ClientHelloReader& reader = *hellos_->second;
  const HelloState state = reader.Feed(from_client);
  if (state == HelloState::kNeedMore) return;
  if (state != HelloState::kDone) return Fail(Unreadable(reader.error()));
  const EchOpening opening = hellos_->context->OpenSecond(reader.hello());
  if (opening.verdict != EchVerdict::kOpened) return Fail(opening.error);
  ready_ +=
      wire_internal::InHandshakeRecords(AsBytes(opening.inner->message), hellos_->record_version);
  ready_.append(AsText(reader.after_hello()).data(), reader.after_hello().size());
  hellos_.reset();
}

// Bytes that came before the failure can still be read.
void InnerHelloTransport::Fail(absl::Status failure) {
  const std::optional<uint8_t> alert = GetError(failure)->alert;
  failure_ = std::move(failure);
  // An alert inside a record would be read as part of that record.
  const bool may_speak = hellos_->server.at_boundary() && !write_ended_;
  hellos_.reset();
  if (alert.has_value() && may_speak) {
    raw_->Write(AsBytes(wire_internal::FatalAlertRecord(*alert)));
  }
}

}  // namespace trestle
