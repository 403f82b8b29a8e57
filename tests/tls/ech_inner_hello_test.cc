#include "lib/tls/ech/ech_inner_hello.h"

#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tls/tls_fixture.h"
#include "trestle/base/bytes.h"
#include "trestle/base/error.h"
#include "trestle/testing/simulated_loop.h"
#include "trestle/testing/test_pki.h"

namespace trestle::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using State = EchInnerHello::State;

constexpr size_t kRecordHeaderBytes = 5;
constexpr size_t kRandomAt = kRecordHeaderBytes + 4 + 2;

class EchInnerHelloTest : public ::testing::Test {
 protected:
  EchInnerHelloTest() { UsePem(server_.get(), pki_.Issue(LeafFor("a.test"))); }

  static LeafSpec LeafFor(const std::string& name) {
    LeafSpec leaf;
    leaf.dns_names = {name};
    return leaf;
  }

  // Returns the server's answer to the hello.
  std::string Answer() {
    RawPeer server(server_.get(), /*is_server=*/true);
    server.GiveInput(hello_->to_send());
    server.Handshake();
    return server.TakeOutput();
  }

  State Feed(absl::string_view bytes) { return hello_->Feed(AsBytes(bytes)); }

  std::string Fault() const {
    const std::optional<Error> error = GetError(hello_->error());
    if (!error.has_value()) return "no error";
    EXPECT_EQ(error->code, error->alert.has_value() ? ErrorCode::kPeerAlert : ErrorCode::kProtocol);
    EXPECT_EQ(error->leg, Leg::kBack);
    return error->detail;
  }

  SimulatedLoop loop_;
  TestPki pki_{loop_.Now()};
  bssl::UniquePtr<SSL_CTX> server_ = MakeRawContext();
  std::unique_ptr<EchInnerHello> hello_ = *EchInnerHello::Create("a.test", {"h2"});
};

TEST_F(EchInnerHelloTest, AServerWithoutEchConfirmsIt) {
  EXPECT_EQ(hello_->state(), State::kNeedMore);
  EXPECT_EQ(Feed(Answer()), State::kConfirmed);
  EXPECT_TRUE(hello_->error().ok());
}

TEST_F(EchInnerHelloTest, TheAnswerMayBeSplitAnywhere) {
  const std::string answer = Answer();
  for (const char byte : answer) {
    if (Feed(std::string(1, byte)) != State::kNeedMore) break;
  }
  EXPECT_EQ(hello_->state(), State::kConfirmed);
}

TEST_F(EchInnerHelloTest, Sha384IsSupported) {
  ASSERT_TRUE(SSL_CTX_set_compliance_policy(server_.get(), ssl_compliance_policy_cnsa_202407));
  const std::string answer = Answer();
  const size_t suite_at = kRandomAt + 32 + 1 + static_cast<uint8_t>(answer[kRandomAt + 32]);
  EXPECT_EQ(answer.substr(suite_at, 2), "\x13\x02");
  EXPECT_EQ(Feed(answer), State::kConfirmed);
}

TEST_F(EchInnerHelloTest, AHelloRetryRequestConfirmsIt) {
  const uint16_t group = SSL_GROUP_SECP384R1;
  SSL_CTX_set1_group_ids(server_.get(), &group, 1);
  const std::string answer = Answer();
  EXPECT_EQ(answer.substr(kRandomAt, 4), "\xcf\x21\xad\x74") << "no HelloRetryRequest";
  EXPECT_EQ(Feed(answer), State::kConfirmed);
}

TEST_F(EchInnerHelloTest, ARetryWithAnotherConfirmationDoesNotConfirm) {
  const uint16_t group = SSL_GROUP_SECP384R1;
  SSL_CTX_set1_group_ids(server_.get(), &group, 1);
  std::string answer = Answer();
  const size_t extension = answer.find("\xfe\x0d");
  ASSERT_NE(extension, std::string::npos);
  answer[extension + 4] ^= 1;
  EXPECT_EQ(Feed(answer), State::kFailed);
  EXPECT_THAT(Fault(), HasSubstr("doesn't confirm an inner hello"));
}

// A server without support for ECH sends any random bytes.
TEST_F(EchInnerHelloTest, AnotherRandomIsNoConfirmation) {
  std::string answer = Answer();
  answer[kRandomAt + 31] ^= 1;
  EXPECT_EQ(Feed(answer), State::kFailed);
  EXPECT_THAT(Fault(), AllOf(HasSubstr("doesn't confirm an inner hello"), HasSubstr("BoringSSL")));
  EXPECT_EQ(Feed(Answer()), State::kFailed) << "the verdict remains";
}

TEST_F(EchInnerHelloTest, AServerWithoutTls13Fails) {
  SSL_CTX_set_max_proto_version(server_.get(), TLS1_2_VERSION);
  EXPECT_EQ(Feed(Answer()), State::kFailed);
  EXPECT_THAT(Fault(), HasSubstr("with the alert protocol_version"));
}

TEST_F(EchInnerHelloTest, OtherAnswersFail) {
  const struct {
    absl::string_view bytes;
    absl::string_view fault;
  } kCases[] = {
      {"HTTP/1.1 400 Bad Request\r\n", "doesn't answer an inner hello with TLS"},
      {absl::string_view("\x17\x03\x03\x00\x01\x00", 6), "with TLS"},
      {absl::string_view("\x16\x03\x03\x00\x00", 5), "with TLS"},
      {absl::string_view("\x16\x03\x03\x41\x00", 5), "with TLS"},
      {absl::string_view("\x15\x03\x03\x00\x02\x02\x70", 7), "the alert unrecognized_name"},
      {absl::string_view("\x16\x03\x03\x00\x04\x01\x00\x00\x00", 9), "with a ServerHello"},
      {absl::string_view("\x16\x03\x03\x00\x04\x02\x01\x00\x00", 9), "with a ServerHello"},
      {absl::string_view("\x16\x03\x03\x00\x04\x02\x00\x00\x00", 9), "a malformed ServerHello"},
  };
  for (const auto& answer : kCases) {
    hello_ = *EchInnerHello::Create("a.test", {});
    EXPECT_EQ(Feed(answer.bytes), State::kFailed) << answer.fault;
    EXPECT_THAT(Fault(), HasSubstr(answer.fault));
  }
}

TEST_F(EchInnerHelloTest, EveryTruncatedServerHelloIsRejectedAtItsEnd) {
  const std::string answer = Answer();
  const size_t size =
      kRecordHeaderBytes + (static_cast<uint8_t>(answer[3]) << 8 | static_cast<uint8_t>(answer[4]));
  for (size_t bytes = 0; bytes < size; ++bytes) {
    hello_ = *EchInnerHello::Create("a.test", {});
    EXPECT_EQ(Feed(answer.substr(0, bytes)), State::kNeedMore);
    EXPECT_EQ(hello_->End(), State::kFailed);
  }
  EXPECT_THAT(Fault(), HasSubstr("closed the connection after an inner hello"));
}

TEST_F(EchInnerHelloTest, TheEndAfterAConfirmationChangesNothing) {
  Feed(Answer());
  EXPECT_EQ(hello_->End(), State::kConfirmed);
}

TEST_F(EchInnerHelloTest, AnAddressCanNotBeHidden) {
  for (const char* name : {"", "192.0.2.1"}) {
    EXPECT_FALSE(EchInnerHello::Create(name, {}).ok()) << name;
  }
}

}  // namespace
}  // namespace trestle::testing
