// CertificateSightings: an observer that reports backends' certificates as connections meet them,
// at little cost. Put it between a bridge and its observer.
#ifndef TRESTLE_WATCH_CERTIFICATE_SIGHTINGS_H_
#define TRESTLE_WATCH_CERTIFICATE_SIGHTINGS_H_

#include <cstddef>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/error.h"
#include "trestle/proxy/observer.h"
#include "trestle/tls/tls_info.h"

namespace trestle {

/// The certificates of one back-leg handshake.
struct CertificateSighting {
  std::string name;  ///< The name requested from the backend; its address if no name was sent.
  Endpoint endpoint;
  absl::Time when;
  ChainInfo chain;             ///< As presented, leaf first; may be empty after a failure.
  std::optional<Error> error;  ///< Why the certificates were rejected; empty if accepted.
};

/// Reports a backend's chain when it differs from the last one, and when its verdict changes.
/// Otherwise a connection costs one look-up, and a resumed one nothing. Runs on one loop; a
/// sighting may be passed to another thread.
class CertificateSightings final : public ConnectionObserver {
 public:
  using Callback = absl::AnyInvocable<void(CertificateSighting)>;

  /// Maximum number of remembered backends; further ones are not reported.
  static constexpr size_t kMaxBackends = 4096;

  /// Creates the observer. It passes every call on to `next` (may be null), which must outlive it,
  /// and calls `on_sighting` on the loop's thread.
  CertificateSightings(ConnectionObserver* next, Callback on_sighting);

  void OnEstablished(const ConnectionReport& report) override;
  void OnTurnedAway(Limit limit) override;
  void OnClosed(const ConnectionReport& report) override;

 private:
  struct Seen {
    ChainInfo chain;
    bool good = false;
  };

  void Look(const ConnectionReport& report);

  ConnectionObserver* const next_;
  Callback on_sighting_;
  absl::flat_hash_map<std::pair<Endpoint, std::string>, Seen> seen_;
};

}  // namespace trestle

#endif  // TRESTLE_WATCH_CERTIFICATE_SIGHTINGS_H_
