// Makes the TLS side of a connection from the runner's flags, with the options that any host has.
#ifndef TRESTLE_TESTS_BOGO_TLS_SETUP_H_
#define TRESTLE_TESTS_BOGO_TLS_SETUP_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/bogo/flags.h"
#include "tests/bogo/host_decisions.h"
#include "trestle/io/scheduler.h"
#include "trestle/tls/client_session_cache.h"
#include "trestle/tls/credential.h"
#include "trestle/tls/server_session_cache.h"
#include "trestle/tls/ticket_key_ring.h"
#include "trestle/tls/tls_engine.h"

namespace trestle::bogo {

/// What the connections of a case share.
struct Memory {
  std::shared_ptr<TicketKeyRing> ticket_keys = TicketKeyRing::InMemory();
  std::shared_ptr<ServerSessionCache> server_sessions = std::make_shared<ServerSessionCache>();
  ClientSessionCache client_sessions{WithoutLearning()};

 private:
  // The runner expects the same key shares in every hello.
  static ClientSessionCacheOptions WithoutLearning() {
    ClientSessionCacheOptions options;
    options.trust_group_for = absl::ZeroDuration();
    return options;
  }
};

/// One side of TLS, not started, with what it needs.
struct Side {
  std::unique_ptr<FlagHook> hook;  // Null without one; the engine uses it.
  std::vector<std::shared_ptr<const Credential>> credentials;  // Of the flags, in their order.
  std::vector<std::shared_ptr<const Credential>> extra;        // For the public names of ECH.
  std::unique_ptr<TlsEngine> engine;
};

/// Makes the side that `flags` describe. `asks_verifier` tells whether a flag of any connection
/// of the case concerns verification. Fails with ErrorCode::kConfiguration for what Trestle's
/// options refuse.
absl::StatusOr<Side> MakeSide(const Flags& flags, bool asks_verifier, Scheduler& loop,
                              Memory& memory);

}  // namespace trestle::bogo

#endif  // TRESTLE_TESTS_BOGO_TLS_SETUP_H_
