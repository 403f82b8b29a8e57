// TicketKeysRedis: shares a fleet's session ticket keys through the Redis server of
// --ticket_keys_redis.
#ifndef TRESTLE_EXAMPLES_SUPPORT_TICKET_KEYS_REDIS_H_
#define TRESTLE_EXAMPLES_SUPPORT_TICKET_KEYS_REDIS_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "examples/support/backend_names.h"
#include "examples/support/proxy_host.h"
#include "integrations/redis/redis_ticket_keys.h"
#include "trestle/linux/tcp_dialer.h"
#include "trestle/tls/ticket_key_ring.h"

namespace trestle::examples {

/// Runs on the main loop, where it delays no connection; the threads share its ring.
class TicketKeysRedis final : public MainLoopPart {
 public:
  /// Creates it from the flags; null without --ticket_keys_redis. `names` follows its names.
  static absl::StatusOr<std::unique_ptr<TicketKeysRedis>> FromFlags(BackendNames& names);

  const std::shared_ptr<TicketKeyRing>& ring() const { return ring_; }

  /// Returns whether the ring has had keys of the fleet.
  bool has_had_keys() const { return has_had_keys_; }

  absl::Status Start(EpollLoop& main_loop) override;
  void Stop() override;

 private:
  explicit TicketKeysRedis(RedisTicketKeysOptions options);

  const RedisTicketKeysOptions options_;
  const std::shared_ptr<TicketKeyRing> ring_;
  bool has_had_keys_ = false;
  std::unique_ptr<TcpDialer> dialer_;
  std::unique_ptr<RedisTicketKeys> keys_;
};

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_TICKET_KEYS_REDIS_H_
