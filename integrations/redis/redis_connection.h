// RedisConnection: commands for a Redis server and its replies, over any transport and without
// blocking. hiredis writes the one and reads the other.
#ifndef TRESTLE_INTEGRATIONS_REDIS_REDIS_CONNECTION_H_
#define TRESTLE_INTEGRATIONS_REDIS_REDIS_CONNECTION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/transport.h"

struct redisReader;

namespace trestle {

/// What Redis answered. Errors are none: they come as a Status.
struct RedisReply {
  enum class Kind : uint8_t { kNil, kText, kInteger };
  Kind kind = Kind::kNil;
  std::string text;  ///< Of a string, or of a status as "OK".
  int64_t integer = 0;
};

/// One connection on one loop. After a failure it is of no use any more.
class RedisConnection final : private TransportHandler {
 public:
  using Callback = absl::AnyInvocable<void(absl::StatusOr<RedisReply>)>;

  /// The longest reply that is read.
  static constexpr size_t kMaxReplyBytes = 64 * 1024;

  /// `scheduler` must outlive the connection.
  RedisConnection(Scheduler& scheduler, std::unique_ptr<Transport> transport);

  /// No callback comes after this.
  ~RedisConnection();
  RedisConnection(const RedisConnection&) = delete;
  RedisConnection& operator=(const RedisConnection&) = delete;

  /// Sends `command` and calls `done` once, from the loop and never from inside this call; the
  /// connection may be destroyed in it. One at a time. Fails with ErrorCode::kConfiguration where
  /// Redis refuses the command, which it then quotes, and with kTransport where the connection
  /// ends, or what comes is no reply, an array, or over `kMaxReplyBytes`.
  void Call(const std::vector<absl::string_view>& command, Callback done);

 private:
  void OnReadable() override;
  void OnWritable() override;
  bool TakeReply();
  void Fail(absl::string_view what);
  void Finish(absl::StatusOr<RedisReply> reply);

  Scheduler& scheduler_;
  const std::unique_ptr<Transport> transport_;
  redisReader* reader_;
  std::string name_;  // Of the command under way.
  std::string to_send_;
  size_t sent_bytes_ = 0;
  size_t reply_bytes_ = 0;
  Callback done_;
  Timer kick_;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_REDIS_REDIS_CONNECTION_H_
