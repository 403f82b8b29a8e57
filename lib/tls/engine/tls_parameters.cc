#include "trestle/tls/tls_parameters.h"

namespace trestle {

std::vector<TlsGroup> DefaultGroups() {
  return {TlsGroup::kX25519MlKem768, TlsGroup::kX25519, TlsGroup::kP256, TlsGroup::kP384,
          TlsGroup::kP521};
}

TlsParameters ParametersOf(TlsPreset preset) {
  TlsParameters parameters;
  if (preset == TlsPreset::kModern) {
    parameters.min_version = TlsVersion::kTls13;
    parameters.min_rsa_bits = 3072;
  }
  return parameters;
}

}  // namespace trestle
