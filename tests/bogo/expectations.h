// What a case expects of a connection, compared with what Trestle reports of it.
#ifndef TRESTLE_TESTS_BOGO_EXPECTATIONS_H_
#define TRESTLE_TESTS_BOGO_EXPECTATIONS_H_

#include "absl/status/status.h"
#include "tests/bogo/flags.h"
#include "tests/bogo/tls_setup.h"
#include "trestle/tls/tls_info.h"
#include "trestle/tls/tls_stream.h"

namespace trestle::bogo {

/// Compares a finished handshake with the flags. `is_resume`: not the first connection of the case.
/// A failure says what differs.
absl::Status CheckHandshake(const Flags& flags, bool is_resume, const Side& side,
                            const TlsStream& stream);

/// Compares the sessions that are kept at a connection's end with the flags.
absl::Status CheckSessions(const Flags& flags, bool is_resume, const Memory& memory);

}  // namespace trestle::bogo

#endif  // TRESTLE_TESTS_BOGO_EXPECTATIONS_H_
