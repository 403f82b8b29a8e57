// EchKeyOpener: opens encrypted ClientHellos with EchKeys, for a router in split mode (RFC 9849):
// SniPassthroughRouterOptions::ech.
#ifndef TRESTLE_TLS_ECH_KEY_OPENER_H_
#define TRESTLE_TLS_ECH_KEY_OPENER_H_

#include <memory>
#include <utility>

#include "trestle/tls/ech_keys.h"
#include "trestle/wire/ech_opener.h"

namespace trestle {

/// Each hello is opened with the keys of that moment. Its second hello uses the same key, even if
/// `EchKeys::Replace` has removed it in the meantime.
class EchKeyOpener final : public EchOpener {
 public:
  /// `keys` must not be null. Terminators may share it, to open hellos in shared mode and to tell
  /// clients with an outdated config the new one.
  explicit EchKeyOpener(std::shared_ptr<const EchKeys> keys) : keys_(std::move(keys)) {}

  EchOpening Open(const ClientHello& outer, const Endpoint& client, MonotonicTime now) override;

 private:
  const std::shared_ptr<const EchKeys> keys_;
};

}  // namespace trestle

#endif  // TRESTLE_TLS_ECH_KEY_OPENER_H_
