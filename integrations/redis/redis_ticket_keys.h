// RedisTicketKeys: keeps the ticket keys of a fleet in a Redis server, so that a session made on
// one machine resumes on the others. One machine rotates them, under a lock, and all read; while
// Redis is gone the last keys go on working.
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
#include "trestle/base/endpoint.h"
#include "trestle/io/dialer.h"
#include "trestle/io/scheduler.h"
#include "trestle/tls/ticket_key_ring.h"
#include "trestle/tls/ticket_keys.h"

namespace trestle {

struct RedisTicketKeysOptions {
  Endpoint redis;        ///< Required.
  std::string user;      ///< Of an ACL; empty for the default one.
  std::string password;  ///< Empty: Redis asks for none.
  /// Under which Redis has the keys, as FormatTicketKeys writes them. Whoever reads it reads all
  /// connections that resumed: Redis must be reachable by the fleet alone. Fleets that share a
  /// Redis have a name each.
  std::string name = "trestle-ticket-keys";
  /// How long each key seals; it opens for as long again. The same on all machines.
  absl::Duration rotate_every = absl::Hours(12);
  /// How often this machine looks at Redis; at most half of `rotate_every`.
  absl::Duration refresh_every = absl::Seconds(10);
  /// How long a look may take, all in all.
  absl::Duration timeout = absl::Seconds(5);
};

/// Lives on one loop and never blocks it; one for all loops of a process, since they share the
/// ring.
class RedisTicketKeys {
 public:
  enum class Event : uint8_t {
    kTaken,    ///< The ring has other keys now, which some machine put into Redis.
    kRotated,  ///< This machine put other keys into Redis.
    kLost,     ///< Redis can't be used, for the first time in a row; the status says why.
    kBack,     ///< It can be used again.
  };
  using Listener = absl::AnyInvocable<void(Event, const absl::Status&)>;

  /// Makes a ring to begin with: it has keys of its own until Redis has answered.
  static std::shared_ptr<TicketKeyRing> NewRing(absl::Time now, absl::Duration rotate_every);

  /// Starts to look. `on_event`, which may be null, is called from the loop. All references must
  /// outlive this. Fails with ErrorCode::kConfiguration where an option is missing or senseless;
  /// not where Redis isn't there.
  static absl::StatusOr<std::unique_ptr<RedisTicketKeys>> Start(Scheduler& scheduler,
                                                                Dialer& dialer,
                                                                RedisTicketKeysOptions options,
                                                                std::shared_ptr<TicketKeyRing> ring,
                                                                Listener on_event = nullptr);

  ~RedisTicketKeys();
  RedisTicketKeys(const RedisTicketKeys&) = delete;
  RedisTicketKeys& operator=(const RedisTicketKeys&) = delete;

  /// How the last look ended.
  const absl::Status& status() const { return status_; }

 private:
  using Step = void (RedisTicketKeys::*)(RedisReply);

  RedisTicketKeys(Scheduler& scheduler, Dialer& dialer, RedisTicketKeysOptions options,
                  std::shared_ptr<TicketKeyRing> ring, Listener on_event);

  // A look: these in order, as far as it takes.
  void BeginLook();
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
  const std::string node_;  // Tells this machine's lock from others'.
  const std::shared_ptr<TicketKeyRing> ring_;
  Listener on_event_;
  absl::Status status_;
  std::vector<TicketKey> keys_;  // The last that Redis had; none before the first.
  bool looked_at_nothing_ = false;

  std::unique_ptr<Dial> dial_;
  std::unique_ptr<RedisConnection> connection_;  // Kept from look to look.
  std::string found_;                            // What Redis has, in this look.
  std::string next_;                             // What it is to have.
  std::vector<TicketKey> next_keys_;
  Timer deadline_;
  Timer next_look_;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_REDIS_REDIS_TICKET_KEYS_H_
