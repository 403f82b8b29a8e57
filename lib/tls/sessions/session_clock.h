// SessionClock: makes BoringSSL's sessions and tickets use the Scheduler's time.
#ifndef TRESTLE_LIB_TLS_SESSIONS_SESSION_CLOCK_H_
#define TRESTLE_LIB_TLS_SESSIONS_SESSION_CLOCK_H_

#include <openssl/ssl.h>

#include "trestle/io/scheduler.h"

namespace trestle {

/// While an instance lives, BoringSSL uses `scheduler`'s time on this thread. BoringSSL asks for
/// the time per SSL_CTX, not per connection. Threads with different schedulers share an SSL_CTX, so
/// the clock is per thread.
class SessionClock {
 public:
  explicit SessionClock(const Scheduler& scheduler);
  ~SessionClock();
  SessionClock(const SessionClock&) = delete;
  SessionClock& operator=(const SessionClock&) = delete;

  /// Makes `context` use the SessionClock of the calling thread.
  static void Install(SSL_CTX* context);

 private:
  const Scheduler* const outer_;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_SESSIONS_SESSION_CLOCK_H_
