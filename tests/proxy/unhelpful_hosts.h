// The worst plug-ins of a host for a front leg: each rejects, fails, or never answers.
#ifndef TRESTLE_TESTS_PROXY_UNHELPFUL_HOSTS_H_
#define TRESTLE_TESTS_PROXY_UNHELPFUL_HOSTS_H_

#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "trestle/io/inspector.h"
#include "trestle/io/scheduler.h"
#include "trestle/pki/signer.h"
#include "trestle/proxy/content_routing.h"
#include "trestle/tls/credential_selector.h"
#include "trestle/tls/peer_verifier.h"

namespace trestle::testing {

class FailingSigner final : public Signer {
 public:
  explicit FailingSigner(absl::Status failure) : failure_(std::move(failure)) {}
  std::unique_ptr<PendingCall> Sign(SignatureScheme, ByteView, Scheduler&,
                                    Done done) const override {
    done(failure_);
    return nullptr;
  }

 private:
  const absl::Status failure_;
};

class SilentSigner final : public Signer {
 public:
  std::unique_ptr<PendingCall> Sign(SignatureScheme, ByteView, Scheduler&, Done) const override {
    return nullptr;
  }
};

class FailingSelector final : public CredentialSelector {
 public:
  std::unique_ptr<PendingCall> Select(absl::string_view, Scheduler&, Done done) const override {
    done(absl::UnavailableError("the vault is sealed"));
    return nullptr;
  }
};

class RefusingVerifier final : public PeerVerifier {
 public:
  std::unique_ptr<PendingCall> Verify(const PeerToVerify&, Scheduler&,
                                      absl::AnyInvocable<void(absl::Status)> done) const override {
    done(absl::PermissionDeniedError("not on the payroll"));
    return nullptr;
  }
};

class BlockingInspector final : public Inspector {
 public:
  Verdict Inspect(Direction, ByteView, bool) override { return Verdict::Block("an attack", ""); }
};

class RefusingReader final : public ContentReader {
 public:
  explicit RefusingReader(ContentAnswer answer) : answer_(std::move(answer)) {}
  ContentAnswer Read(ByteView bytes, bool) override {
    return bytes.empty() ? ContentAnswer::ReadMore() : answer_;
  }

 private:
  const ContentAnswer answer_;
};

}  // namespace trestle::testing

#endif  // TRESTLE_TESTS_PROXY_UNHELPFUL_HOSTS_H_
