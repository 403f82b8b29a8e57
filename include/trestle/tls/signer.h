// Signer: makes signatures with a private key that the library doesn't have, or shouldn't use on a
// loop: an HSM, a key server, a pool of threads (ThreadPoolSigner). The handshake waits
// for the signature, other connections don't.
#ifndef TRESTLE_TLS_SIGNER_H_
#define TRESTLE_TLS_SIGNER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "trestle/base/bytes.h"
#include "trestle/io/scheduler.h"

namespace trestle {

/// With their numbers of RFC 8446 4.2.3. The salt of PSS is as long as the digest, its MGF1 uses
/// the same hash. ECDSA signatures are in DER.
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

/// Shared by the connections of all threads that show its certificate.
class Signer {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<std::string>)>;

  virtual ~Signer() = default;

  /// Signs `input`, which is to be hashed as `scheme` says and is valid during this call only.
  /// `done` is to be called once, here or later, on the thread of `loop`: other threads get there
  /// by `Scheduler::PostFromAnyThread`. A signature that the certificate's key doesn't verify, or a
  /// failure, ends the handshake with ErrorCode::kInternal (a TlsError keeps its own code), and so
  /// does kTimeout after ServerTlsOptions::answer_timeout. Destroying what is returned, which may
  /// be null, means that nobody waits any more: `loop` must not be used, nor `done` called, after
  /// that.
  virtual std::unique_ptr<PendingCall> Sign(SignatureScheme scheme, ByteView input, Scheduler& loop,
                                            Done done) const = 0;
};

}  // namespace trestle

#endif  // TRESTLE_TLS_SIGNER_H_
