#include "trestle/tls/server_session_cache.h"

#include <utility>

#include "lib/tls/sessions/server_session_memory.h"
#include "trestle/base/bytes.h"

namespace trestle {
namespace {

absl::string_view IdOf(const SSL_SESSION* session) {
  unsigned bytes = 0;
  const uint8_t* id = SSL_SESSION_get_id(session, &bytes);
  return AsText(ByteView(id, bytes));
}

}  // namespace

void ServerSessionMemory::Put(bssl::UniquePtr<SSL_SESSION> session) {
  const absl::MutexLock lock(&mutex_);
  if (max_sessions_ == 0 || by_id_.contains(IdOf(session.get()))) return;
  if (by_use_.size() >= max_sessions_) {
    by_id_.erase(IdOf(by_use_.back().get()));
    by_use_.pop_back();
  }
  by_use_.push_front(std::move(session));
  by_id_.emplace(IdOf(by_use_.front().get()), by_use_.begin());
}

bssl::UniquePtr<SSL_SESSION> ServerSessionMemory::Find(absl::string_view id) {
  const absl::MutexLock lock(&mutex_);
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return nullptr;
  by_use_.splice(by_use_.begin(), by_use_, found->second);
  return bssl::UpRef(by_use_.front());
}

void ServerSessionMemory::Clear() {
  const absl::MutexLock lock(&mutex_);
  by_id_.clear();
  by_use_.clear();
}

size_t ServerSessionMemory::sessions() const {
  const absl::MutexLock lock(&mutex_);
  return by_use_.size();
}

ServerSessionCache::ServerSessionCache(size_t max_sessions)
    : memory_(std::make_unique<ServerSessionMemory>(max_sessions)) {}

ServerSessionCache::~ServerSessionCache() = default;

size_t ServerSessionCache::sessions() const { return memory_->sessions(); }
void ServerSessionCache::Clear() { memory_->Clear(); }

}  // namespace trestle
