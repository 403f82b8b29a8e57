// StapleReport: what is to be said of a stapled OCSP response (RFC 6960).
#ifndef TRESTLE_TLS_STAPLE_H_
#define TRESTLE_TLS_STAPLE_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace trestle {

enum class StapleState : uint8_t {
  kNone,     ///< The server stapled nothing.
  kGood,     ///< Signed by the issuer or its responder, of these days: not revoked.
  kRevoked,  ///< The same, but revoked.
  kUnknown,  ///< The responder doesn't know the certificate.
  kBad,      ///< Outdated, about something else, damaged or not signed by whom it should be.
};

/// A stapled OCSP response (RFC 6960).
struct StapleReport {
  StapleState state = StapleState::kNone;
  std::string detail;  ///< What is wrong with it; empty for kNone and kGood.
  absl::Time this_update = absl::InfinitePast();
  absl::Time next_update = absl::InfiniteFuture();  ///< Infinite where the responder sets no end.
};

}  // namespace trestle

#endif  // TRESTLE_TLS_STAPLE_H_
