// CertificateSightings: backends' certificates as connections meet them anyway, at no extra cost:
// an observer that a bridge is given, in front of another one.
#ifndef TRESTLE_WATCH_CERTIFICATE_SIGHTINGS_H_
#define TRESTLE_WATCH_CERTIFICATE_SIGHTINGS_H_

#include <cstddef>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "trestle/base/endpoint.h"
#include "trestle/proxy/observer.h"
#include "trestle/tls/tls_info.h"

namespace trestle {

/// What one handshake on a back leg showed.
struct CertificateSighting {
  std::string name;  ///< That the backend was asked for; its address, where no name was sent.
  Endpoint endpoint;
  absl::Time when;
  ChainInfo chain;      ///< As served, leaf first; may be empty after a failure.
  absl::Status status;  ///< Why the certificates were refused; OK where they were accepted.
};

/// Tells of a backend's chain when it isn't the one seen last, and when its verdict changes: in
/// between a connection costs one look-up, and a resumed one nothing. One loop's; the sighting may
/// be handed to another thread.
class CertificateSightings final : public ConnectionObserver {
 public:
  using Callback = absl::AnyInvocable<void(CertificateSighting)>;

  /// Backends that are remembered; of those beyond, nothing is told.
  static constexpr size_t kMaxBackends = 4096;

  /// Everything is passed on to `next`, which may be null.
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
