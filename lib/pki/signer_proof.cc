#include "trestle/pki/signer_proof.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "lib/pki/pem.h"
#include "lib/pki/signature.h"
#include "lib/pki/x509_certificate.h"
#include "trestle/base/error.h"
#include "trestle/pki/sha256.h"

namespace trestle {
namespace {

constexpr char kProvenText[] = "Trestle asks a signer to prove its key";

// What a proof needs of the certificate.
struct Verifier {
  bssl::UniquePtr<EVP_PKEY> key;
  std::string subject;
  SignatureScheme scheme = {};

  absl::Status Judge(const std::string& input, const absl::StatusOr<std::string>& signature) const {
    if (!signature.ok()) return signature.status();
    if (VerifySignature(key.get(), scheme, AsBytes(input), AsBytes(*signature))) {
      return absl::OkStatus();
    }
    return ConfigurationError(
        absl::StrCat("the signer's key doesn't belong to the certificate \"", subject, "\""));
  }
};

absl::StatusOr<Verifier> VerifierOf(absl::string_view chain_pem) {
  absl::StatusOr<PemCertificates> certificates =
      ReadCertificatesPem(chain_pem, "the certificate chain");
  if (!certificates.ok()) return certificates.status();
  const X509* leaf = certificates->chain.front().get();
  Verifier verifier;
  verifier.key.reset(X509_get_pubkey(leaf));
  ERR_clear_error();
  verifier.subject = NameText(X509_get_subject_name(leaf));
  const std::vector<SignatureScheme> schemes =
      verifier.key == nullptr ? std::vector<SignatureScheme>() : SchemesOf(verifier.key.get());
  if (schemes.empty()) {
    return ConfigurationError(absl::StrCat("the key of the certificate \"", verifier.subject,
                                           "\" is of a kind that can't sign for TLS"));
  }
  verifier.scheme = schemes.front();
  return verifier;
}

}  // namespace

std::string CertificateVerifyInput(SigningSide side, ByteView transcript_hash) {
  return absl::StrCat(std::string(64, ' '), "TLS 1.3, ",
                      side == SigningSide::kServer ? "server" : "client", " CertificateVerify",
                      absl::string_view("\0", 1), AsText(transcript_hash));
}

std::unique_ptr<PendingCall> ProveSigner(const Signer& signer, absl::string_view chain_pem,
                                         SigningSide side, Scheduler& loop,
                                         absl::AnyInvocable<void(absl::Status)> done) {
  absl::StatusOr<Verifier> verifier = VerifierOf(chain_pem);
  if (!verifier.ok()) {
    done(verifier.status());
    return nullptr;
  }
  const std::array<uint8_t, 32> hash = Sha256(AsBytes(kProvenText));
  std::string input = CertificateVerifyInput(side, ByteView(hash.data(), hash.size()));
  const SignatureScheme scheme = verifier->scheme;
  const std::string signed_text = input;
  return signer.Sign(scheme, AsBytes(signed_text), loop,
                     [verifier = *std::move(verifier), input = std::move(input),
                      done = std::move(done)](absl::StatusOr<std::string> signature) mutable {
                       done(verifier.Judge(input, signature));
                     });
}

}  // namespace trestle
