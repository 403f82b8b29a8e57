// Loan: lends a connection's front leg to a handler of the host. The connection stays in control:
// it counts bytes, limits idle time, detects the end, and can take the leg back at any time.
#ifndef TRESTLE_LIB_PROXY_LOAN_H_
#define TRESTLE_LIB_PROXY_LOAN_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "trestle/base/monotonic_time.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/transport.h"

namespace trestle {

class Loan final {
 public:
  /// `scheduler` must outlive the loan.
  explicit Loan(Scheduler& scheduler)
      : scheduler_(scheduler), last_activity_(scheduler.MonotonicNow()) {}
  ~Loan();
  Loan(const Loan&) = delete;
  Loan& operator=(const Loan&) = delete;

  /// Returns `leg` in the form that the handler gets. Call it once. Calls `returned` once, from the
  /// loop, after the handler has destroyed it, unless `TakeBack` comes before.
  std::unique_ptr<Transport> Lend(std::unique_ptr<Transport> leg,
                                  absl::AnyInvocable<void()> returned);

  /// Takes the leg back, from the handler if it still has it. The handler's calls then fail with
  /// `why`, after the callbacks that it waits for.
  std::unique_ptr<Transport> TakeBack(const absl::Status& why);

  /// Returns the result of the handler's work: OK if it marked the end of the stream and no call
  /// failed before.
  absl::Status outcome() const;

  /// Returns whether the handler marked the end of its direction.
  bool end_marked() const { return bytes_at_our_end_.has_value(); }

  /// Returns whether both directions are over, so that the leg can be dropped at once.
  bool over() const { return aborted_ || (read_ended_ && write_ended_); }

  /// As `LegReport::left_unmarked`.
  bool left_unmarked() const { return left_unmarked_; }

  uint64_t bytes_read() const { return bytes_read_; }
  uint64_t bytes_written() const { return bytes_written_; }

  /// Returns when a byte or an end passed last.
  MonotonicTime last_activity() const { return last_activity_; }

 private:
  class LentTransport;

  void NoteRead(const IoResult& result);
  void NoteWritten(const IoResult& result);
  void NoteShutdown(StreamEnd end, const IoResult& result);
  void NoteAbort();
  void NoteFailure();
  void NoteReturn(std::unique_ptr<Transport> leg);

  Scheduler& scheduler_;
  LentTransport* lent_ = nullptr;   // Null once the handler has destroyed it.
  std::unique_ptr<Transport> leg_;  // Set from then on.
  absl::AnyInvocable<void()> returned_;
  Timer return_;
  absl::Status failure_;  // The first failure.
  std::optional<uint64_t> bytes_at_our_end_;
  bool read_ended_ = false;
  bool write_ended_ = false;
  bool aborted_ = false;
  bool left_unmarked_ = false;
  uint64_t bytes_read_ = 0;
  uint64_t bytes_written_ = 0;
  MonotonicTime last_activity_;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PROXY_LOAN_H_
