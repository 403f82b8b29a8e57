// Reads ECHConfigs (RFC 9849 4).
#ifndef TRESTLE_LIB_TLS_ECH_ECH_CONFIG_H_
#define TRESTLE_LIB_TLS_ECH_ECH_CONFIG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace trestle {

struct EchCipherSuite {
  uint16_t kdf_id;
  uint16_t aead_id;
};

struct EchConfig {
  std::string bytes;  ///< The whole ECHConfig, with version and length.
  uint8_t config_id = 0;
  uint16_t kem_id = 0;
  std::string public_key;
  std::vector<EchCipherSuite> suites;
  uint8_t max_name_bytes = 0;
  std::string public_name;  ///< Normalised.

  bool Supports(EchCipherSuite suite) const;
};

/// Reads an ECHConfigList. Fails with ErrorCode::kConfiguration for an empty or damaged one, and
/// for a config of another version.
absl::StatusOr<std::vector<EchConfig>> ReadEchConfigList(absl::string_view list);

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_ECH_ECH_CONFIG_H_
