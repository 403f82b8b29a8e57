// SessionClock: gives BoringSSL's sessions and tickets the time of the Scheduler.
#ifndef TRESTLE_LIB_TLS_SESSION_CLOCK_H_
#define TRESTLE_LIB_TLS_SESSION_CLOCK_H_

#include <openssl/ssl.h>

#include "trestle/io/scheduler.h"

namespace trestle {

/// While one lives, BoringSSL on this thread tells time by `scheduler`. BoringSSL asks an SSL_CTX,
/// not a connection, for the time, and threads with their own schedulers share an SSL_CTX: the
/// thread is the only thing left that tells them apart.
class SessionClock {
 public:
  explicit SessionClock(const Scheduler& scheduler);
  ~SessionClock();
  SessionClock(const SessionClock&) = delete;
  SessionClock& operator=(const SessionClock&) = delete;

  /// Makes `context` ask the SessionClock of the calling thread.
  static void Install(SSL_CTX* context);

 private:
  const Scheduler* const outer_;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_SESSION_CLOCK_H_
