#include "trestle/tls/client_session_cache.h"

#include "lib/tls/sessions/session_memory.h"

namespace trestle {

ClientSessionCache::ClientSessionCache(const ClientSessionCacheOptions& options)
    : memory_(std::make_unique<SessionMemory>(options)) {}

ClientSessionCache::~ClientSessionCache() = default;

void ClientSessionCache::Clear() { memory_->Clear(); }
size_t ClientSessionCache::sessions() const { return memory_->sessions(); }
size_t ClientSessionCache::targets() const { return memory_->targets(); }
size_t ClientSessionCache::bytes() const { return memory_->bytes(); }

}  // namespace trestle
