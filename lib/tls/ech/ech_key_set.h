// EchKeySet: the keys that EchKeys holds at a time, with their configs.
#ifndef TRESTLE_LIB_TLS_ECH_ECH_KEY_SET_H_
#define TRESTLE_LIB_TLS_ECH_ECH_KEY_SET_H_

#include <openssl/hpke.h>
#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/pki/pem.h"
#include "lib/tls/ech/ech_config.h"

namespace trestle {

/// One config with its private key.
struct EchKey {
  EchConfig config;
  bssl::UniquePtr<EVP_HPKE_KEY> key;
};

/// Immutable once read.
struct EchKeySet {
  /// Reads and checks the pairs of `pem`, as `EchKeys::FromPem` says.
  static absl::StatusOr<std::shared_ptr<const EchKeySet>> Read(absl::string_view pem);

  /// Returns the key whose config has this id; null if there is none.
  const EchKey* Find(uint8_t config_id) const;

  bssl::UniquePtr<SSL_ECH_KEYS> native;
  std::vector<EchKey> keys;  ///< No config id twice.
  std::string published;     ///< The first pair's ECHConfigList.

 private:
  absl::Status Add(const EchPemPair& pair);
};

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_ECH_ECH_KEY_SET_H_
