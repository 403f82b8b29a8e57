#include "lib/pki/chain_cache.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace trestle {
namespace {

// The cache does not parse its certificates.
bssl::UniquePtr<CRYPTO_BUFFER> Certificate(const std::string& der) {
  const ByteView bytes = AsBytes(der);
  return bssl::UniquePtr<CRYPTO_BUFFER>(CRYPTO_BUFFER_new(bytes.data(), bytes.size(), nullptr));
}

TEST(ChainCacheTest, EqualCertificatesAreShared) {
  ChainCache cache;
  const auto first = cache.Share(Certificate("ca"));
  EXPECT_EQ(cache.Share(Certificate("ca")), first);
  EXPECT_NE(cache.Share(Certificate("another")), first);
  EXPECT_EQ(cache.size(), 2u);
}

TEST(ChainCacheTest, AtTheLimitTheLeastRecentlyUsedOneGoes) {
  ChainCache cache;
  const auto recent = cache.Share(Certificate("recent"));
  const auto old = cache.Share(Certificate("old"));
  for (size_t i = 2; i < ChainCache::kMaxCertificates; ++i) {
    cache.Share(Certificate(absl::StrCat(i)));
  }
  EXPECT_EQ(cache.Share(Certificate("recent")), recent);
  cache.Share(Certificate("one more"));
  EXPECT_EQ(cache.size(), ChainCache::kMaxCertificates);
  EXPECT_EQ(cache.Share(Certificate("recent")), recent);
  EXPECT_NE(cache.Share(Certificate("old")), old);
}

}  // namespace
}  // namespace trestle
