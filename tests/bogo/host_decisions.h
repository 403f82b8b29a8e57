// What a host decides during handshakes: certificates, hellos, signatures, admission. The answers
// are those that the flags ask for. With -async, each comes in a later call of the loop.
#ifndef TRESTLE_TESTS_BOGO_HOST_DECISIONS_H_
#define TRESTLE_TESTS_BOGO_HOST_DECISIONS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "tests/bogo/flags.h"
#include "trestle/pki/private_key.h"
#include "trestle/tls/credential_selector.h"
#include "trestle/tls/hello_hook.h"
#include "trestle/tls/peer_verifier.h"

namespace trestle::bogo {

/// Makes signers that answer later.
class LaterSigners final : public SignerMaker {
 public:
  std::shared_ptr<const Signer> MakeSigner(std::shared_ptr<const PrivateKey> key) override;
};

/// Accepts peers, or with -verify-fail refuses them. Without -reverify-on-resume it accepts every
/// peer of a resumed session.
class FlagVerifier final : public PeerVerifier {
 public:
  explicit FlagVerifier(const Flags& flags) : flags_(flags) {}
  std::unique_ptr<PendingCall> Verify(const PeerToVerify& peer, Scheduler& loop,
                                      absl::AnyInvocable<void(absl::Status)> done) const override;

 private:
  const Flags flags_;
};

/// Chooses the application protocol that the flags select, or refuses the hello.
class FlagHook final : public HelloHook {
 public:
  FlagHook(const Flags& flags, Scheduler& loop) : flags_(flags), loop_(loop) {}
  void OnHello(HelloToAnswer hello, Answer answer) override;

  bool asked() const { return asked_; }
  /// The protocols of the hello, in the form of RFC 7301 3.1.
  const std::string& advertised_alpn() const { return advertised_alpn_; }

 private:
  const Flags flags_;
  Scheduler& loop_;
  bool asked_ = false;
  std::string advertised_alpn_;
  Timer later_;
};

/// Has no certificate for any name.
class FailingSelector final : public CredentialSelector {
 public:
  std::unique_ptr<PendingCall> Select(absl::string_view server_name, Scheduler& loop,
                                      Done done) const override;
};

/// Splits the form of RFC 7301 3.1 into names; false if it is malformed.
bool SplitProtocols(const std::string& encoded, std::vector<std::string>& protocols);

}  // namespace trestle::bogo

#endif  // TRESTLE_TESTS_BOGO_HOST_DECISIONS_H_
