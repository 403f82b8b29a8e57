#include "trestle/proxy/backend_state.h"

#include <algorithm>
#include <utility>

namespace trestle {
namespace {

// The maximum number of failure records of one backend, one for each client data.
constexpr size_t kMostFailing = 1024;

// The minimum time between sweeps, which visit all records.
constexpr absl::Duration kBetweenSweeps = absl::Seconds(1);

// The share of connections at the beginning of a slow start.
constexpr double kFirstShare = 0.1;

int64_t Nanoseconds(MonotonicTime time) { return absl::ToInt64Nanoseconds(time.since_start()); }

}  // namespace

absl::string_view EnumName(BackendCondition condition) {
  switch (condition) {
    case BackendCondition::kUnchecked:
      return "unchecked";
    case BackendCondition::kUp:
      return "up";
    case BackendCondition::kSlowStart:
      return "slow_start";
    case BackendCondition::kEjected:
      return "ejected";
    case BackendCondition::kDown:
      return "down";
    case BackendCondition::kDraining:
      return "draining";
  }
  return "unchecked";
}

std::ostream& operator<<(std::ostream& out, BackendCondition condition) {
  return out << EnumName(condition);
}

BackendState::BackendState(absl::Duration slow_start,
                           std::shared_ptr<std::atomic<uint64_t>> changes)
    : slow_start_(slow_start), changes_(std::move(changes)) {}

BackendState::Fitness BackendState::FitnessFor(const Shown& shown, MonotonicTime now) const {
  if (draining_) return Fitness::kDraining;
  if (down_) return Fitness::kDown;
  if (!failing_) return Fitness::kFit;
  absl::ReaderMutexLock lock(&mutex_);
  const bool ejected = IsEjected(Shown(), now) || (!shown.empty() && IsEjected(shown, now));
  return ejected ? Fitness::kEjected : Fitness::kFit;
}

bool BackendState::IsEjected(const Shown& shown, MonotonicTime now) const {
  const auto found = failures_.find(shown);
  return found != failures_.end() && now < found->second.ejected_until;
}

uint32_t BackendState::ShareOf(uint32_t weight, MonotonicTime now) const {
  if (!StartsSlowly(now)) return weight;
  const absl::Duration back_for = absl::Nanoseconds(Nanoseconds(now) - slow_since_);
  const double share = std::clamp(absl::FDivDuration(back_for, slow_start_), kFirstShare, 1.0);
  return std::max<uint32_t>(1, static_cast<uint32_t>(static_cast<double>(weight) * share));
}

void BackendState::StartSlowly(MonotonicTime now) {
  if (slow_start_ > absl::ZeroDuration()) slow_since_ = Nanoseconds(now);
}

bool BackendState::StartsSlowly(MonotonicTime now) const {
  const int64_t since = slow_since_;
  return since != INT64_MIN && absl::Nanoseconds(Nanoseconds(now) - since) < slow_start_;
}

// Returns the failures of connections that sent nothing, and of those that sent `shown`; null for
// none.
std::array<BackendState::Failures*, 2> BackendState::Both(const Shown& shown) {
  const auto for_all = failures_.find(Shown());
  const auto for_shown = shown.empty() ? failures_.end() : failures_.find(shown);
  return {for_all == failures_.end() ? nullptr : &for_all->second,
          for_shown == failures_.end() ? nullptr : &for_shown->second};
}

void BackendState::Try(const Shown& shown, MonotonicTime now) {
  if (!failing_) return;
  absl::MutexLock lock(&mutex_);
  for (Failures* const failures : Both(shown)) {
    if (failures == nullptr || failures->ejection == absl::ZeroDuration()) continue;
    if (now < failures->ejected_until) continue;
    failures->ejected_until = now + failures->ejection;
    failures->is_tried = true;
  }
}

void BackendState::Failed(const Shown& shown, const absl::Status& why,
                          const EjectionOptions& options, MonotonicTime now) {
  if (options.after_failures == 0) return;
  absl::MutexLock lock(&mutex_);
  if (!HasRoomFor(shown, now)) return;
  Failures& failures = failures_[shown];
  failing_ = true;
  failures.is_tried = false;
  if (++failures.count < options.after_failures) return;
  const bool first = failures.ejection == absl::ZeroDuration();
  failures.ejection = first ? options.first : std::min(2 * failures.ejection, options.longest);
  failures.ejected_until = now + failures.ejection;
  if (!shown.empty()) return;
  failure_ = ToError(why);
  ++ejections_;
  if (first && changes_ != nullptr) ++*changes_;
}

void BackendState::Succeeded(const Shown& shown, MonotonicTime now) {
  if (!failing_) return;
  absl::MutexLock lock(&mutex_);
  const Failures* const for_all = Both(shown)[0];
  const bool was_ejected = for_all != nullptr && for_all->ejection > absl::ZeroDuration();
  failures_.erase(Shown());
  failures_.erase(shown);
  failing_ = !failures_.empty();
  if (!was_ejected) return;
  failure_.reset();
  StartSlowly(now);
  if (changes_ != nullptr) ++*changes_;
}

void BackendState::Abandoned(const Shown& shown) {
  if (!failing_) return;
  absl::MutexLock lock(&mutex_);
  for (Failures* const failures : Both(shown)) {
    if (failures == nullptr || !std::exchange(failures->is_tried, false)) continue;
    failures->ejected_until = MonotonicTime();
  }
}

// Clients control the shown data. They can neither exceed this memory nor evict records that are
// still in effect.
bool BackendState::HasRoomFor(const Shown& shown, MonotonicTime now) {
  if (failures_.size() < kMostFailing || failures_.contains(shown)) return true;
  if (now - swept_at_ >= kBetweenSweeps) {
    swept_at_ = now;
    absl::erase_if(failures_, [&](const auto& entry) {
      return now >= entry.second.ejected_until && !entry.first.empty();
    });
  }
  return shown.empty() || failures_.size() < kMostFailing;
}

void BackendState::SetChecked(bool up, MonotonicTime now) {
  const bool was_down = down_.exchange(!up);
  checked_ = true;
  if (!up || !was_down) return;
  StartSlowly(now);
  absl::MutexLock lock(&mutex_);
  failures_.clear();
  failing_ = false;
  failure_.reset();
}

void BackendState::SetDraining(std::string by, MonotonicTime now) {
  const bool drains = !by.empty();
  {
    absl::MutexLock lock(&mutex_);
    drained_by_ = std::move(by);
  }
  if (draining_.exchange(drains) && !drains) StartSlowly(now);
}

BackendStatus BackendState::StatusAt(MonotonicTime now) const {
  BackendStatus status;
  if (checked_) status.condition = BackendCondition::kUp;
  if (StartsSlowly(now)) status.condition = BackendCondition::kSlowStart;
  {
    absl::ReaderMutexLock lock(&mutex_);
    status.ejections = ejections_;
    status.failure = failure_;
    status.drained_by = drained_by_;
    for (const auto& [shown, failures] : failures_) {
      if (failures.ejection == absl::ZeroDuration()) continue;
      if (!shown.empty()) {
        status.partly += now < failures.ejected_until ? 1 : 0;
        continue;
      }
      status.condition = BackendCondition::kEjected;
      status.ejected_for = std::max(absl::ZeroDuration(), failures.ejected_until - now);
    }
  }
  if (down_) status.condition = BackendCondition::kDown;
  if (draining_) status.condition = BackendCondition::kDraining;
  return status;
}

bool BlamesBackend(const absl::Status& failure) {
  const std::optional<Error> error = GetError(failure);
  if (!error.has_value()) return true;
  switch (error->code) {
    case ErrorCode::kInternal:
    case ErrorCode::kOverLimit:
    case ErrorCode::kConfiguration:
    case ErrorCode::kCancelled:
      return false;
    default:
      return true;
  }
}

}  // namespace trestle
