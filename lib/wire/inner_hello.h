// Restores the inner ClientHello from its encoded form (RFC 9849 5.1), and checks it (7.1).
#ifndef TRESTLE_LIB_WIRE_INNER_HELLO_H_
#define TRESTLE_LIB_WIRE_INNER_HELLO_H_

#include <optional>
#include <string>

#include "trestle/base/bytes.h"
#include "trestle/wire/client_hello.h"
#include "trestle/wire/ech_opener.h"

namespace trestle::wire_internal {

/// Restores the inner hello from `encoded`, which was decrypted from `outer`. Work is linear in the
/// sizes of both. Returns the fault of the first violation; `inner` is then unspecified, and
/// `reason` may explain the fault.
std::optional<EchFault> RestoreInnerHello(ByteView encoded, const ClientHello& outer,
                                          const HelloLimits& limits, InnerHello& inner,
                                          std::string& reason);

}  // namespace trestle::wire_internal

#endif  // TRESTLE_LIB_WIRE_INNER_HELLO_H_
