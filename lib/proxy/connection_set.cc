#include "lib/proxy/connection_set.h"

#include <utility>

namespace trestle {

ConnectionSet::~ConnectionSet() {
  // Cut() calls Bury(), which changes the map: take the connections out first.
  auto open = std::move(open_);
  open_.clear();
  for (auto& [id, connection] : open) connection->Cut();
}

void ConnectionSet::Serve(std::unique_ptr<Transport> transport) {
  if (!limiter.AllowsConnection(open_.size())) return transport->Abort();
  const uint64_t id = ++last_id_;
  auto connection = std::make_unique<Connection>(*this, id);
  Connection& started = *connection;
  open_.emplace(id, std::move(connection));
  started.Start(std::move(transport));
}

bool ConnectionSet::holds_buffers() const {
  for (const auto& [id, connection] : open_) {
    if (connection->holds_buffers()) return true;
  }
  return false;
}

void ConnectionSet::Drain(absl::Duration timeout, absl::AnyInvocable<void()> done) {
  drained_ = std::move(done);
  drain_deadline_ = scheduler.RunAfter(timeout, [this] { CancelAll(); });
  if (open_.empty())
    burial_ = scheduler.RunAfter(absl::ZeroDuration(), [this] { FinishDrainIfEmpty(); });
}

void ConnectionSet::CancelAll() {
  std::vector<uint64_t> ids;
  ids.reserve(open_.size());
  for (const auto& [id, connection] : open_) ids.push_back(id);
  for (const uint64_t id : ids) {
    // The observer of one may have ended another.
    const auto found = open_.find(id);
    if (found != open_.end()) found->second->Cancel("the time to drain ran out");
  }
}

void ConnectionSet::Bury(uint64_t id) {
  const auto found = open_.find(id);
  if (found == open_.end()) return;
  graveyard_.push_back(std::move(found->second));
  open_.erase(found);
  if (graveyard_.size() > 1) return;
  burial_ = scheduler.RunAfter(absl::ZeroDuration(), [this] {
    graveyard_.clear();
    FinishDrainIfEmpty();
  });
}

void ConnectionSet::FinishDrainIfEmpty() {
  if (!open_.empty() || !drained_) return;
  drain_deadline_.reset();
  // The block may be destroyed by the call.
  absl::AnyInvocable<void()> drained = std::exchange(drained_, nullptr);
  drained();
}

}  // namespace trestle
