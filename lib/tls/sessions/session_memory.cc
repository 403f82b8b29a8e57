#include "lib/tls/sessions/session_memory.h"

#include <openssl/pool.h>
#include <openssl/stack.h>

#include <utility>

namespace trestle {
namespace {

// Estimated bytes of an SSL_SESSION itself, a map entry and a list node.
constexpr size_t kSessionBytes = 1024;
constexpr size_t kTargetBytes = 256;

size_t BytesOf(const ClientSession& kept) {
  const uint8_t* ticket = nullptr;
  size_t bytes = 0;
  SSL_SESSION_get0_ticket(kept.session.get(), &ticket, &bytes);
  bytes += kSessionBytes;
  // Sessions of one server share these. Counting them each time overestimates, which is safe.
  const STACK_OF(CRYPTO_BUFFER)* chain = SSL_SESSION_get0_peer_certificates(kept.session.get());
  for (size_t i = 0; chain != nullptr && i < sk_CRYPTO_BUFFER_num(chain); ++i) {
    bytes += CRYPTO_BUFFER_len(sk_CRYPTO_BUFFER_value(chain, i));
  }
  return bytes;
}

// The server's lifetime, in whole seconds.
bool Outdated(const SSL_SESSION* session, absl::Time now) {
  const absl::Time made =
      absl::FromUnixSeconds(static_cast<int64_t>(SSL_SESSION_get_time(session)));
  return now < made - absl::Seconds(1) ||
         now >= made + absl::Seconds(SSL_SESSION_get_timeout(session));
}

}  // namespace

absl::string_view VerifiedPeer::Objection(absl::string_view policy, absl::Time now) const {
  if (policy != this->policy) return "the session was made under another policy";
  if (now > valid_until) return "a certificate that the session stands on has expired";
  return "";
}

ClientSession SessionMemory::Take(absl::string_view key, absl::string_view policy,
                                  const Scheduler& clock) {
  Target* const used = targets_.Use(key);
  if (used == nullptr) return {};
  Target& target = *used;
  const absl::Time now = clock.Now();
  while (!target.sessions.empty()) {
    const size_t newest = target.sessions.size() - 1;
    const ClientSession& kept = target.sessions[newest].session;
    const bool good = !Outdated(kept.session.get(), now) &&
                      clock.MonotonicNow() - kept.peer->verified_at < options_.max_age &&
                      kept.peer->Objection(policy, now).empty();
    ClientSession taken;
    if (good) taken = {bssl::UpRef(kept.session), kept.peer};
    const bool stays = good && !SSL_SESSION_should_be_single_use(kept.session.get());
    if (!stays) DropSession(target, newest);
    if (good) return taken;
  }
  return {};
}

void SessionMemory::Put(absl::string_view key, ClientSession session) {
  if (options_.max_sessions == 0 || options_.max_sessions_per_target == 0 ||
      session.peer == nullptr || !SSL_SESSION_is_resumable(session.session.get())) {
    return;
  }
  Target& target = Touch(key);
  // A reusable session replaces earlier ones: no caller would take those.
  const bool single_use = SSL_SESSION_should_be_single_use(session.session.get()) == 1;
  if (!single_use) Forget(key);
  if (target.sessions.size() >= options_.max_sessions_per_target) DropSession(target, 0);
  const size_t bytes = BytesOf(session);
  target.sessions.push_back({std::move(session), bytes});
  ++sessions_;
  bytes_ += bytes;
  KeepBounds();
}

void SessionMemory::Forget(absl::string_view key) {
  Target* const target = targets_.Peek(key);
  if (target == nullptr) return;
  while (!target->sessions.empty()) DropSession(*target, target->sessions.size() - 1);
}

uint16_t SessionMemory::LearnedGroup(absl::string_view key, MonotonicTime now) const {
  const Target* const target = targets_.Peek(key);
  if (target == nullptr) return 0;
  return now - target->group_learned < options_.trust_group_for ? target->group : uint16_t{0};
}

void SessionMemory::LearnGroup(absl::string_view key, uint16_t group, MonotonicTime now) {
  Target& target = Touch(key);
  // While the group is trusted, its choice proves nothing: the server received no other share.
  if (target.group != group || now - target.group_learned >= options_.trust_group_for) {
    target.group = group;
    target.group_learned = now;
  }
  KeepBounds();
}

void SessionMemory::Clear() {
  targets_.Clear();
  sessions_ = bytes_ = 0;
}

SessionMemory::Target& SessionMemory::Touch(absl::string_view key) {
  const auto [target, added] = targets_.UseOrAdd(key);
  if (added) bytes_ += kTargetBytes + key.size();
  return *target;
}

void SessionMemory::DropSession(Target& target, size_t index) {
  bytes_ -= target.sessions[index].bytes;
  --sessions_;
  target.sessions.erase(target.sessions.begin() + static_cast<ptrdiff_t>(index));
}

void SessionMemory::DropOldestTarget() {
  Target& target = targets_.oldest();
  while (!target.sessions.empty()) DropSession(target, target.sessions.size() - 1);
  bytes_ -= kTargetBytes + targets_.oldest_key().size();
  targets_.DropOldest();
}

bool SessionMemory::OverBounds() const {
  return sessions_ > options_.max_sessions || targets_.size() > options_.max_targets ||
         bytes_ > options_.max_bytes;
}

void SessionMemory::KeepBounds() {
  while (OverBounds()) {
    // One target is left: drop its oldest session while it has another.
    if (targets_.size() == 1 && targets_.oldest().sessions.size() > 1) {
      DropSession(targets_.oldest(), 0);
    } else {
      DropOldestTarget();
    }
  }
}

}  // namespace trestle
