// A client's own certificate.
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "tests/tls/tls_fixture.h"

namespace trestle::testing {
namespace {

class ClientCredentialTest : public TlsTest {
 protected:
  // Returns the subject of the certificate that a client presents to a server that requires one; ""
  // if none.
  std::string Shown(ClientTlsOptions options, TlsVersion version) {
    bssl::UniquePtr<SSL_CTX> context = MakeRawContext();
    UsePem(context.get(), pki_.Issue(LeafFor("a.test")));
    SSL_CTX_set_custom_verify(context.get(), SSL_VERIFY_PEER,
                              [](SSL*, uint8_t*) { return ssl_verify_ok; });
    RawPeer server(context.get(), /*is_server=*/true);
    options.parameters.max_version = version;
    std::unique_ptr<TlsEngine> client = MakeClient(std::move(options));
    server.Handshake(*client);
    EXPECT_TRUE(client->handshake_done()) << client->status();
    const STACK_OF(CRYPTO_BUFFER)* chain = SSL_get0_peer_certificates(server.ssl());
    if (chain == nullptr || sk_CRYPTO_BUFFER_num(chain) == 0) return "";
    const CRYPTO_BUFFER* leaf = sk_CRYPTO_BUFFER_value(chain, 0);
    const std::string der(reinterpret_cast<const char*>(CRYPTO_BUFFER_data(leaf)),
                          CRYPTO_BUFFER_len(leaf));
    return der.find("client.test") == std::string::npos ? "another" : "client.test";
  }
};

TEST_F(ClientCredentialTest, IsPresentedToServersThatRequestIt) {
  LeafSpec leaf = LeafFor("client.test");
  leaf.server_auth = false;
  for (const TlsVersion version : {TlsVersion::kTls12, TlsVersion::kTls13}) {
    ClientTlsOptions options;
    EXPECT_EQ(Shown(options, version), "");
    options.credential = pki_.IssueCredential(leaf);
    EXPECT_EQ(Shown(options, version), "client.test");
  }
}

TEST_F(ClientCredentialTest, AnotherCredentialIsAnotherPolicy) {
  ClientTlsOptions options;
  const std::string none = MakeClientConfig(options)->policy();
  options.credential = pki_.IssueCredential(LeafFor("client.test"));
  const std::string one = MakeClientConfig(options)->policy();
  EXPECT_EQ(MakeClientConfig(options)->policy(), one);
  options.credential = pki_.IssueCredential(LeafFor("client.test"));
  EXPECT_NE(MakeClientConfig(options)->policy(), one);
  EXPECT_NE(none, one);
}

}  // namespace
}  // namespace trestle::testing
