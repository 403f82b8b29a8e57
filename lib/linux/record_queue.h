// RecordQueue: a bounded queue of records, and the thread that consumes them. Private to the linux
// edge.
#ifndef TRESTLE_LIB_LINUX_RECORD_QUEUE_H_
#define TRESTLE_LIB_LINUX_RECORD_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "trestle/linux/thread.h"

namespace trestle {

struct QueuedRecord {
  std::string bytes;
  uint64_t dropped_before = 0;  ///< Number of records dropped since the previous one.
};

/// Consumes records, on the queue's thread. `give_up` becomes readable when the queue must end
/// before the records are written.
class RecordConsumer {
 public:
  virtual ~RecordConsumer() = default;

  /// Called with the next records: one, or several with at most 4 KiB together.
  virtual void Consume(const std::vector<QueuedRecord>& records, int give_up) = 0;

  /// Called when no records are pending; `dropped` records were dropped since the last one.
  virtual void OnEmpty(uint64_t dropped, int give_up) = 0;
};

/// Thread-safe. Producers wait at most for a mutex, never for the consumer.
class RecordQueue {
 public:
  /// Starts the thread. Pending records and those being consumed have at most `max_bytes` together.
  static absl::StatusOr<std::unique_ptr<RecordQueue>> Start(
      size_t max_bytes, std::unique_ptr<RecordConsumer> consumer);

  /// Calls `Stop` with no time.
  ~RecordQueue();
  RecordQueue(const RecordQueue&) = delete;
  RecordQueue& operator=(const RecordQueue&) = delete;

  /// Adds a record; returns false if it was dropped. Once the queue is full, half of it must become
  /// free first.
  bool Push(std::string record);

  /// Waits until all records are consumed; returns false if that takes longer than `limit`.
  bool Flush(absl::Duration limit);

  /// Waits for the consumer for at most `limit`, then makes it give up, and ends the thread. A
  /// thread that still blocks in a system call is left behind. Further records are dropped.
  void Stop(absl::Duration limit);

  /// Returns the number of records that were dropped or given up.
  uint64_t dropped() const;

 private:
  struct State;

  RecordQueue(std::shared_ptr<State> state, Thread thread);

  const std::shared_ptr<State> state_;  // Shared with the thread.
  Thread thread_;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_LINUX_RECORD_QUEUE_H_
