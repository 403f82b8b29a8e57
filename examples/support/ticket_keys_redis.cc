#include "examples/support/ticket_keys_redis.h"

#include <string>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/memory/memory.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "examples/support/log.h"
#include "examples/support/program.h"
#include "trestle/linux/file.h"

ABSL_FLAG(std::string, ticket_keys_redis, "",
          "IP:PORT or HOST:PORT of a Redis server that shares session ticket keys among a fleet of "
          "proxies. One "
          "proxy rotates them; while Redis is unavailable, the last keys remain in use");
ABSL_FLAG(std::string, ticket_keys_redis_name, "trestle-ticket-keys",
          "Redis key that holds the ticket keys: a different one for each fleet");
ABSL_FLAG(std::string, ticket_keys_redis_user, "", "user name, for Redis with ACLs");
ABSL_FLAG(std::string, ticket_keys_redis_password_file, "",
          "file with the password for Redis in its first line");
ABSL_FLAG(absl::Duration, ticket_keys_rotate_every, absl::Hours(12),
          "how long each key in Redis encrypts tickets; it decrypts for the same time again. Must "
          "be the same on all machines");
ABSL_FLAG(absl::Duration, ticket_keys_refresh_every, absl::Seconds(10),
          "how often this proxy reads the keys from Redis");

namespace trestle::examples {
namespace {

void LogEvent(RedisTicketKeys::Event event, const absl::Status& status) {
  switch (event) {
    case RedisTicketKeys::Event::kTaken:
      return LogLine("ticket keys: taken from Redis");
    case RedisTicketKeys::Event::kRotated:
      return LogLine("ticket keys: rotated in Redis");
    case RedisTicketKeys::Event::kLost:
      return LogLine(absl::StrCat("ticket keys: the last ones go on; ", Sentence(status)));
    case RedisTicketKeys::Event::kBack:
      return LogLine("ticket keys: Redis is back");
  }
}

bool HasKeys(RedisTicketKeys::Event event) {
  return event == RedisTicketKeys::Event::kTaken || event == RedisTicketKeys::Event::kRotated;
}

absl::StatusOr<std::string> ReadPassword() {
  const std::string path = absl::GetFlag(FLAGS_ticket_keys_redis_password_file);
  if (path.empty()) return std::string();
  absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return text;
  const std::string password(
      absl::StripAsciiWhitespace(absl::string_view(*text).substr(0, text->find('\n'))));
  if (!password.empty()) return password;
  return absl::InvalidArgumentError(absl::StrCat(path, " has no password in its first line"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<TicketKeysRedis>> TicketKeysRedis::FromFlags(BackendNames& names) {
  const std::string address = absl::GetFlag(FLAGS_ticket_keys_redis);
  if (address.empty()) return nullptr;
  absl::StatusOr<Backends> redis = names.Parse("ticket_keys_redis", address);
  if (!redis.ok()) return redis.status();
  absl::StatusOr<std::string> password = ReadPassword();
  if (!password.ok()) return password.status();
  RedisTicketKeysOptions options;
  options.redis = *std::move(redis);
  options.user = absl::GetFlag(FLAGS_ticket_keys_redis_user);
  options.password = *std::move(password);
  options.name = absl::GetFlag(FLAGS_ticket_keys_redis_name);
  options.rotate_every = absl::GetFlag(FLAGS_ticket_keys_rotate_every);
  options.refresh_every = absl::GetFlag(FLAGS_ticket_keys_refresh_every);
  return absl::WrapUnique(new TicketKeysRedis(std::move(options)));
}

TicketKeysRedis::TicketKeysRedis(RedisTicketKeysOptions options)
    : options_(std::move(options)),
      ring_(RedisTicketKeys::NewRing(absl::Now(), options_.rotate_every)) {}

absl::Status TicketKeysRedis::Start(EpollLoop& main_loop) {
  dialer_ = std::make_unique<TcpDialer>(main_loop);
  absl::StatusOr<std::unique_ptr<RedisTicketKeys>> keys =
      RedisTicketKeys::Start(main_loop, *dialer_, options_, ring_,
                             [this](RedisTicketKeys::Event event, const absl::Status& status) {
                               has_had_keys_ = has_had_keys_ || HasKeys(event);
                               LogEvent(event, status);
                             });
  if (!keys.ok()) return keys.status();
  keys_ = *std::move(keys);
  return absl::OkStatus();
}

void TicketKeysRedis::Stop() {
  keys_.reset();
  dialer_.reset();
}

}  // namespace trestle::examples
