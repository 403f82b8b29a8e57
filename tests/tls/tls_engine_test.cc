#include "trestle/tls/tls_engine.h"

#include <string>
#include <tuple>

#include "gtest/gtest.h"
#include "tests/tls/tls_fixture.h"

namespace trestle::testing {
namespace {

class NegotiationTest
    : public TlsTest,
      public ::testing::WithParamInterface<std::tuple<TlsVersion, KeyType, TlsGroup>> {};

TEST_P(NegotiationTest, AgreesAndCarriesBytes) {
  const auto [version, key_type, group] = GetParam();
  ServerTlsOptions server;
  server.parameters = Only(version);
  server.parameters.groups = {group};
  server.certificates = MakeStore({LeafFor("a.test", key_type)});
  EnginePair pair = MakePair(std::move(server));
  pair.Handshake();
  ASSERT_TRUE(pair.client->handshake_done()) << pair.client->status();
  ASSERT_TRUE(pair.server->handshake_done()) << pair.server->status();

  for (const TlsInfo* info : {&pair.client->info(), &pair.server->info()}) {
    EXPECT_EQ(info->version, version == TlsVersion::kTls12 ? "TLSv1.2" : "TLSv1.3");
    EXPECT_EQ(info->server_name, "a.test");
    EXPECT_FALSE(info->resumed);
    EXPECT_FALSE(info->cipher.empty());
    EXPECT_EQ(info->group, group == TlsGroup::kX25519MlKem768 ? "X25519MLKEM768"
                           : group == TlsGroup::kX25519       ? "X25519"
                                                              : "P-256");
  }
  ASSERT_EQ(pair.client->info().peer_chain.size(), 1u);
  ASSERT_EQ(pair.server->info().local_chain.size(), 1u);
  EXPECT_EQ(pair.client->info().peer_chain[0].serial, pair.server->info().local_chain[0].serial);

  WriteAll(*pair.client, "question");
  pair.Carry();
  EXPECT_EQ(ReadAll(*pair.server), "question");
  WriteAll(*pair.server, "answer");
  pair.Carry();
  EXPECT_EQ(ReadAll(*pair.client), "answer");
}

constexpr KeyType kKeyTypes[] = {KeyType::kEcdsa, KeyType::kRsa, KeyType::kEd25519};

INSTANTIATE_TEST_SUITE_P(
    Tls13, NegotiationTest,
    ::testing::Combine(::testing::Values(TlsVersion::kTls13), ::testing::ValuesIn(kKeyTypes),
                       ::testing::Values(TlsGroup::kX25519MlKem768, TlsGroup::kX25519,
                                         TlsGroup::kP256)));

// The hybrid group is for TLS 1.3 only.
INSTANTIATE_TEST_SUITE_P(
    Tls12, NegotiationTest,
    ::testing::Combine(::testing::Values(TlsVersion::kTls12), ::testing::ValuesIn(kKeyTypes),
                       ::testing::Values(TlsGroup::kX25519, TlsGroup::kP256)));

}  // namespace
}  // namespace trestle::testing
