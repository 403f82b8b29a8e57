// Sha256: the one digest that lower floors ask their caller for.
#ifndef TRESTLE_TLS_SHA256_H_
#define TRESTLE_TLS_SHA256_H_

#include <array>
#include <cstdint>

#include "trestle/base/bytes.h"

namespace trestle {

/// Computes SHA-256 (FIPS 180-4) of `bytes`. For `SniPassthroughRouterOptions::ja4_sha256` and
/// wire/hello_fingerprint.h.
std::array<uint8_t, 32> Sha256(ByteView bytes);

}  // namespace trestle

#endif  // TRESTLE_TLS_SHA256_H_
