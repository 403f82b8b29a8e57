// ProveSigner: asks a signer for one signature, and checks it by a certificate. So a key of another
// certificate is found when it is loaded, not at the first handshake.
#ifndef TRESTLE_PKI_SIGNER_PROOF_H_
#define TRESTLE_PKI_SIGNER_PROOF_H_

#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "trestle/base/bytes.h"
#include "trestle/io/scheduler.h"
#include "trestle/pki/signer.h"

namespace trestle {

/// The side of TLS that signs.
enum class SigningSide : unsigned char { kServer, kClient };

/// Returns what a peer signs in the CertificateVerify message of TLS 1.3 (RFC 8446 4.4.3) after a
/// handshake with this transcript hash.
std::string CertificateVerifyInput(SigningSide side, ByteView transcript_hash);

/// Asks `signer` for a signature with the best scheme of the first certificate in `chain_pem`, and
/// verifies it. Calls `done` once, inside this call or later, on the thread of `loop`. Without a
/// fault it gets OK. It gets ErrorCode::kConfiguration if the signature isn't by the
/// certificate's key, if the certificate can't be read, or if its key can't sign for TLS. A
/// signer's own failure is passed on.
///
/// The signed text is a CertificateVerify whose transcript hash is the hash of a fixed text, so no
/// handshake has it. The returned object may be null. Its destruction cancels the call.
std::unique_ptr<PendingCall> ProveSigner(const Signer& signer, absl::string_view chain_pem,
                                         SigningSide side, Scheduler& loop,
                                         absl::AnyInvocable<void(absl::Status)> done);

}  // namespace trestle

#endif  // TRESTLE_PKI_SIGNER_PROOF_H_
