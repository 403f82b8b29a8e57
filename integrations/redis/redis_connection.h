// RedisConnection: sends commands to a Redis server and reads the replies, over any transport and
// without blocking. hiredis formats and parses them.
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

/// A reply of Redis. Errors are reported as a Status instead.
struct RedisReply {
  enum class Kind : uint8_t { kNil, kText, kInteger };
  Kind kind = Kind::kNil;
  std::string text;  ///< Of a string or a status, such as "OK".
  int64_t integer = 0;
};

/// One connection on one loop. After a failure it cannot be used any more.
class RedisConnection final : private TransportHandler {
 public:
  using Callback = absl::AnyInvocable<void(absl::StatusOr<RedisReply>)>;

  /// The maximum size of a reply.
  static constexpr size_t kMaxReplyBytes = 64 * 1024;

  /// Takes ownership of `transport`. `scheduler` must outlive the connection.
  RedisConnection(Scheduler& scheduler, std::unique_ptr<Transport> transport);

  /// Closes the connection. A pending callback is not called.
  ~RedisConnection();
  RedisConnection(const RedisConnection&) = delete;
  RedisConnection& operator=(const RedisConnection&) = delete;

  /// Sends `command` and calls `done` once, from the loop and never from inside this call; the
  /// connection may be destroyed in it. Only one command may be pending. Fails with
  /// ErrorCode::kConfiguration, naming the command, if Redis rejects it. Fails with kTransport if
  /// the connection ends, or if the reply is invalid, an array, or larger than `kMaxReplyBytes`.
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
  std::string name_;  // Of the pending command.
  std::string to_send_;
  size_t sent_bytes_ = 0;
  size_t reply_bytes_ = 0;
  Callback done_;
  Timer kick_;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_REDIS_REDIS_CONNECTION_H_
