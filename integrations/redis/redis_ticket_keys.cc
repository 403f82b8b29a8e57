#include "integrations/redis/redis_ticket_keys.h"

#include <string.h>

#include <optional>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

// After this many periods of absence, no session remains that the fleet's keys could decrypt.
constexpr int kPeriodsKept = 4;

// Writes ARGV[3] if this machine (ARGV[1]) still has the lock and the value has not changed since
// ARGV[2] was read. Then releases the lock.
constexpr char kWriteScript[] =
    "if redis.call('get', KEYS[2]) ~= ARGV[1] then return 0 end "
    "redis.call('del', KEYS[2]) "
    "if (redis.call('get', KEYS[1]) or '') ~= ARGV[2] then return 0 end "
    "redis.call('set', KEYS[1], ARGV[3], 'PX', ARGV[4]) "
    "return 1";

absl::Status KeysError(ErrorCode code, std::string detail) {
  return MakeError(code, Phase::kSetUp, std::move(detail));
}

void Wipe(std::string& text) {
  explicit_bzero(text.data(), text.size());
  text.clear();
}

absl::Status CheckOptions(const RedisTicketKeysOptions& options) {
  const auto refuse = [](const char* what) { return KeysError(ErrorCode::kConfiguration, what); };
  if (absl::Status usable = CheckBackends(options.redis); !usable.ok()) return usable;
  if (options.name.empty()) return refuse("the ticket keys in Redis have no name");
  if (options.password.empty() && !options.user.empty()) {
    return refuse("a user of Redis needs a password");
  }
  for (const absl::Duration time : {options.rotate_every, options.refresh_every, options.timeout}) {
    if (time < absl::Milliseconds(1) || time > absl::Hours(24 * 365)) {
      return refuse("the times of ticket keys in Redis must be from a millisecond to a year");
    }
  }
  if (2 * options.refresh_every > options.rotate_every) {
    return refuse("ticket keys must be looked at twice as often as they rotate, at least");
  }
  return absl::OkStatus();
}

std::string Milliseconds(absl::Duration duration) {
  return absl::StrCat(absl::ToInt64Milliseconds(duration));
}

std::string NewNodeName() {
  absl::BitGen random;
  return absl::StrCat(absl::Hex(absl::Uniform<uint64_t>(random), absl::kZeroPad16),
                      absl::Hex(absl::Uniform<uint64_t>(random), absl::kZeroPad16));
}

}  // namespace

std::shared_ptr<TicketKeyRing> RedisTicketKeys::NewRing(absl::Time now,
                                                        absl::Duration rotate_every) {
  // Random keys are always valid.
  return *TicketKeyRing::FromKeys(RotateTicketKeys({}, now, rotate_every));
}

absl::StatusOr<std::unique_ptr<RedisTicketKeys>> RedisTicketKeys::Start(
    Scheduler& scheduler, Dialer& dialer, RedisTicketKeysOptions options,
    std::shared_ptr<TicketKeyRing> ring, Listener on_event) {
  if (absl::Status status = CheckOptions(options); !status.ok()) return status;
  auto keys = absl::WrapUnique(new RedisTicketKeys(scheduler, dialer, std::move(options),
                                                   std::move(ring), std::move(on_event)));
  keys->BeginLook();
  return keys;
}

RedisTicketKeys::RedisTicketKeys(Scheduler& scheduler, Dialer& dialer,
                                 RedisTicketKeysOptions options,
                                 std::shared_ptr<TicketKeyRing> ring, Listener on_event)
    : scheduler_(scheduler),
      dialer_(dialer),
      options_(std::move(options)),
      // Both are in one slot of a cluster.
      lock_name_(absl::StrCat("{", options_.name, "}-lock")),
      node_(NewNodeName()),
      ring_(std::move(ring)),
      on_event_(std::move(on_event)) {}

RedisTicketKeys::~RedisTicketKeys() { ForgetTexts(); }

void RedisTicketKeys::BeginLook() {
  deadline_ = scheduler_.RunAfter(options_.timeout, [this] {
    EndLook(KeysError(ErrorCode::kTimeout, absl::StrCat("Redis did not answer within ",
                                                        absl::FormatDuration(options_.timeout))));
  });
  if (connection_ != nullptr) return AskForKeys();
  DialRedis();
}

void RedisTicketKeys::DialRedis() {
  const std::vector<Endpoint> servers = EndpointsNow(options_.redis);
  if (servers.empty()) {
    no_server_ = scheduler_.RunAfter(absl::ZeroDuration(),
                                     [this] { EndLook(NoBackendError(options_.redis)); });
    return;
  }
  dial_ = dialer_.Connect(
      servers[dials_++ % servers.size()],
      [this](absl::StatusOr<std::unique_ptr<Transport>> made) { OnDialed(std::move(made)); });
}

void RedisTicketKeys::OnDialed(absl::StatusOr<std::unique_ptr<Transport>> transport) {
  dial_.reset();
  if (!transport.ok()) return EndLook(transport.status());
  connection_ = std::make_unique<RedisConnection>(scheduler_, *std::move(transport));
  if (options_.password.empty()) return AskForKeys();
  std::vector<absl::string_view> command = {"AUTH"};
  if (!options_.user.empty()) command.push_back(options_.user);
  command.push_back(options_.password);
  Call(command, &RedisTicketKeys::OnAdmitted);
}

void RedisTicketKeys::OnAdmitted(RedisReply /*reply*/) { AskForKeys(); }

void RedisTicketKeys::AskForKeys() { Call({"GET", options_.name}, &RedisTicketKeys::OnKeys); }

void RedisTicketKeys::OnKeys(RedisReply reply) {
  if (reply.kind == RedisReply::Kind::kNil) {
    // A machine with the fleet's keys comes first: its keys preserve sessions after Redis lost its
    // data.
    if (keys_.empty() && !std::exchange(looked_at_nothing_, true)) return EndLook(absl::OkStatus());
    return RotateIfDue();
  }
  found_ = std::move(reply.text);
  absl::StatusOr<std::vector<TicketKey>> keys = ParseTicketKeys(found_);
  const absl::Status adopted = keys.ok() ? Adopt(*std::move(keys), Event::kTaken) : keys.status();
  if (adopted.ok()) return RotateIfDue();
  EndLook(KeysError(ErrorCode::kConfiguration,
                    absl::StrCat("what Redis has as \"", options_.name,
                                 "\" is unusable: ", GetError(adopted).value_or(Error()).detail)));
}

void RedisTicketKeys::RotateIfDue() {
  next_keys_ = RotateTicketKeys(keys_, scheduler_.Now(), options_.rotate_every);
  next_ = FormatTicketKeys(next_keys_);
  if (next_ == found_) return EndLook(absl::OkStatus());
  // A machine that dies with the lock delays the others until its timeout.
  Call({"SET", lock_name_, node_, "NX", "PX", Milliseconds(options_.timeout)},
       &RedisTicketKeys::OnLocked);
}

void RedisTicketKeys::OnLocked(RedisReply reply) {
  // Another machine is rotating; its keys are available at the next read.
  if (reply.kind == RedisReply::Kind::kNil) return EndLook(absl::OkStatus());
  Call({"EVAL", kWriteScript, "2", options_.name, lock_name_, node_, found_, next_,
        Milliseconds(kPeriodsKept * options_.rotate_every)},
       &RedisTicketKeys::OnWritten);
}

void RedisTicketKeys::OnWritten(RedisReply reply) {
  const bool written = reply.kind == RedisReply::Kind::kInteger && reply.integer == 1;
  EndLook(written ? Adopt(std::move(next_keys_), Event::kRotated) : absl::OkStatus());
}

void RedisTicketKeys::EndLook(absl::Status status) {
  deadline_.reset();
  dial_.reset();
  ForgetTexts();
  if (!status.ok()) connection_.reset();
  next_look_ = scheduler_.RunAfter(options_.refresh_every, [this] { BeginLook(); });
  const bool was_good = status_.ok();
  status_ = std::move(status);
  if (was_good != status_.ok()) Tell(was_good ? Event::kLost : Event::kBack, status_);
}

void RedisTicketKeys::Call(const std::vector<absl::string_view>& command, Step next) {
  connection_->Call(command, [this, next](absl::StatusOr<RedisReply> reply) {
    if (!reply.ok()) return EndLook(reply.status());
    (this->*next)(*std::move(reply));
  });
}

absl::Status RedisTicketKeys::Adopt(std::vector<TicketKey> keys, Event event) {
  const bool same = FormatTicketKeys(keys) == FormatTicketKeys(keys_);
  if (same) return absl::OkStatus();
  if (absl::Status replaced = ring_->Replace(keys); !replaced.ok()) return replaced;
  keys_ = std::move(keys);
  Tell(event, absl::OkStatus());
  return absl::OkStatus();
}

void RedisTicketKeys::Tell(Event event, const absl::Status& status) {
  if (on_event_ != nullptr) on_event_(event, status);
}

void RedisTicketKeys::ForgetTexts() {
  Wipe(found_);
  Wipe(next_);
  next_keys_.clear();
}

}  // namespace trestle
