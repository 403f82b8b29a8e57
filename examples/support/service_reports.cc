#include "examples/support/service_reports.h"

#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "examples/support/log.h"
#include "examples/support/program.h"

namespace trestle::examples {
namespace {

constexpr int64_t kMaxWatchdogMicroseconds = 24LL * 3600 * 1'000'000;

absl::string_view Variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? absl::string_view() : value;
}

// Returns zero if the manager wants no reports of this process.
absl::StatusOr<absl::Duration> WatchdogTime() {
  const absl::string_view text = Variable("WATCHDOG_USEC");
  const absl::string_view process = Variable("WATCHDOG_PID");
  if (text.empty()) return absl::ZeroDuration();
  if (!process.empty() && process != absl::StrCat(getpid())) return absl::ZeroDuration();
  int64_t microseconds = 0;
  if (!absl::SimpleAtoi(text, &microseconds) || microseconds < 1 ||
      microseconds > kMaxWatchdogMicroseconds) {
    return absl::InvalidArgumentError(
        "the environment's WATCHDOG_USEC is no number of microseconds up to a day");
  }
  return absl::Microseconds(microseconds);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ServiceReports>> ServiceReports::FromEnvironment() {
  const absl::string_view address = Variable("NOTIFY_SOCKET");
  if (address.empty()) return nullptr;
  absl::StatusOr<std::unique_ptr<ServiceNotifier>> manager = ServiceNotifier::Create(address);
  if (!manager.ok()) return CannotUse("the environment's NOTIFY_SOCKET", manager.status());
  const absl::StatusOr<absl::Duration> watchdog_time = WatchdogTime();
  if (!watchdog_time.ok()) return watchdog_time.status();
  return absl::WrapUnique(new ServiceReports(*std::move(manager), *watchdog_time));
}

ServiceReports::ServiceReports(std::unique_ptr<ServiceNotifier> manager,
                               absl::Duration watchdog_time)
    : manager_(std::move(manager)), watchdog_time_(watchdog_time) {}

void ServiceReports::OnServing(const std::string& status, Scheduler& main_loop,
                               std::vector<Scheduler*> workers) {
  status_ = status;
  Note(manager_->Ready(status_));
  if (watchdog_time_ == absl::ZeroDuration()) return;
  Watchdog::Calls calls;
  calls.alive = [this] { Note(manager_->Alive()); };
  calls.late = [] {
    LogLine("a thread does not answer: the service manager's watchdog may end the program");
  };
  watchdog_ = std::make_unique<Watchdog>(main_loop, std::move(workers), watchdog_time_ / 2,
                                         std::move(calls));
}

void ServiceReports::OnReloading() {
  if (!stopping_) Note(manager_->Reloading());
}

void ServiceReports::OnReloaded() {
  if (!stopping_) Note(manager_->Ready(status_));
}

void ServiceReports::OnStopping(absl::Duration at_most) {
  stopping_ = true;
  Note(manager_->Stopping(at_most));
}

void ServiceReports::Note(const absl::Status& sent) {
  if (!sent.ok() && !last_failed_) LogLine(Sentence(sent));
  last_failed_ = !sent.ok();
}

}  // namespace trestle::examples
