// Makes and describes the pairs of a private key and an ECHConfigList that EchKeys reads
// (RFC 9849 4, RFC 9934). For the programs that make keys and publish configs.
#ifndef TRESTLE_TLS_ECH_PAIRS_H_
#define TRESTLE_TLS_ECH_PAIRS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace trestle {

/// Options of `MakeEchPair`.
struct EchPairOptions {
  /// Outer name of hellos, and name of the certificate that tells clients a new config. A host
  /// name, not an address.
  std::string public_name;
  /// Differs between all keys that a server uses at a time.
  uint8_t config_id = 0;
  /// Clients pad shorter hidden names to this length. 0: no advice to clients.
  uint8_t max_name_bytes = 64;
};

/// Makes an X25519 key and a config for it, as PEM text for `EchKeys::FromPem`. The text is secret.
/// Fails with ErrorCode::kConfiguration if the public name is not a host name.
absl::StatusOr<std::string> MakeEchPair(const EchPairOptions& options);

/// What an ECHConfig says (RFC 9849 4).
struct EchConfigInfo {
  std::string bytes;  ///< The whole ECHConfig, with version and length.
  uint8_t config_id = 0;
  std::string public_name;  ///< Normalised.
  uint8_t max_name_bytes = 0;
  std::string kem;                  ///< "X25519, HKDF-SHA256"; others as a number, "KEM 0x0010".
  std::string public_key;           ///< Raw bytes.
  std::vector<std::string> suites;  ///< "HKDF-SHA256, AES-128-GCM"; others as numbers.
};

/// The public part of a text with pairs.
struct EchPairInfo {
  std::string config_list;             ///< The ECHConfigList, raw bytes.
  std::vector<EchConfigInfo> configs;  ///< At least one.
};

/// Describes the pairs of `pem`, in their order. Fails as `EchKeys::FromPem` does.
absl::StatusOr<std::vector<EchPairInfo>> DescribeEchPairs(absl::string_view pem);

/// Describes the configs of an ECHConfigList. Fails with ErrorCode::kConfiguration for an empty or
/// damaged list, and for a config of another version.
absl::StatusOr<std::vector<EchConfigInfo>> DescribeEchConfigs(absl::string_view list);

}  // namespace trestle

#endif  // TRESTLE_TLS_ECH_PAIRS_H_
