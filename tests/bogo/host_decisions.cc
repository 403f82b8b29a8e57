#include "tests/bogo/host_decisions.h"

#include <utility>

#include "absl/algorithm/container.h"
#include "absl/time/time.h"
#include "trestle/base/error.h"

namespace trestle::bogo {
namespace {

class LaterSigner final : public Signer {
 public:
  explicit LaterSigner(std::shared_ptr<const PrivateKey> key) : key_(std::move(key)) {}

  std::unique_ptr<PendingCall> Sign(SignatureScheme scheme, ByteView input, Scheduler& loop,
                                    Done done) const override {
    return loop.RunAfter(
        absl::ZeroDuration(),
        [key = key_, scheme, input = std::string(AsText(input)), done = std::move(done)]() mutable {
          done(key->Sign(scheme, AsBytes(input)));
        });
  }

 private:
  const std::shared_ptr<const PrivateKey> key_;
};

absl::Status Refusal(ErrorCode code, std::string detail) {
  return MakeError(code, Phase::kHandshake, std::move(detail));
}

// What the flags say about a hello that offers `offered`.
absl::StatusOr<HelloAnswer> AnswerFor(const Flags& flags, const std::vector<std::string>& offered) {
  if (flags.fail_early_callback) {
    return Refusal(ErrorCode::kNoCommonParameters, "the hook refuses the hello");
  }
  if (offered.empty() || (flags.select_alpn.empty() && !flags.reject_alpn)) return HelloAnswer{};
  if (!flags.reject_alpn && absl::c_linear_search(offered, flags.select_alpn)) {
    return HelloAnswer{flags.select_alpn};
  }
  return Refusal(ErrorCode::kAlpnMismatch, "the hook accepts none of the protocols");
}

}  // namespace

std::shared_ptr<const Signer> LaterSigners::MakeSigner(std::shared_ptr<const PrivateKey> key) {
  return std::make_shared<LaterSigner>(std::move(key));
}

std::unique_ptr<PendingCall> FlagVerifier::Verify(
    const PeerToVerify& peer, Scheduler& loop, absl::AnyInvocable<void(absl::Status)> done) const {
  const bool looks = !peer.resumed || flags_.reverify_on_resume;
  absl::Status verdict = looks && flags_.verify_fail
                             ? Refusal(ErrorCode::kCertificateUntrusted, "the verifier refuses it")
                             : absl::OkStatus();
  if (!flags_.async) {
    done(std::move(verdict));
    return nullptr;
  }
  return loop.RunAfter(absl::ZeroDuration(),
                       [verdict = std::move(verdict), done = std::move(done)]() mutable {
                         done(std::move(verdict));
                       });
}

void FlagHook::OnHello(HelloToAnswer hello, Answer answer) {
  asked_ = true;
  for (const std::string& protocol : hello.alpn) {
    advertised_alpn_.push_back(static_cast<char>(protocol.size()));
    advertised_alpn_ += protocol;
  }
  absl::StatusOr<HelloAnswer> decided = AnswerFor(flags_, hello.alpn);
  if (!flags_.async) return answer(std::move(decided));
  later_ = loop_.RunAfter(absl::ZeroDuration(),
                          [decided = std::move(decided), answer = std::move(answer)]() mutable {
                            answer(std::move(decided));
                          });
}

std::unique_ptr<PendingCall> FailingSelector::Select(absl::string_view /*server_name*/,
                                                     Scheduler& /*loop*/, Done done) const {
  done(Refusal(ErrorCode::kNoCertificate, "the selector fails"));
  return nullptr;
}

bool SplitProtocols(const std::string& encoded, std::vector<std::string>& protocols) {
  for (size_t at = 0; at < encoded.size();) {
    const size_t bytes = static_cast<unsigned char>(encoded[at++]);
    if (bytes == 0 || at + bytes > encoded.size()) return false;
    protocols.push_back(encoded.substr(at, bytes));
    at += bytes;
  }
  return true;
}

}  // namespace trestle::bogo
