// TLS versions, key exchange groups and sizes of keys, for both sides of a connection.
#ifndef TRESTLE_TLS_TLS_PARAMETERS_H_
#define TRESTLE_TLS_TLS_PARAMETERS_H_

#include <cstdint>
#include <vector>

#include "trestle/pki/certificate_info.h"

namespace trestle {

enum class TlsVersion : uint8_t { kTls12, kTls13 };

/// Key exchange groups. X25519MLKEM768 is the post-quantum hybrid.
enum class TlsGroup : uint8_t { kX25519MlKem768, kX25519, kP256, kP384, kP521 };

/// Returns X25519MLKEM768, X25519, P-256, P-384 and P-521, in this order. The last two are slow and
/// serve peers without the others.
std::vector<TlsGroup> DefaultGroups();

/// Parameters of both sides. TLS 1.2 is limited to ECDHE with AEAD ciphers. Renegotiation,
/// compression and 0-RTT are off.
struct TlsParameters {
  TlsVersion min_version = TlsVersion::kTls12;
  TlsVersion max_version = TlsVersion::kTls13;
  /// In order of preference.
  std::vector<TlsGroup> groups = DefaultGroups();
  /// The shortest keys accepted in a peer's certificates below the root, in bits. They may be
  /// raised, not lowered.
  int min_rsa_bits = kMinRsaBits;
  int min_ec_bits = kMinEcBits;
};

/// Parameter presets, named as in Mozilla's guidelines.
enum class TlsPreset : uint8_t {
  kModern,        ///< TLS 1.3 only; keys of 128 bits of strength: RSA 3072, EC 256.
  kIntermediate,  ///< TLS 1.2 and 1.3; RSA 2048, EC 256: the default.
};

TlsParameters ParametersOf(TlsPreset preset);

}  // namespace trestle

#endif  // TRESTLE_TLS_TLS_PARAMETERS_H_
