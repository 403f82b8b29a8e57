#include "lib/proxy/connection_set.h"

#include <algorithm>
#include <utility>

namespace trestle {
namespace {

// Maximum number of pending generations. Only a host that reloads constantly exceeds it.
constexpr size_t kMaxEndings = 64;

// Maximum number of dials that go on without their connections.
constexpr size_t kMostLeftDials = 16;

// The divisor of the drain time: one such part is for last bytes.
constexpr int kClosingShareOfDrain = 4;

}  // namespace

ConnectionSet::~ConnectionSet() { CutAll(); }

void ConnectionSet::Serve(Accepted accepted) {
  // A router with the same limiter has already counted the connection.
  if (options.limiter != nullptr && accepted.slot.limiter() != options.limiter) {
    accepted.slot = ConnectionSlot::Take(options.limiter);
    if (accepted.slot.limiter() == nullptr) {
      accepted.transport->Abort();
      if (observer != nullptr) observer->OnTurnedAway(Limit::kConnections);
      return;
    }
  }
  const uint64_t id = ++last_id_;
  auto connection = std::make_unique<Connection>(*this, id);
  Connection& started = *connection;
  open_.emplace(id, std::move(connection));
  started.Start(std::move(accepted));
}

bool ConnectionSet::holds_buffers() const {
  for (const auto& [id, connection] : open_) {
    if (connection->holds_buffers()) return true;
  }
  return false;
}

void ConnectionSet::Drain(absl::Duration timeout, absl::AnyInvocable<void()> done) {
  drained_ = std::move(done);
  // Ending a connection also takes time, which is a part of the timeout.
  const absl::Duration for_closing =
      std::min(options.close_timeout, timeout / kClosingShareOfDrain);
  drain_warning_ = scheduler.RunAfter(timeout - for_closing, [this] { CancelAll(); });
  drain_deadline_ = scheduler.RunAfter(timeout, [this] { CutAll(); });
  if (open_.empty()) ClearGraveyard();
}

template <typename Condition>
void ConnectionSet::CancelWhere(Condition condition, absl::string_view why) {
  std::vector<uint64_t> ids;
  for (const auto& [id, connection] : open_) {
    if (condition(*connection)) ids.push_back(id);
  }
  for (const uint64_t id : ids) {
    // The observer of one connection may have ended another.
    const auto found = open_.find(id);
    if (found != open_.end()) found->second->Cancel(why);
  }
}

void ConnectionSet::CancelAll() {
  CancelWhere([](const Connection&) { return true; }, "the time to drain ran out");
}

void ConnectionSet::CutAll() {
  // Cut() calls Bury(), which changes the map: take the connections out first.
  auto open = std::exchange(open_, {});
  for (auto& [id, connection] : open) connection->Cut();
  for (auto& [id, connection] : open) graveyard_.push_back(std::move(connection));
  ClearGraveyard();
}

void ConnectionSet::Dismiss(std::unique_ptr<Transport> leg) {
  const uint64_t id = ++last_leaving_;
  StreamCloserOptions closing;
  closing.linger = false;
  closing.limit = options.close_timeout;
  auto leaving = std::make_unique<StreamCloser>(scheduler, std::move(leg), std::move(closing));
  if (leaving->Start([this, id] { leaving_.erase(id); })) return;
  leaving_.emplace(id, std::move(leaving));
}

void ConnectionSet::DrainOlderCertificates(uint64_t generation, absl::Duration timeout) {
  const MonotonicTime at = scheduler.MonotonicNow() + timeout;
  if (endings_.size() < kMaxEndings) {
    endings_.push_back({generation, at});
  } else {
    Ending& last = endings_.back();
    last = {std::max(last.generation, generation), std::max(last.at, at)};
  }
  EndGenerations();
}

bool ConnectionSet::IsTooOld(const Connection& connection) const {
  const uint64_t generation = connection.certificate_generation();
  return generation != 0 && generation < oldest_generation_;
}

void ConnectionSet::EndGenerations() {
  const MonotonicTime now = scheduler.MonotonicNow();
  const uint64_t oldest_before = oldest_generation_;
  MonotonicTime next = MonotonicTime::InfiniteFuture();
  for (const Ending& ending : endings_) {
    if (ending.at > now) {
      next = std::min(next, ending.at);
    } else {
      oldest_generation_ = std::max(oldest_generation_, ending.generation);
    }
  }
  endings_.erase(std::remove_if(endings_.begin(), endings_.end(),
                                [now](const Ending& ending) { return ending.at <= now; }),
                 endings_.end());
  next_ending_ = next == MonotonicTime::InfiniteFuture()
                     ? nullptr
                     : scheduler.RunAfter(next - now, [this] { EndGenerations(); });
  if (oldest_generation_ == oldest_before) return;
  CancelWhere([this](const Connection& open) { return IsTooOld(open); }, kCertificatesReplaced);
}

void ConnectionSet::Bury(uint64_t id) {
  const auto found = open_.find(id);
  if (found == open_.end()) return;
  graveyard_.push_back(std::move(found->second));
  open_.erase(found);
  if (graveyard_.size() == 1) ClearGraveyard();
}

void ConnectionSet::ClearGraveyard() {
  burial_ = scheduler.RunAfter(absl::ZeroDuration(), [this] {
    graveyard_.clear();
    FinishDrainIfEmpty();
  });
}

void ConnectionSet::FinishDrainIfEmpty() {
  if (!open_.empty() || !drained_) return;
  drain_warning_.reset();
  drain_deadline_.reset();
  // The call may destroy the block.
  absl::AnyInvocable<void()> drained = std::exchange(drained_, nullptr);
  drained();
}

void ConnectionSet::AwaitLeft(std::unique_ptr<DialTry> dial, const BackendChooser::Shown& shown) {
  if (left_dials_.size() >= kMostLeftDials) return chooser.Abandoned(dial->backend(), shown);
  const uint64_t id = ++last_left_;
  dial->GiveTo([this, id](const absl::StatusOr<std::unique_ptr<Transport>>& result) {
    EndLeft(id, result.status());
  });
  Timer limit = scheduler.RunAfter(options.dial_timeout, [this, id] {
    EndLeft(id, MakeError(ErrorCode::kTimeout, Leg::kBack, Phase::kDial,
                          "no answer, while another backend of the connection had accepted it"));
  });
  left_dials_.emplace(id, LeftDial{std::move(dial), shown, std::move(limit)});
}

void ConnectionSet::EndLeft(uint64_t id, const absl::Status& status) {
  const auto found = left_dials_.find(id);
  const LeftDial left = std::move(found->second);
  left_dials_.erase(found);
  const BackendChooser::Candidate& backend = left.dial->backend();
  if (!status.ok() && BlamesBackend(status)) {
    chooser.Failed(backend, {}, AtLeg(status, Leg::kBack, Phase::kDial), options.ejection,
                   scheduler.MonotonicNow());
  }
  chooser.Abandoned(backend, left.shown);
}

}  // namespace trestle
