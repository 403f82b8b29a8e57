// RecordQueue: a bounded queue of records, and the thread that consumes them. Private to the posix
// edge.
#ifndef TRESTLE_LIB_POSIX_RECORD_QUEUE_H_
#define TRESTLE_LIB_POSIX_RECORD_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "trestle/posix/thread.h"

namespace trestle {

struct QueuedRecord {
  std::string bytes;
  uint64_t dropped_before = 0;  ///< Records that found no room since the one before.
};

/// Writes records somewhere. All calls come from the queue's thread. `give_up` becomes readable
/// when the queue is to end without them.
class RecordConsumer {
 public:
  virtual ~RecordConsumer() = default;

  /// The next records: one, or several of together at most 4 KiB.
  virtual void Consume(const std::vector<QueuedRecord>& records, int give_up) = 0;

  /// No more records wait; `dropped` of them found no room since the last one.
  virtual void OnEmpty(uint64_t dropped, int give_up) = 0;
};

/// Thread-safe. Producers wait for a mutex at most, never for the consumer.
class RecordQueue {
 public:
  /// Starts the thread. Records of at most `max_bytes` together wait or are being consumed.
  static absl::StatusOr<std::unique_ptr<RecordQueue>> Start(
      size_t max_bytes, std::unique_ptr<RecordConsumer> consumer);

  /// As `Stop` without time.
  ~RecordQueue();
  RecordQueue(const RecordQueue&) = delete;
  RecordQueue& operator=(const RecordQueue&) = delete;

  /// Adds a record; false where it found no room. Once the queue is full, half of it has to become
  /// free first.
  bool Push(std::string record);

  /// Waits until all records are consumed; false where that takes longer than `limit`.
  bool Flush(absl::Duration limit);

  /// Waits for the consumer for at most `limit`, then has it give up, and ends the thread. A thread
  /// that still hangs in a system call is left behind. Further records find no room.
  void Stop(absl::Duration limit);

  /// Records that found no room, or were given up.
  uint64_t dropped() const;

 private:
  struct State;

  RecordQueue(std::shared_ptr<State> state, Thread thread);

  const std::shared_ptr<State> state_;  // The thread's, too.
  Thread thread_;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_POSIX_RECORD_QUEUE_H_
