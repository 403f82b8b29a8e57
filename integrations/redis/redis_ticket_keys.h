// RedisTicketKeys: shares ticket keys among a fleet through a Redis server, so that a session of
// one machine resumes on the others. One machine rotates the keys, under a lock, and all read them.
// While Redis is unavailable, the last keys remain in use.
#ifndef TRESTLE_INTEGRATIONS_REDIS_REDIS_TICKET_KEYS_H_
#define TRESTLE_INTEGRATIONS_REDIS_REDIS_TICKET_KEYS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "integrations/redis/redis_connection.h"
#include "trestle/io/dialer.h"
#include "trestle/io/scheduler.h"
#include "trestle/proxy/backends.h"
#include "trestle/tls/ticket_key_ring.h"
#include "trestle/tls/ticket_keys.h"

namespace trestle {

struct RedisTicketKeysOptions {
  Backends redis;        ///< Required. Used in turn; by the next read after one that failed.
  std::string user;      ///< The ACL user; empty for the default one.
  std::string password;  ///< Empty: no authentication.
  /// The Redis key that holds the ticket keys, in the form of FormatTicketKeys. Any reader of it
  /// can decrypt all resumed connections: allow only the fleet to reach Redis. Fleets that share a
  /// Redis server need different names.
  std::string name = "trestle-ticket-keys";
  /// How long each key encrypts tickets; it decrypts for the same time again. Must be the same on
  /// all machines.
  absl::Duration rotate_every = absl::Hours(12);
  /// How often this machine reads Redis; at most half of `rotate_every`.
  absl::Duration refresh_every = absl::Seconds(10);
  /// The timeout of one read, in total.
  absl::Duration timeout = absl::Seconds(5);
};

/// Runs on one loop and never blocks it. One instance serves all loops of a process, because they
/// share the ring.
class RedisTicketKeys {
 public:
  enum class Event : uint8_t {
    kTaken,    ///< The ring has new keys, which were read from Redis.
    kRotated,  ///< This machine wrote new keys to Redis.
    kLost,     ///< Redis became unavailable; the status has the reason.
    kBack,     ///< Redis is available again.
  };
  using Listener = absl::AnyInvocable<void(Event, const absl::Status&)>;

  /// Creates the initial ring. It has its own keys until Redis answers.
  static std::shared_ptr<TicketKeyRing> NewRing(absl::Time now, absl::Duration rotate_every);

  /// Starts reading Redis. `on_event` (may be null) is called from the loop. `scheduler` and
  /// `dialer` must outlive this. Fails with ErrorCode::kConfiguration if an option is missing or
  /// invalid, but not if Redis is unavailable.
  static absl::StatusOr<std::unique_ptr<RedisTicketKeys>> Start(Scheduler& scheduler,
                                                                Dialer& dialer,
                                                                RedisTicketKeysOptions options,
                                                                std::shared_ptr<TicketKeyRing> ring,
                                                                Listener on_event = nullptr);

  ~RedisTicketKeys();
  RedisTicketKeys(const RedisTicketKeys&) = delete;
  RedisTicketKeys& operator=(const RedisTicketKeys&) = delete;

  /// Returns the result of the last read.
  const absl::Status& status() const { return status_; }

 private:
  using Step = void (RedisTicketKeys::*)(RedisReply);

  RedisTicketKeys(Scheduler& scheduler, Dialer& dialer, RedisTicketKeysOptions options,
                  std::shared_ptr<TicketKeyRing> ring, Listener on_event);

  // The steps of one read, in order, as far as needed.
  void BeginLook();
  void DialRedis();
  void OnDialed(absl::StatusOr<std::unique_ptr<Transport>> transport);
  void OnAdmitted(RedisReply reply);
  void AskForKeys();
  void OnKeys(RedisReply reply);
  void RotateIfDue();
  void OnLocked(RedisReply reply);
  void OnWritten(RedisReply reply);
  void EndLook(absl::Status status);

  void Call(const std::vector<absl::string_view>& command, Step next);
  absl::Status Adopt(std::vector<TicketKey> keys, Event event);
  void Tell(Event event, const absl::Status& status);
  void ForgetTexts();

  Scheduler& scheduler_;
  Dialer& dialer_;
  const RedisTicketKeysOptions options_;
  const std::string lock_name_;
  const std::string node_;  // Distinguishes this machine's lock from others'.
  const std::shared_ptr<TicketKeyRing> ring_;
  Listener on_event_;
  absl::Status status_;
  std::vector<TicketKey> keys_;  // The last keys in Redis; empty before the first read.
  bool looked_at_nothing_ = false;
  size_t dials_ = 0;
  Timer no_server_;

  std::unique_ptr<Dial> dial_;
  std::unique_ptr<RedisConnection> connection_;  // Kept between reads.
  std::string found_;                            // The text in Redis, in this read.
  std::string next_;                             // The text to write.
  std::vector<TicketKey> next_keys_;
  Timer deadline_;
  Timer next_look_;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_REDIS_REDIS_TICKET_KEYS_H_
