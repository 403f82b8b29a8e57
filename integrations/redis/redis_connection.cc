#include "integrations/redis/redis_connection.h"

#include <hiredis/hiredis.h>
#include <string.h>

#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "trestle/base/bytes.h"
#include "trestle/base/error.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

constexpr size_t kMaxQuotedBytes = 200;

absl::Status RedisError(ErrorCode code, std::string detail) {
  return MakeError(code, Phase::kSetUp, std::move(detail));
}

}  // namespace

RedisConnection::RedisConnection(Scheduler& scheduler, std::unique_ptr<Transport> transport)
    : scheduler_(scheduler), transport_(std::move(transport)), reader_(redisReaderCreate()) {
  transport_->SetHandler(this);
}

RedisConnection::~RedisConnection() {
  if (reader_ != nullptr) redisReaderFree(reader_);
  explicit_bzero(to_send_.data(), to_send_.size());
}

void RedisConnection::Call(const std::vector<absl::string_view>& command, Callback done) {
  std::vector<const char*> words;
  std::vector<size_t> sizes;
  for (const absl::string_view word : command) {
    words.push_back(word.data());
    sizes.push_back(word.size());
  }
  char* text = nullptr;
  const auto bytes =
      redisFormatCommandArgv(&text, static_cast<int>(words.size()), words.data(), sizes.data());
  done_ = std::move(done);
  name_ = std::string(command.front());
  reply_bytes_ = sent_bytes_ = 0;
  if (bytes > 0) {
    to_send_.assign(text, static_cast<size_t>(bytes));
    explicit_bzero(text, to_send_.size());
    redisFreeCommand(text);
  }
  // Deferred, because it may fail.
  kick_ = scheduler_.RunAfter(absl::ZeroDuration(), [this, made = bytes > 0 && reader_ != nullptr] {
    if (!made) return Fail("out of memory");
    OnWritable();
    OnReadable();
  });
}

void RedisConnection::OnWritable() {
  while (sent_bytes_ < to_send_.size()) {
    const IoResult result = transport_->Write(AsBytes(to_send_).subspan(sent_bytes_));
    // If it failed, the read reports the reason.
    if (result.state != IoState::kOk) return;
    sent_bytes_ += result.bytes;
  }
  explicit_bzero(to_send_.data(), to_send_.size());
  to_send_.clear();
  sent_bytes_ = 0;
}

void RedisConnection::OnReadable() {
  std::array<uint8_t, 4096> buffer;
  while (done_ != nullptr) {
    const IoResult result = transport_->Read(MutableByteView(buffer.data(), buffer.size()));
    switch (result.state) {
      case IoState::kOk:
        break;
      case IoState::kWouldBlock:
        return;
      case IoState::kEndOfStream:
        return Fail("it closed the connection");
      case IoState::kFailed:
        return Fail(GetError(transport_->status()).value_or(Error()).detail);
    }
    // hiredis allocates memory for the announced number of array elements.
    if (reply_bytes_ == 0 && buffer[0] == '*') return Fail("it answered with an array");
    reply_bytes_ += result.bytes;
    if (reply_bytes_ > kMaxReplyBytes) return Fail("its answer is too long");
    redisReaderFeed(reader_, reinterpret_cast<const char*>(buffer.data()), result.bytes);
    explicit_bzero(buffer.data(), result.bytes);
    if (TakeReply()) return;
  }
}

// Returns false if the reply is incomplete. Otherwise `this` may be destroyed.
bool RedisConnection::TakeReply() {
  void* taken = nullptr;
  if (redisReaderGetReply(reader_, &taken) != REDIS_OK) {
    Fail("what it sends is no reply");
    return true;
  }
  if (taken == nullptr) return false;
  const auto* const reply = static_cast<const redisReply*>(taken);
  RedisReply value;
  absl::Status refusal;
  switch (reply->type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
      value.kind = RedisReply::Kind::kText;
      value.text.assign(reply->str, static_cast<size_t>(reply->len));
      explicit_bzero(reply->str, static_cast<size_t>(reply->len));
      break;
    case REDIS_REPLY_INTEGER:
      value.kind = RedisReply::Kind::kInteger;
      value.integer = reply->integer;
      break;
    case REDIS_REPLY_ERROR:
      refusal = RedisError(ErrorCode::kConfiguration,
                           absl::StrCat("Redis refuses ", name_, ": ",
                                        EscapeForLog({reply->str, static_cast<size_t>(reply->len)},
                                                     kMaxQuotedBytes)));
      break;
    default:
      break;
  }
  freeReplyObject(taken);
  if (reader_->pos != reader_->len) {
    Fail("it sends more than was asked for");
  } else if (!refusal.ok()) {
    Finish(refusal);
  } else {
    Finish(std::move(value));
  }
  return true;
}

void RedisConnection::Fail(absl::string_view what) {
  transport_->Abort();
  Finish(
      RedisError(ErrorCode::kTransport, absl::StrCat("Redis did not answer ", name_, ": ", what)));
}

void RedisConnection::Finish(absl::StatusOr<RedisReply> reply) {
  kick_.reset();
  std::exchange(done_, nullptr)(std::move(reply));
  // `this` may be gone.
}

}  // namespace trestle
