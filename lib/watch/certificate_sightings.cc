#include "trestle/watch/certificate_sightings.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "trestle/base/error.h"

namespace trestle {
namespace {

// Returns whether the back leg failed because of its certificates.
bool IsRefusal(const std::optional<Error>& error) {
  if (!error.has_value() || error->leg != Leg::kBack) return false;
  return error->code == ErrorCode::kCertificateExpired ||
         error->code == ErrorCode::kCertificateUntrusted || error->code == ErrorCode::kNameMismatch;
}

bool SameChain(const ChainInfo& a, const ChainInfo& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), SameCertificate);
}

}  // namespace

CertificateSightings::CertificateSightings(ConnectionObserver* next, Callback on_sighting)
    : next_(next), on_sighting_(std::move(on_sighting)) {}

void CertificateSightings::OnEstablished(const ConnectionReport& report) {
  if (report.back.tls != nullptr) Look(report);
  if (next_ != nullptr) next_->OnEstablished(report);
}

void CertificateSightings::OnTurnedAway(Limit limit) {
  if (next_ != nullptr) next_->OnTurnedAway(limit);
}

void CertificateSightings::OnClosed(const ConnectionReport& report) {
  if (report.back.tls != nullptr && IsRefusal(report.error)) Look(report);
  if (next_ != nullptr) next_->OnClosed(report);
}

void CertificateSightings::Look(const ConnectionReport& report) {
  const TlsInfo& tls = *report.back.tls;
  // An encrypted server name and the certificates for it must not be passed on.
  if (report.server_name_hidden && tls.server_name == report.server_name) return;
  const bool refused = IsRefusal(report.error);
  // A resumed session has the chain of its first connection, which the backend may have replaced
  // since. For other sessions, an empty chain is no news.
  if ((tls.resumed || tls.peer_chain.empty()) && !refused) return;
  std::pair<Endpoint, std::string> key(report.back.peer, tls.server_name);
  const auto found = seen_.find(key);
  if (found != seen_.end() && found->second.good != refused &&
      SameChain(found->second.chain, tls.peer_chain)) {
    return;
  }
  if (found == seen_.end() && seen_.size() >= kMaxBackends) return;
  seen_[key] = {tls.peer_chain, !refused};
  CertificateSighting sighting;
  sighting.name = tls.server_name.empty() ? report.back.peer.ToString() : tls.server_name;
  sighting.endpoint = report.back.peer;
  sighting.when = report.accepted + report.times.front + report.times.dial + report.times.back;
  sighting.chain = tls.peer_chain;
  if (refused) sighting.error = report.error;
  on_sighting_(std::move(sighting));
}

}  // namespace trestle
