#include "trestle/pki/thread_pool_signer.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "tests/pki/pki_fixture.h"
#include "trestle/io/task_runner.h"
#include "trestle/testing/simulated_loop.h"

namespace trestle::testing {
namespace {

// A thread that runs on demand.
class HeldThread final : public TaskRunner {
 public:
  absl::Status Run(absl::AnyInvocable<void()> task) override {
    if (!refusal.ok()) return refusal;
    tasks.push_back(std::move(task));
    return absl::OkStatus();
  }

  absl::Status refusal;
  std::vector<absl::AnyInvocable<void()>> tasks;
};

class ThreadPoolSignerTest : public PkiTest {
 protected:
  std::shared_ptr<const PrivateKey> KeyOf(KeyType type) const {
    return *PrivateKey::FromPem(pki_.Issue(LeafFor("a.test", type)).key);
  }

  std::unique_ptr<PendingCall> Sign(const Signer& signer) {
    return signer.Sign(
        SignatureScheme::kRsaPkcs1Sha256, AsBytes("text"), loop_,
        [this](absl::StatusOr<std::string> signature) { answer_ = std::move(signature); });
  }

  SimulatedLoop loop_;
  const std::shared_ptr<HeldThread> thread_ = std::make_shared<HeldThread>();
  ThreadPoolSigner pool_{thread_};
  std::optional<absl::StatusOr<std::string>> answer_;
};

TEST_F(ThreadPoolSignerTest, SignsOnAThreadAndAnswersOnTheLoop) {
  const auto key = KeyOf(KeyType::kRsa);
  const auto signer = pool_.MakeSigner(key);
  const std::unique_ptr<PendingCall> pending = Sign(*signer);
  ASSERT_EQ(thread_->tasks.size(), 1u);
  thread_->tasks[0]();
  EXPECT_FALSE(answer_.has_value()) << "the answer comes on the loop";
  loop_.RunReady();
  ASSERT_TRUE(answer_.has_value());
  // PKCS #1 has no salt.
  EXPECT_EQ(**answer_, *key->Sign(SignatureScheme::kRsaPkcs1Sha256, AsBytes("text")));
}

TEST_F(ThreadPoolSignerTest, OtherKeysAreLeftToTheLoop) {
  EXPECT_EQ(pool_.MakeSigner(KeyOf(KeyType::kEcdsa)), nullptr);
  EXPECT_EQ(pool_.MakeSigner(KeyOf(KeyType::kEd25519)), nullptr);
}

TEST_F(ThreadPoolSignerTest, ARejectedTaskFailsTheSignature) {
  thread_->refusal = OverLimitError(Limit::kTasks, Phase::kHandshake, "all are busy");
  const std::unique_ptr<PendingCall> pending = Sign(*pool_.MakeSigner(KeyOf(KeyType::kRsa)));
  loop_.RunReady();
  ASSERT_TRUE(answer_.has_value());
  EXPECT_EQ(CodeOf(answer_->status()), ErrorCode::kOverLimit);
}

TEST_F(ThreadPoolSignerTest, ALateSignatureFailsAndIsNotBegun) {
  const ThreadPoolSigner limited(thread_, absl::Seconds(2));
  const auto signer = limited.SignerFor(KeyOf(KeyType::kRsa));
  const std::unique_ptr<PendingCall> pending = Sign(*signer);
  loop_.RunFor(absl::Milliseconds(1999));
  EXPECT_FALSE(answer_.has_value());
  loop_.RunFor(absl::Milliseconds(1));
  ASSERT_TRUE(answer_.has_value());
  EXPECT_EQ(CodeOf(answer_->status()), ErrorCode::kTimeout);
  thread_->tasks.at(0)();
  EXPECT_EQ(loop_.RunReady(), 0u) << "nothing was posted";
}

TEST_F(ThreadPoolSignerTest, AnAnswerInTimeIsTheOnlyOne) {
  const ThreadPoolSigner limited(thread_, absl::Seconds(2));
  const std::unique_ptr<PendingCall> pending = Sign(*limited.SignerFor(KeyOf(KeyType::kRsa)));
  thread_->tasks.at(0)();
  loop_.RunReady();
  ASSERT_TRUE(answer_.has_value() && answer_->ok());
  answer_.reset();
  loop_.RunFor(absl::Seconds(3));
  EXPECT_FALSE(answer_.has_value());
}

TEST_F(ThreadPoolSignerTest, NoAnswerComesAfterCancellation) {
  const auto signer = pool_.MakeSigner(KeyOf(KeyType::kRsa));
  Sign(*signer).reset();
  thread_->tasks.at(0)();
  EXPECT_EQ(loop_.RunReady(), 0u) << "nothing was posted";
  std::unique_ptr<PendingCall> pending = Sign(*signer);
  thread_->tasks.at(1)();
  pending.reset();  // The answer is on its way.
  loop_.RunReady();
  EXPECT_FALSE(answer_.has_value());
}

}  // namespace
}  // namespace trestle::testing
