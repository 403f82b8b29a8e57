#include "trestle/tls/ech_pairs.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tls/ech_pair.h"
#include "trestle/base/error.h"
#include "trestle/tls/ech_keys.h"

namespace trestle::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string MadePair(const std::string& public_name, uint8_t config_id) {
  EchPairOptions options;
  options.public_name = public_name;
  options.config_id = config_id;
  const absl::StatusOr<std::string> pem = MakeEchPair(options);
  EXPECT_TRUE(pem.ok()) << pem.status();
  return pem.value_or("");
}

std::string FaultOf(const absl::Status& status) {
  const std::optional<Error> error = GetError(status);
  if (!error.has_value()) return std::string("no typed error: ") + std::string(status.message());
  EXPECT_EQ(error->code, ErrorCode::kConfiguration);
  return error->detail;
}

TEST(EchPairsTest, ServersReadAMadePairAndClientsGetItsConfig) {
  const std::string pem = MadePair("Public.Test.", 7);
  const absl::StatusOr<std::shared_ptr<EchKeys>> keys = EchKeys::FromPem(pem);
  ASSERT_TRUE(keys.ok()) << keys.status();
  const auto pairs = DescribeEchPairs(pem);
  ASSERT_TRUE(pairs.ok()) << pairs.status();
  ASSERT_EQ(pairs->size(), 1u);
  EXPECT_EQ((*keys)->PublishedConfigs(), absl::Base64Escape(pairs->front().config_list));
  ASSERT_EQ(pairs->front().configs.size(), 1u);
  const EchConfigInfo& config = pairs->front().configs.front();
  EXPECT_EQ(config.config_id, 7);
  EXPECT_EQ(config.public_name, "public.test");
  EXPECT_EQ(config.max_name_bytes, 64);
  EXPECT_EQ(config.kem, "X25519, HKDF-SHA256");
  EXPECT_EQ(config.public_key.size(), 32u);
  EXPECT_THAT(config.suites,
              ElementsAre("HKDF-SHA256, AES-128-GCM", "HKDF-SHA256, ChaCha20-Poly1305"));
}

TEST(EchPairsTest, EachPairHasItsOwnKey) {
  EXPECT_NE(MadePair("public.test", 1), MadePair("public.test", 1));
}

TEST(EchPairsTest, LinesOfThePemTextFit) {
  const std::string pem = MadePair("a-rather-long-public-name-of-a-site.public.test", 1);
  for (size_t at = 0; at < pem.size();) {
    const size_t end = pem.find('\n', at);
    ASSERT_NE(end, std::string::npos);
    EXPECT_LE(end - at, 64u);
    at = end + 1;
  }
}

TEST(EchPairsTest, InvalidPublicNamesAreRejected) {
  for (const char* name : {"", "192.0.2.1", "a..test", "a b.test", "-a.test"}) {
    EchPairOptions options;
    options.public_name = name;
    EXPECT_THAT(FaultOf(MakeEchPair(options).status()), HasSubstr("public name")) << name;
  }
}

TEST(EchPairsTest, SeveralPairsAreDescribedInTheirOrder) {
  const auto pairs = DescribeEchPairs(MadePair("new.test", 2) + MadePair("old.test", 1));
  ASSERT_TRUE(pairs.ok()) << pairs.status();
  ASSERT_EQ(pairs->size(), 2u);
  EXPECT_EQ((*pairs)[0].configs.front().public_name, "new.test");
  EXPECT_EQ((*pairs)[1].configs.front().config_id, 1);
}

TEST(EchPairsTest, PairsThatServersRejectAreNotDescribed) {
  EXPECT_THAT(FaultOf(DescribeEchPairs("").status()), HasSubstr("no PEM blocks"));
  EXPECT_THAT(FaultOf(DescribeEchPairs(MadePair("a.test", 1) + MadePair("b.test", 1)).status()),
              HasSubstr("config id 1"));
  const EchPair one = NewEchPair(1, "a.test");
  const EchPair other = NewEchPair(2, "a.test");
  EXPECT_THAT(FaultOf(DescribeEchPairs(one.key_pem + other.config_pem()).status()),
              HasSubstr("doesn't belong"));
}

TEST(EchPairsTest, ListsAreDescribedWithoutKeys) {
  const EchPair pair = NewEchPair(9, "a.test");
  const auto configs = DescribeEchConfigs(pair.config_list);
  ASSERT_TRUE(configs.ok()) << configs.status();
  ASSERT_EQ(configs->size(), 1u);
  EXPECT_EQ(configs->front().config_id, 9);
  EXPECT_EQ(configs->front().bytes, pair.config_list.substr(2));
  for (size_t bytes = 0; bytes < pair.config_list.size(); ++bytes) {
    EXPECT_THAT(FaultOf(DescribeEchConfigs(pair.config_list.substr(0, bytes)).status()),
                HasSubstr("damaged"))
        << bytes;
  }
}

TEST(EchPairsTest, UnknownAlgorithmsAreNumbers) {
  EchPair pair = NewEchPair(9, "a.test");
  // Version, length, config id, then the KEM; after the key, the length of the suites.
  pair.config_list[2 + 4 + 1] = '\x7f';
  const size_t suites = 2 + 4 + 1 + 2 + 2 + 32 + 2;
  pair.config_list[suites] = '\x7e';
  pair.config_list[suites + 2] = '\x7d';
  const auto configs = DescribeEchConfigs(pair.config_list);
  ASSERT_TRUE(configs.ok()) << configs.status();
  EXPECT_EQ(configs->front().kem, "KEM 0x7f20");
  EXPECT_EQ(configs->front().suites.front(), "KDF 0x7e01, AEAD 0x7d01");
}

}  // namespace
}  // namespace trestle::testing
