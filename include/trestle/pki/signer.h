// Signer: signs with a private key outside the library or off the loop: an HSM, a key server, a
// thread pool (ThreadPoolSigner). The handshake waits for the signature; other connections
// continue.
#ifndef TRESTLE_PKI_SIGNER_H_
#define TRESTLE_PKI_SIGNER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "trestle/base/bytes.h"
#include "trestle/io/scheduler.h"

namespace trestle {

/// Signature schemes with the numbers of RFC 8446 4.2.3. The salt of PSS is as long as the digest;
/// MGF1 uses the same hash. ECDSA signatures are DER.
enum class SignatureScheme : uint16_t {
  kRsaPkcs1Sha256 = 0x0401,
  kRsaPkcs1Sha384 = 0x0501,
  kRsaPkcs1Sha512 = 0x0601,
  kEcdsaP256Sha256 = 0x0403,
  kEcdsaP384Sha384 = 0x0503,
  kEcdsaP521Sha512 = 0x0603,
  kRsaPssSha256 = 0x0804,
  kRsaPssSha384 = 0x0805,
  kRsaPssSha512 = 0x0806,
  kEd25519 = 0x0807,
};

/// All connections that present its certificate share it, on all threads: an implementation must be
/// thread-safe.
class Signer {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<std::string>)>;

  virtual ~Signer() = default;

  /// Signs `input`; `scheme` names the hash. `input` is valid during this call only. Call `done`
  /// once, inside this call or later, on the thread of `loop`. Other threads get there by
  /// `Scheduler::PostFromAnyThread`.
  ///
  /// A failure ends the handshake with the code of its Error, else ErrorCode::kInternal. So does
  /// a signature that the certificate's key doesn't verify. After ServerTlsOptions::answer_timeout
  /// it fails with kTimeout.
  ///
  /// The returned object may be null. Its destruction cancels the call: don't use `loop` or call
  /// `done` after it.
  virtual std::unique_ptr<PendingCall> Sign(SignatureScheme scheme, ByteView input, Scheduler& loop,
                                            Done done) const = 0;
};

}  // namespace trestle

#endif  // TRESTLE_PKI_SIGNER_H_
