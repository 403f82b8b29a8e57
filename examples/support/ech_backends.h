// Detects in advance which backends hidden names can't reach: those that don't confirm the inner
// hellos of routers with --ech_keys_file (RFC 9849 7.2).
#ifndef TRESTLE_EXAMPLES_SUPPORT_ECH_BACKENDS_H_
#define TRESTLE_EXAMPLES_SUPPORT_ECH_BACKENDS_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "trestle/proxy/proxy_block.h"
#include "trestle/proxy/route_table.h"
#include "trestle/proxy/unconfirmed_backends.h"
#include "trestle/tls/ech_keys.h"

namespace trestle::examples {

/// Probes each backend of `routes` once, on its own loop, within seconds. Skips routes to public
/// names, default routes and all backends beyond 1,000. Fails with a sentence for a backend that
/// doesn't confirm an inner hello; with --dangerous_unconfirmed_ech, logs it instead. Logs a
/// warning for a backend that doesn't answer. With --check, it makes no probe.
absl::Status CheckEchBackends(absl::Span<const Route> routes, const EchKeys& keys,
                              ProxyProtocolOut proxy_header);

/// Returns the set that keeps inner hellos from backends that a later probe finds not to confirm
/// them; null with --dangerous_unconfirmed_ech.
std::shared_ptr<UnconfirmedBackends> NewUnconfirmedBackends();

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_ECH_BACKENDS_H_
