// TimerHeap: the timers of one loop, as a binary heap of pointers to the callers' handles.
#ifndef TRESTLE_LIB_LINUX_TIMER_HEAP_H_
#define TRESTLE_LIB_LINUX_TIMER_HEAP_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "trestle/io/scheduler.h"

namespace trestle {

/// Timers ordered by due time, in nanoseconds of any clock. Timers due at the same time run in the
/// order of arming. Arming and cancelling take O(log n).
class TimerHeap {
 public:
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

  TimerHeap() = default;

  /// Timers may outlive the heap.
  ~TimerHeap() { Clear(); }
  TimerHeap(const TimerHeap&) = delete;
  TimerHeap& operator=(const TimerHeap&) = delete;

  /// Arms a timer that is due at `due_ns`; kNever is never due.
  Timer Add(int64_t due_ns, absl::AnyInvocable<void()> call);

  /// Returns when the first timer is due; kNever if there is none.
  int64_t next_due_ns() const { return nodes_.empty() ? kNever : nodes_.front().due_ns; }

  bool empty() const { return nodes_.empty(); }

  /// Drops all calls.
  void Clear();

  /// Makes the calls that are due at `now_ns`, except those armed meanwhile.
  void RunDue(int64_t now_ns);

 private:
  class Handle;
  struct Node {
    int64_t due_ns;
    uint64_t serial;
    Handle* handle;
  };

  static bool Earlier(const Node& a, const Node& b) {
    return a.due_ns != b.due_ns ? a.due_ns < b.due_ns : a.serial < b.serial;
  }
  void Place(size_t index, const Node& node);
  void SiftUp(size_t index, const Node& node);
  void SiftDown(size_t index, const Node& node);

  // Removes the node at `index` and returns its call.
  absl::AnyInvocable<void()> Remove(size_t index);

  std::vector<Node> nodes_;
  uint64_t armed_ = 0;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_LINUX_TIMER_HEAP_H_
