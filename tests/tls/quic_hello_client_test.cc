// Hellos of BoringSSL as a QUIC client, and BoringSSL's parse of the reader's results.
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "trestle/base/bytes.h"
#include "trestle/testing/client_hello_kit.h"
#include "trestle/testing/quic_hello_kit.h"
#include "trestle/tls/quic_hello_reader.h"

namespace trestle {
namespace {

using testing::ForEachQuicFlight;
using testing::QuicFlight;
using testing::QuicFlightPlan;

// The Initial-level output of a side, and its view of a hello.
struct Side {
  std::string initial_bytes;
  std::string hello_body;
  std::string server_name;
};

Side& SideOf(const SSL* ssl) { return *static_cast<Side*>(SSL_get_app_data(ssl)); }

int IgnoreSecret(SSL*, ssl_encryption_level_t, const SSL_CIPHER*, const uint8_t*, size_t) {
  return 1;
}
int AddHandshakeData(SSL* ssl, ssl_encryption_level_t level, const uint8_t* data, size_t size) {
  if (level == ssl_encryption_initial) {
    SideOf(ssl).initial_bytes.append(AsText(ByteView(data, size)).data(), size);
  }
  return 1;
}
int FlushFlight(SSL*) { return 1; }
int SendAlert(SSL*, ssl_encryption_level_t, uint8_t) { return 1; }

constexpr uint8_t kTransportParameters[] = {0x04, 0x04, 0x80, 0x10, 0x00, 0x00};
constexpr SSL_QUIC_METHOD kMethod = {IgnoreSecret, IgnoreSecret, AddHandshakeData, FlushFlight,
                                     SendAlert};

ssl_select_cert_result_t SeeHello(const SSL_CLIENT_HELLO* hello) {
  Side& side = SideOf(hello->ssl);
  side.hello_body = std::string(AsText(ByteView(hello->client_hello, hello->client_hello_len)));
  const char* name = SSL_get_servername(hello->ssl, TLSEXT_NAMETYPE_host_name);
  if (name != nullptr) side.server_name = name;
  return ssl_select_cert_error;
}

class QuicHelloClientTest : public ::testing::Test {
 protected:
  QuicHelloClientTest() : ctx_(SSL_CTX_new(TLS_method())) {
    SSL_CTX_set_min_proto_version(ctx_.get(), TLS1_3_VERSION);
    SSL_CTX_set_select_certificate_cb(ctx_.get(), SeeHello);
  }

  bssl::UniquePtr<SSL> NewSsl(Side& side) {
    bssl::UniquePtr<SSL> ssl(SSL_new(ctx_.get()));
    SSL_set_app_data(ssl.get(), &side);
    SSL_set_quic_method(ssl.get(), &kMethod);
    SSL_set_quic_transport_params(ssl.get(), kTransportParameters, sizeof(kTransportParameters));
    return ssl;
  }
  std::string ClientMessage(const std::vector<uint16_t>& groups) {
    Side side;
    const bssl::UniquePtr<SSL> ssl = NewSsl(side);
    SSL_set_connect_state(ssl.get());
    SSL_set_tlsext_host_name(ssl.get(), "a.test");
    SSL_set1_group_ids(ssl.get(), groups.data(), groups.size());
    static constexpr uint8_t kH3[] = {2, 'h', '3'};
    SSL_set_alpn_protos(ssl.get(), kH3, sizeof(kH3));
    SSL_set_enable_ech_grease(ssl.get(), 1);
    SSL_do_handshake(ssl.get());
    ERR_clear_error();
    return side.initial_bytes;
  }

  // Compares the hello with the results of SSL_parse_client_hello and of a server for its message.
  void ExpectAgreement(const ClientHello& hello) {
    Side side;
    const bssl::UniquePtr<SSL> server = NewSsl(side);
    SSL_set_accept_state(server.get());
    SSL_CLIENT_HELLO theirs;
    const ByteView body = hello.message.subspan(4);
    ASSERT_EQ(SSL_parse_client_hello(server.get(), &theirs, body.data(), body.size()), 1);
    EXPECT_EQ(theirs.version, hello.legacy_version);
    EXPECT_EQ(ByteView(theirs.random, theirs.random_len), hello.random);
    EXPECT_EQ(ByteView(theirs.cipher_suites, theirs.cipher_suites_len),
              hello.cipher_suites.bytes());
    for (const HelloExtension& extension : hello.extensions) {
      const uint8_t* data;
      size_t size;
      ASSERT_EQ(SSL_early_callback_ctx_extension_get(&theirs, extension.type, &data, &size), 1);
      EXPECT_EQ(ByteView(data, size), extension.body);
    }
    SSL_provide_quic_data(server.get(), ssl_encryption_initial, hello.message.data(),
                          hello.message.size());
    SSL_do_handshake(server.get());
    ERR_clear_error();
    EXPECT_EQ(side.hello_body, AsText(body));
    EXPECT_EQ(side.server_name, hello.server_name);
  }

  // Reads the message in several flights.
  void ExpectRead(absl::string_view message, size_t min_datagrams) {
    QuicFlightPlan plan;
    plan.every_cut = plan.every_packet_cut = plan.every_datagram_cut = false;
    plan.one_byte_frames = false;
    ForEachQuicFlight(message, plan, [&](const QuicFlight& flight) {
      SCOPED_TRACE(flight.label);
      EXPECT_GE(flight.datagrams.size(), min_datagrams);
      QuicHelloReader reader;
      for (const std::string& datagram : flight.datagrams) {
        reader.Feed(AsBytes(datagram), MonotonicTime::FromStart({}));
      }
      ASSERT_EQ(reader.state(), QuicHelloState::kDone) << reader.error();
      EXPECT_EQ(AsText(reader.hello().message), message);
      ExpectAgreement(reader.hello());
    });
  }

  bssl::UniquePtr<SSL_CTX> ctx_;
};

TEST_F(QuicHelloClientTest, ReadsTheClassicHelloOfBoringSsl) {
  const std::string message = ClientMessage({SSL_GROUP_X25519});
  ASSERT_FALSE(message.empty());
  ExpectRead(message, 1);
}

TEST_F(QuicHelloClientTest, ReadsThePostQuantumHelloOfBoringSsl) {
  const std::string message = ClientMessage({SSL_GROUP_X25519_MLKEM768, SSL_GROUP_X25519});
  ASSERT_GT(message.size(), 1200u);
  ExpectRead(message, 2);
  ClientHello hello;
  ASSERT_TRUE(ParseClientHello(AsBytes(message), {}, hello).ok());
  EXPECT_EQ(hello.server_name, "a.test");
  EXPECT_EQ(hello.alpn[0], "h3");
  EXPECT_EQ(hello.key_shares[0].group, SSL_GROUP_X25519_MLKEM768);
  EXPECT_TRUE(hello.ech);
}

TEST_F(QuicHelloClientTest, ReadsTheKitsHellos) {
  ExpectRead(testing::QuicHello("a.test").Message(), 1);
  ExpectRead(testing::QuicPostQuantumHello("a.test").AddGrease().Message(), 2);
}

}  // namespace
}  // namespace trestle
