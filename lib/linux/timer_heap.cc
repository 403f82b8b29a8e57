#include "lib/linux/timer_heap.h"

#include <memory>
#include <utility>

namespace trestle {

// The caller's handle. Stores its position in the heap while armed.
class TimerHeap::Handle final : public PendingCall {
 public:
  Handle(TimerHeap& heap, absl::AnyInvocable<void()> call) : heap(&heap), call(std::move(call)) {}

  ~Handle() override {
    if (heap != nullptr) heap->Remove(index);
  }

  TimerHeap* heap;  // Null after the call, or if the heap is gone.
  size_t index = 0;
  absl::AnyInvocable<void()> call;
};

void TimerHeap::Clear() {
  // One by one: destroying a call's captures may destroy other timers.
  while (!nodes_.empty()) Remove(nodes_.size() - 1);
}

Timer TimerHeap::Add(int64_t due_ns, absl::AnyInvocable<void()> call) {
  auto handle = std::make_unique<Handle>(*this, std::move(call));
  const Node node = {due_ns, ++armed_, handle.get()};
  nodes_.push_back(node);
  SiftUp(nodes_.size() - 1, node);
  return handle;
}

void TimerHeap::RunDue(int64_t now_ns) {
  const uint64_t last_serial = armed_;
  while (!nodes_.empty() && nodes_.front().due_ns <= now_ns && now_ns != kNever) {
    // Timers armed in this run are due at `now_ns` at the earliest, so they come after the others.
    if (nodes_.front().serial > last_serial) return;
    absl::AnyInvocable<void()> call = Remove(0);
    call();
  }
}

absl::AnyInvocable<void()> TimerHeap::Remove(size_t index) {
  Handle& handle = *nodes_[index].handle;
  absl::AnyInvocable<void()> call = std::move(handle.call);
  handle.heap = nullptr;
  const Node last = nodes_.back();
  nodes_.pop_back();
  if (index == nodes_.size()) return call;
  if (index > 0 && Earlier(last, nodes_[(index - 1) / 2])) {
    SiftUp(index, last);
  } else {
    SiftDown(index, last);
  }
  return call;
}

void TimerHeap::Place(size_t index, const Node& node) {
  nodes_[index] = node;
  node.handle->index = index;
}

void TimerHeap::SiftUp(size_t index, const Node& node) {
  while (index > 0) {
    const size_t parent = (index - 1) / 2;
    if (!Earlier(node, nodes_[parent])) break;
    Place(index, nodes_[parent]);
    index = parent;
  }
  Place(index, node);
}

void TimerHeap::SiftDown(size_t index, const Node& node) {
  while (true) {
    size_t child = 2 * index + 1;
    if (child >= nodes_.size()) break;
    if (child + 1 < nodes_.size() && Earlier(nodes_[child + 1], nodes_[child])) ++child;
    if (!Earlier(nodes_[child], node)) break;
    Place(index, nodes_[child]);
    index = child;
  }
  Place(index, node);
}

}  // namespace trestle
