// JA3 and JA4: fingerprints of TLS clients, which logs and block lists use.
//
// Both ignore GREASE values. This floor has no digests: the caller passes JA4's SHA-256, and
// computes JA3's MD5 itself.
#ifndef TRESTLE_WIRE_HELLO_FINGERPRINT_H_
#define TRESTLE_WIRE_HELLO_FINGERPRINT_H_

#include <array>
#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "trestle/base/bytes.h"
#include "trestle/wire/client_hello.h"

namespace trestle {

/// Returns the SHA-256 digest of some bytes. With BoringSSL:
///   [](ByteView in) {
///     std::array<uint8_t, 32> digest;
///     SHA256(in.data(), in.size(), digest.data());
///     return digest;
///   }
using Sha256Fn = absl::FunctionRef<std::array<uint8_t, 32>(ByteView)>;

/// Writes the JA3 string, not its MD5: "771,4865-4866,0-23-10,29-23,0" (legacy version, cipher
/// suites, extensions, groups, point formats; decimal, in the client's order).
std::string Ja3String(const ClientHello& hello);

/// Writes the JA4 fingerprint: "t13d1516h2_8daaf6152771_e5627efa2ab1". It begins with "q" for a
/// hello over QUIC.
std::string Ja4(const ClientHello& hello, Sha256Fn sha256);

/// Writes JA4_r, the fingerprint with lists in place of their digests:
/// "t13d1516h2_002f,0035,…_0005,000a,…_0403,0804,…". Its length is linear in the hello's size.
std::string Ja4Raw(const ClientHello& hello);

}  // namespace trestle

#endif  // TRESTLE_WIRE_HELLO_FINGERPRINT_H_
