#include "tests/integrations/redis/fake_redis.h"

#include <hiredis/hiredis.h>

#include <array>
#include <utility>

#include "absl/log/check.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "trestle/base/error.h"

namespace trestle::testing {
namespace {

constexpr char kNil[] = "$-1\r\n";
constexpr char kOk[] = "+OK\r\n";

std::string Bulk(const std::string& text) {
  return text.empty() ? kNil : absl::StrCat("$", text.size(), "\r\n", text, "\r\n");
}

absl::Duration MillisecondsOf(const std::string& text) {
  int64_t milliseconds = 0;
  CHECK(absl::SimpleAtoi(text, &milliseconds)) << text;
  return absl::Milliseconds(milliseconds);
}

}  // namespace

class FakeRedis::Connection final : public TransportHandler {
 public:
  Connection(FakeRedis& redis, std::unique_ptr<Transport> transport)
      : redis_(redis), transport_(std::move(transport)), reader_(redisReaderCreate()) {
    transport_->SetHandler(this);
    admitted_ = redis_.credentials.empty();
    wake_ = redis_.loop_.RunAfter(absl::ZeroDuration(), [this] { OnReadable(); });
  }
  ~Connection() { redisReaderFree(reader_); }

  void Abort() {
    wake_.reset();
    transport_->Abort();
  }

 private:
  void OnReadable() override {
    std::array<uint8_t, 512> buffer;
    for (;;) {
      const IoResult result = transport_->Read(MutableByteView(buffer.data(), buffer.size()));
      if (result.state != IoState::kOk) return;
      redisReaderFeed(reader_, reinterpret_cast<const char*>(buffer.data()), result.bytes);
      while (TakeCommand()) {
      }
    }
  }
  void OnWritable() override { Flush(); }

  bool TakeCommand() {
    void* taken = nullptr;
    CHECK_EQ(redisReaderGetReply(reader_, &taken), REDIS_OK);
    if (taken == nullptr) return false;
    const auto* const array = static_cast<const redisReply*>(taken);
    std::vector<std::string> command;
    for (size_t i = 0; i < array->elements; ++i) {
      command.emplace_back(array->element[i]->str, array->element[i]->len);
    }
    freeReplyObject(taken);
    if (redis_.silent) return true;
    const std::string instead = redis_.intercept ? redis_.intercept(command) : "";
    to_send_ += instead.empty() ? redis_.Answer(command, admitted_) : instead;
    Flush();
    return true;
  }

  void Flush() {
    while (!to_send_.empty()) {
      const IoResult result = transport_->Write(AsBytes(to_send_));
      if (result.state != IoState::kOk) return;
      to_send_.erase(0, result.bytes);
    }
  }

  FakeRedis& redis_;
  const std::unique_ptr<Transport> transport_;
  redisReader* const reader_;
  bool admitted_ = false;
  std::string to_send_;
  Timer wake_;
};

FakeRedis::FakeRedis(SimulatedLoop& loop, MemoryDialer& dialer, const Endpoint& endpoint)
    : loop_(loop), dialer_(dialer), endpoint_(endpoint) {
  Stop();
}

FakeRedis::~FakeRedis() = default;

void FakeRedis::Start(const MemoryLink& link) {
  dialer_.Listen(
      endpoint_,
      [this](std::unique_ptr<Transport> transport) {
        connections_.push_back(std::make_unique<Connection>(*this, std::move(transport)));
      },
      {}, link, link);
}

void FakeRedis::Stop() {
  dialer_.Refuse(endpoint_, MakeError(ErrorCode::kTransport, Phase::kDial, "connection refused"));
  for (const std::unique_ptr<Connection>& connection : connections_) connection->Abort();
  connections_.clear();
}

std::string FakeRedis::Get(const std::string& name) {
  const auto found = values_.find(name);
  if (found == values_.end()) return {};
  if (found->second.gone_at > loop_.Now()) return found->second.text;
  values_.erase(found);
  return {};
}

void FakeRedis::Set(const std::string& name, const std::string& value, absl::Duration life) {
  values_[name] = {value, loop_.Now() + life};
}

std::string FakeRedis::Answer(const std::vector<std::string>& command, bool& admitted) {
  commands.push_back(command.front());
  if (command.front() == "AUTH") {
    admitted = absl::StrJoin(command.begin() + 1, command.end(), " ") == credentials;
    return admitted ? kOk : "-WRONGPASS invalid username-password pair\r\n";
  }
  if (!admitted) return "-NOAUTH Authentication required.\r\n";
  if (command.front() == "GET") return Bulk(Get(command[1]));
  if (command.front() == "SET") {
    CHECK_EQ(command.size(), 6u);
    CHECK(command[3] == "NX" && command[4] == "PX");
    if (!Get(command[1]).empty()) return kNil;
    Set(command[1], command[2], MillisecondsOf(command[5]));
    return kOk;
  }
  // Does the same as the only script; the real server runs the script in tests/e2e.
  CHECK_EQ(command.front(), "EVAL");
  CHECK_EQ(command.size(), 9u);
  if (Get(command[4]) != command[5]) return ":0\r\n";
  values_.erase(command[4]);
  if (Get(command[3]) != command[6]) return ":0\r\n";
  Set(command[3], command[7], MillisecondsOf(command[8]));
  return ":1\r\n";
}

}  // namespace trestle::testing
