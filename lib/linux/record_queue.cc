#include "lib/linux/record_queue.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <deque>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/memory/memory.h"
#include "absl/synchronization/mutex.h"
#include "lib/linux/system_error.h"
#include "trestle/linux/owned_fd.h"

namespace trestle {
namespace {

constexpr size_t kBatchBytes = 4096;
// The time in which a consumer must give up.
constexpr absl::Duration kGiveUpTime = absl::Milliseconds(200);

}  // namespace

struct RecordQueue::State {
  State(size_t max, std::unique_ptr<RecordConsumer> with, OwnedFd fd)
      : max_bytes(max), consumer(std::move(with)), give_up(std::move(fd)) {}

  void Run();
  std::vector<QueuedRecord> NextBatch() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void Finish(const std::vector<QueuedRecord>& batch) ABSL_LOCKS_EXCLUDED(mutex);

  bool HasNews() const ABSL_SHARED_LOCKS_REQUIRED(mutex) { return !waiting.empty() || stopped; }
  bool IsIdle() const ABSL_SHARED_LOCKS_REQUIRED(mutex) { return ended || (!busy && !HasNews()); }

  const size_t max_bytes;
  const std::unique_ptr<RecordConsumer> consumer;
  const OwnedFd give_up;  // An eventfd.
  absl::Mutex mutex;
  std::deque<QueuedRecord> waiting ABSL_GUARDED_BY(mutex);
  size_t bytes ABSL_GUARDED_BY(mutex) = 0;  // Of pending records and those being consumed.
  uint64_t dropped ABSL_GUARDED_BY(mutex) = 0;
  uint64_t dropped_since ABSL_GUARDED_BY(mutex) = 0;  // Since the last added record.
  bool full ABSL_GUARDED_BY(mutex) = false;           // Until half of the space is free.
  bool busy ABSL_GUARDED_BY(mutex) = false;
  bool stopped ABSL_GUARDED_BY(mutex) = false;
  bool giving_up ABSL_GUARDED_BY(mutex) = false;
  bool ended ABSL_GUARDED_BY(mutex) = false;
};

absl::StatusOr<std::unique_ptr<RecordQueue>> RecordQueue::Start(
    size_t max_bytes, std::unique_ptr<RecordConsumer> consumer) {
  OwnedFd give_up(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!give_up.valid()) return SystemError("cannot open an eventfd", errno);
  auto state = std::make_shared<State>(max_bytes, std::move(consumer), std::move(give_up));
  absl::StatusOr<Thread> thread = Thread::Start([state] { state->Run(); });
  if (!thread.ok()) return thread.status();
  return absl::WrapUnique(new RecordQueue(std::move(state), *std::move(thread)));
}

RecordQueue::RecordQueue(std::shared_ptr<State> state, Thread thread)
    : state_(std::move(state)), thread_(std::move(thread)) {}

RecordQueue::~RecordQueue() { Stop(absl::ZeroDuration()); }

bool RecordQueue::Push(std::string record) {
  absl::MutexLock lock(&state_->mutex);
  const size_t room = state_->full ? state_->max_bytes / 2 : state_->max_bytes;
  state_->full = state_->bytes > room || record.size() > room - state_->bytes;
  if (state_->full || state_->stopped) {
    ++state_->dropped;
    ++state_->dropped_since;
    return false;
  }
  state_->bytes += record.size();
  state_->waiting.push_back({std::move(record), std::exchange(state_->dropped_since, 0)});
  return true;
}

bool RecordQueue::Flush(absl::Duration limit) {
  absl::MutexLock lock(&state_->mutex);
  return state_->mutex.AwaitWithTimeout(absl::Condition(state_.get(), &State::IsIdle), limit);
}

void RecordQueue::Stop(absl::Duration limit) {
  bool ended = false;
  {
    absl::MutexLock lock(&state_->mutex);
    state_->stopped = true;
    ended = state_->mutex.AwaitWithTimeout(absl::Condition(&state_->ended), limit);
    if (!ended) {
      state_->giving_up = true;
      // Can't fail: the count is far from its limit.
      [[maybe_unused]] const int result = eventfd_write(state_->give_up.get(), 1);
      ended = state_->mutex.AwaitWithTimeout(absl::Condition(&state_->ended), kGiveUpTime);
    }
  }
  if (!ended) return thread_.Detach();
  thread_.Join();
}

uint64_t RecordQueue::dropped() const {
  absl::MutexLock lock(&state_->mutex);
  return state_->dropped;
}

void RecordQueue::State::Run() {
  while (true) {
    std::vector<QueuedRecord> batch;
    {
      absl::MutexLock lock(&mutex);
      mutex.Await(absl::Condition(this, &State::HasNews));
      if (waiting.empty() || giving_up) {
        dropped += waiting.size();
        waiting.clear();
        ended = true;
        return;
      }
      batch = NextBatch();
    }
    consumer->Consume(batch, give_up.get());
    Finish(batch);
  }
}

std::vector<QueuedRecord> RecordQueue::State::NextBatch() {
  std::vector<QueuedRecord> batch;
  size_t batch_bytes = 0;
  do {
    batch_bytes += waiting.front().bytes.size();
    batch.push_back(std::move(waiting.front()));
    waiting.pop_front();
  } while (!waiting.empty() && batch_bytes + waiting.front().bytes.size() <= kBatchBytes);
  busy = true;
  return batch;
}

void RecordQueue::State::Finish(const std::vector<QueuedRecord>& batch) {
  uint64_t dropped_last = 0;
  {
    absl::MutexLock lock(&mutex);
    for (const QueuedRecord& record : batch) bytes -= record.bytes.size();
    if (waiting.empty()) dropped_last = std::exchange(dropped_since, 0);
    busy = dropped_last > 0;
  }
  if (dropped_last == 0) return;
  consumer->OnEmpty(dropped_last, give_up.get());
  absl::MutexLock lock(&mutex);
  busy = false;
}

}  // namespace trestle
