#include "integrations/spiffe/workload_api.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integrations/spiffe/fake_agent.h"
#include "trestle/base/bytes.h"
#include "trestle/base/error.h"

namespace trestle::testing {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<WorkloadUpdate> Decode(const std::string& message) {
  return DecodeWorkloadUpdate(AsBytes(message));
}

ErrorCode CodeOf(const absl::Status& status) { return GetError(status).value().code; }

WorkloadUpdate Example() {
  WorkloadUpdate update;
  update.svids.push_back({"spiffe://example.org/a", "chain", "key", "bundle", "internal"});
  update.svids.push_back(
      {"spiffe://example.org/b", "chain b", std::string(300, 'k'), "bundle", ""});
  update.federated_bundles = {{"partner.test", "their bundle"}};
  return update;
}

TEST(WorkloadApiTest, ReadsWhatAgentsSend) {
  const auto update = Decode(EncodeUpdate(Example()));
  ASSERT_TRUE(update.ok()) << update.status();
  ASSERT_EQ(update->svids.size(), 2u);
  EXPECT_EQ(update->svids[0].spiffe_id, "spiffe://example.org/a");
  EXPECT_EQ(update->svids[0].chain_der, "chain");
  EXPECT_EQ(update->svids[0].key_der, "key");
  EXPECT_EQ(update->svids[0].bundle_der, "bundle");
  EXPECT_EQ(update->svids[0].hint, "internal");
  EXPECT_EQ(update->svids[1].key_der.size(), 300u);
  ASSERT_EQ(update->federated_bundles.size(), 1u);
  EXPECT_EQ(update->federated_bundles[0].first, "partner.test");
  EXPECT_EQ(update->federated_bundles[0].second, "their bundle");
  EXPECT_TRUE(Decode("")->svids.empty());
}

TEST(WorkloadApiTest, SkipsFieldsThatItDoesNotKnow) {
  const std::string crl = EncodeField(2, "a revocation list");
  const std::string varint("\x48\x96\x01", 3);                   // Field 9: 150.
  const std::string fixed64 = absl::StrCat("\x51", "12345678");  // Field 10.
  const std::string fixed32 = absl::StrCat("\x5d", "1234");      // Field 11.
  const auto update = Decode(absl::StrCat(crl, varint, EncodeUpdate(Example()), fixed64, fixed32));
  ASSERT_TRUE(update.ok()) << update.status();
  EXPECT_EQ(update->svids.size(), 2u);
}

TEST(WorkloadApiTest, EveryCutIsAnErrorOrAShorterMessage) {
  const std::string message = EncodeUpdate(Example());
  for (size_t size = 0; size < message.size(); ++size) {
    const auto update = Decode(message.substr(0, size));
    if (update.ok()) {
      EXPECT_LT(update->svids.size() + update->federated_bundles.size(), 3u) << size;
    } else {
      EXPECT_EQ(CodeOf(update.status()), ErrorCode::kProtocol) << size;
    }
  }
}

TEST(WorkloadApiTest, RefusesWhatIsNoProtocolBuffer) {
  for (const std::string& message : {
           std::string("\x0b", 1),                                           // A group.
           std::string("\x0f", 1),                                           // No wire type.
           std::string("\x02\x01x", 3),                                      // Field 0.
           std::string("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11),  // A huge length.
           std::string(11, '\xff'),                                          // An endless number.
           EncodeField(1, "\x0a\x05x"),                                      // A cut SVID.
           EncodeField(3, "\x0a\x05x"),                                      // A cut bundle.
       }) {
    const auto update = Decode(message);
    ASSERT_FALSE(update.ok());
    EXPECT_EQ(CodeOf(update.status()), ErrorCode::kProtocol);
    EXPECT_THAT(GetError(update.status())->detail, HasSubstr("no X509SVIDResponse"));
  }
}

TEST(WorkloadApiTest, LimitsTheNumbersOfEntries) {
  std::string svids;
  for (size_t i = 0; i <= WorkloadUpdate::kMaxSvids; ++i) svids += EncodeField(1, "");
  EXPECT_EQ(CodeOf(Decode(svids).status()), ErrorCode::kOverLimit);
  std::string bundles;
  for (size_t i = 0; i <= WorkloadUpdate::kMaxFederated; ++i) bundles += EncodeField(3, "");
  EXPECT_EQ(CodeOf(Decode(bundles).status()), ErrorCode::kOverLimit);
}

}  // namespace
}  // namespace trestle::testing
