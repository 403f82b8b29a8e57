// EchKeyOpener: opens encrypted ClientHellos with EchKeys, for a router in split mode (RFC 9849):
// SniPassthroughRouterOptions::ech.
#ifndef TRESTLE_TLS_ECH_KEY_OPENER_H_
#define TRESTLE_TLS_ECH_KEY_OPENER_H_

#include <cstdint>
#include <map>
#include <memory>

#include "absl/status/statusor.h"
#include "trestle/tls/ech_keys.h"
#include "trestle/wire/ech_opener.h"

namespace trestle {

class EchLedger;

/// The numbers of hellos since the start, by what became of them.
struct EchCounts {
  /// Of the hellos with one config id.
  struct OfConfig {
    uint64_t opened = 0;         ///< EchVerdict::kOpened, first hellos only.
    uint64_t not_decrypted = 0;  ///< EchVerdict::kNotDecrypted.
    uint64_t malformed = 0;      ///< EchVerdict::kMalformed, of first and second hellos.
    uint64_t over_budget = 0;    ///< EchVerdict::kOverBudget.
    uint64_t second_opened = 0;  ///< Second hellos (HelloRetryRequest).
  };
  /// Has the config ids of all current keys, and of earlier ones that had hellos.
  std::map<uint8_t, OfConfig> by_config_id;
  uint64_t no_key = 0;          ///< EchVerdict::kNoKey. Most are GREASE.
  uint64_t inner_in_clear = 0;  ///< EchFault::kInnerInClear.
};

/// Rates of hellos that are opened. 0 disables a limit. Each rate allows a burst of one second's
/// worth, and at least 1. The default is far above usual rates. A hello costs about 50 µs if its
/// config id is that of a key; GREASE has each id once in 256.
struct EchBudget {
  double per_second = 4000;            ///< Of all clients together.
  double per_second_per_client = 200;  ///< Of each client network.
  /// The prefix lengths, in bits, that define a client network: 1 to 32 and 1 to 128.
  int client_ipv4_bits = 32;
  int client_ipv6_bits = 64;
};

/// Each hello is opened with the keys of that moment. Its second hello uses the same key, even if
/// `EchKeys::Replace` has removed it in the meantime.
class EchKeyOpener final : public EchOpener {
 public:
  /// Creates an opener. `keys` must not be null. Terminators may share it, to tell clients with an
  /// outdated config the new one. A hello over `budget` is not opened. Fails with
  /// ErrorCode::kConfiguration if a rate is negative, infinite or NaN, or if a prefix length is out
  /// of range.
  static absl::StatusOr<std::shared_ptr<EchKeyOpener>> Create(std::shared_ptr<const EchKeys> keys,
                                                              const EchBudget& budget = {});

  EchOpening Open(const ClientHello& outer, const Endpoint& client, MonotonicTime now) override;

  EchCounts counts() const;

 private:
  EchKeyOpener(std::shared_ptr<const EchKeys> keys, const EchBudget& budget);

  const std::shared_ptr<const EchKeys> keys_;
  const std::shared_ptr<EchLedger> ledger_;  // Shared with the contexts of connections.
};

}  // namespace trestle

#endif  // TRESTLE_TLS_ECH_KEY_OPENER_H_
