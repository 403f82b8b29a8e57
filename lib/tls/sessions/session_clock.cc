#include "lib/tls/sessions/session_clock.h"

#include <utility>

#include "absl/time/time.h"

namespace trestle {
namespace {

const Scheduler*& ThreadScheduler() {
  static thread_local const Scheduler* scheduler = nullptr;
  return scheduler;
}

void TellTime(const SSL* /*ssl: always null*/, timeval* now) {
  const Scheduler* scheduler = ThreadScheduler();
  *now = absl::ToTimeval(scheduler == nullptr ? absl::UnixEpoch() : scheduler->Now());
}

}  // namespace

SessionClock::SessionClock(const Scheduler& scheduler)
    : outer_(std::exchange(ThreadScheduler(), &scheduler)) {}

SessionClock::~SessionClock() { ThreadScheduler() = outer_; }

void SessionClock::Install(SSL_CTX* context) { SSL_CTX_set_current_time_cb(context, TellTime); }

}  // namespace trestle
