// Sha256: the digest that the layers below TLS take as a parameter.
#ifndef TRESTLE_PKI_SHA256_H_
#define TRESTLE_PKI_SHA256_H_

#include <array>
#include <cstdint>

#include "trestle/base/bytes.h"

namespace trestle {

/// Computes SHA-256 (FIPS 180-4) of `bytes`. Pass it as `SniPassthroughRouterOptions::ja4_sha256`
/// and to wire/hello_fingerprint.h.
std::array<uint8_t, 32> Sha256(ByteView bytes);

}  // namespace trestle

#endif  // TRESTLE_PKI_SHA256_H_
