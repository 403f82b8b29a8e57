// OpenSslSigner: signs with RSA keys by the system's OpenSSL 3. On CPUs with AVX-512 IFMA, an RSA
// signature of OpenSSL takes less than half the time of one of BoringSSL.
#ifndef TRESTLE_INTEGRATIONS_OPENSSL_SIGNER_OPENSSL_SIGNER_H_
#define TRESTLE_INTEGRATIONS_OPENSSL_SIGNER_OPENSSL_SIGNER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "integrations/openssl_signer/openssl_library.h"
#include "trestle/io/task_runner.h"
#include "trestle/pki/private_key.h"
#include "trestle/pki/signer.h"

namespace trestle {

struct OpenSslSignerOptions {
  /// The file of OpenSSL's libcrypto, or its name for dlopen(3).
  std::string library = "libcrypto.so.3";
  /// Signs on these threads; null: on the thread of the connection's loop.
  std::shared_ptr<TaskRunner> threads;
};

/// Makes signers for RSA keys. Every signature is verified by BoringSSL before it is sent, as for
/// any Signer. Thread-safe.
class OpenSslSigner final : public SignerMaker {
 public:
  /// Fails with ErrorCode::kConfiguration if the library can't be used (OpenSslLibrary::Load).
  static absl::StatusOr<std::unique_ptr<OpenSslSigner>> Create(OpenSslSignerOptions options);

  /// Returns `key` as a key of OpenSSL. Fails with ErrorCode::kConfiguration if it is no RSA key,
  /// can't be exported, or is rejected by OpenSSL.
  absl::StatusOr<std::shared_ptr<const PrivateKey>> Import(const PrivateKey& key) const;

  /// Makes a signer for an RSA key. Returns null for other keys, and for a key that OpenSSL
  /// rejects: BoringSSL signs with it.
  std::shared_ptr<const Signer> MakeSigner(std::shared_ptr<const PrivateKey> key) override;

  /// Returns the version of the library: "OpenSSL 3.0.17 1 Jul 2025".
  std::string version() const;

 private:
  OpenSslSigner(std::shared_ptr<const OpenSslLibrary> library, std::shared_ptr<TaskRunner> threads);

  const std::shared_ptr<const OpenSslLibrary> library_;
  const std::shared_ptr<TaskRunner> threads_;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_OPENSSL_SIGNER_OPENSSL_SIGNER_H_
