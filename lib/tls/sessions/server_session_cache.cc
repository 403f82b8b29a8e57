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
  const absl::string_view id = IdOf(session.get());
  if (max_sessions_ == 0 || by_id_.Peek(id) != nullptr) return;
  if (by_id_.size() >= max_sessions_) by_id_.DropOldest();
  *by_id_.UseOrAdd(id).first = std::move(session);
}

bssl::UniquePtr<SSL_SESSION> ServerSessionMemory::Find(absl::string_view id) {
  const absl::MutexLock lock(&mutex_);
  const bssl::UniquePtr<SSL_SESSION>* const found = by_id_.Use(id);
  return found == nullptr ? nullptr : bssl::UpRef(*found);
}

void ServerSessionMemory::Clear() {
  const absl::MutexLock lock(&mutex_);
  by_id_.Clear();
}

size_t ServerSessionMemory::sessions() const {
  const absl::MutexLock lock(&mutex_);
  return by_id_.size();
}

ServerSessionCache::ServerSessionCache(size_t max_sessions)
    : memory_(std::make_unique<ServerSessionMemory>(max_sessions)) {}

ServerSessionCache::~ServerSessionCache() = default;

size_t ServerSessionCache::sessions() const { return memory_->sessions(); }
void ServerSessionCache::Clear() { memory_->Clear(); }

}  // namespace trestle
