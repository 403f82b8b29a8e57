// StapleReport: the verdict on a stapled OCSP response (RFC 6960).
#ifndef TRESTLE_PKI_STAPLE_H_
#define TRESTLE_PKI_STAPLE_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace trestle {

enum class StapleState : uint8_t {
  kNone,     ///< The server sent no staple.
  kGood,     ///< Signed by the issuer or its responder, current: not revoked.
  kRevoked,  ///< The same, but revoked.
  kUnknown,  ///< The responder doesn't know the certificate.
  kBad,      ///< Outdated, for another certificate, damaged or wrongly signed.
};

/// A stapled OCSP response (RFC 6960).
struct StapleReport {
  StapleState state = StapleState::kNone;
  std::string detail;  ///< The fault; empty for kNone and kGood.
  absl::Time this_update = absl::InfinitePast();
  absl::Time next_update = absl::InfiniteFuture();  ///< Infinite without one.
};

}  // namespace trestle

#endif  // TRESTLE_PKI_STAPLE_H_
