// AsioScheduler: a Scheduler on an Asio executor, for hosts that run all of Trestle on Asio itself.
#ifndef TRESTLE_INTEGRATIONS_ASIO_ASIO_SCHEDULER_H_
#define TRESTLE_INTEGRATIONS_ASIO_ASIO_SCHEDULER_H_

#include <asio.hpp>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "trestle/io/scheduler.h"

namespace trestle {

/// Makes its calls from the handlers of an executor: that of an io_context which one thread runs,
/// or a strand. All other calls come from there too, except `PostFromAnyThread`.
class AsioScheduler final : public Scheduler {
 public:
  /// The context of `executor` must outlive the scheduler.
  explicit AsioScheduler(asio::any_io_executor executor);

  /// Drops all pending calls. Timers may outlive the scheduler.
  ~AsioScheduler() override;
  AsioScheduler(const AsioScheduler&) = delete;
  AsioScheduler& operator=(const AsioScheduler&) = delete;

  absl::Time Now() const override;
  MonotonicTime MonotonicNow() const override;
  void PostFromAnyThread(absl::AnyInvocable<void()> call) override;
  [[nodiscard]] Timer RunAfter(absl::Duration delay, absl::AnyInvocable<void()> call) override;

  const asio::any_io_executor& executor() const { return executor_; }

 private:
  struct State;
  class Pending;

  const asio::any_io_executor executor_;
  const std::shared_ptr<State> state_;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_ASIO_ASIO_SCHEDULER_H_
