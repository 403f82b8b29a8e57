// A real server answers the kit's hellos, and its splits lose no byte.
#include "trestle/testing/client_hello_kit.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace trestle::testing {
namespace {

using ::testing::ElementsAre;

// Creates a server with a self-signed P-256 certificate and every group of the kit.
bssl::UniquePtr<SSL_CTX> MakeServer() {
  bssl::UniquePtr<EC_KEY> ec(EC_KEY_new_by_curve_name(NID_X9_62_prime256v1));
  EXPECT_TRUE(EC_KEY_generate_key(ec.get()));
  bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new());
  EXPECT_TRUE(EVP_PKEY_set1_EC_KEY(key.get(), ec.get()));
  bssl::UniquePtr<X509> certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
  X509_set_pubkey(certificate.get(), key.get());
  EXPECT_TRUE(X509_sign(certificate.get(), key.get(), EVP_sha256()));
  bssl::UniquePtr<SSL_CTX> ctx(SSL_CTX_new(TLS_method()));
  EXPECT_TRUE(SSL_CTX_use_certificate(ctx.get(), certificate.get()));
  EXPECT_TRUE(SSL_CTX_use_PrivateKey(ctx.get(), key.get()));
  EXPECT_TRUE(SSL_CTX_set1_groups_list(ctx.get(), "X25519MLKEM768:X25519:P-256"));
  return ctx;
}

// Returns the type of the first record of the server's answer: 22 (ServerHello), 21 (alert), 0
// (none).
int AnswerTo(SSL_CTX* ctx, const std::string& wire) {
  bssl::UniquePtr<SSL> ssl(SSL_new(ctx));
  SSL_set_accept_state(ssl.get());
  BIO* out = BIO_new(BIO_s_mem());
  BIO* in = BIO_new_mem_buf(wire.data(), static_cast<ossl_ssize_t>(wire.size()));
  SSL_set_bio(ssl.get(), in, out);
  SSL_do_handshake(ssl.get());
  ERR_clear_error();
  const uint8_t* answer;
  size_t size;
  EXPECT_TRUE(BIO_mem_contents(out, &answer, &size));
  return size == 0 ? 0 : answer[0];
}

TEST(ClientHelloKitTest, AServerAnswersEveryHello) {
  const bssl::UniquePtr<SSL_CTX> server = MakeServer();
  for (const KitHello& kit : AllKitHellos("a.test")) {
    // Without signature_algorithms the client offers SHA-1 only, which the server rejects with an
    // alert.
    const int expected = kit.name == "no_extensions" ? 21 : 22;
    EXPECT_EQ(AnswerTo(server.get(), InRecords(kit.message)), expected) << kit.name;
  }
}

TEST(ClientHelloKitTest, EqualCallsGiveEqualBytes) {
  const std::vector<KitHello> once = AllKitHellos("a.test");
  const std::vector<KitHello> again = AllKitHellos("a.test");
  ASSERT_EQ(once.size(), again.size());
  std::set<std::string> names;
  for (size_t i = 0; i < once.size(); ++i) {
    EXPECT_EQ(once[i].message, again[i].message);
    EXPECT_TRUE(names.insert(once[i].name).second) << once[i].name;
  }
}

TEST(ClientHelloKitTest, SizesAreRealistic) {
  EXPECT_EQ(InRecords(ClassicHello("a.test").Message()).size(), 517u);
  const size_t post_quantum = PostQuantumHello("a.test").AddEchOuter(1, 239).Message().size();
  EXPECT_GT(post_quantum, 1700u);
  EXPECT_LT(post_quantum, 1900u);
}

TEST(ClientHelloKitTest, SplitsAtTheGivenPlaces) {
  EXPECT_THAT(CutAt("abcdef", {}), ElementsAre("abcdef"));
  EXPECT_THAT(CutAt("abcdef", {1, 4}), ElementsAre("a", "bcd", "ef"));
  EXPECT_EQ(InRecords("abc", {1}, 0x0303), std::string("\x16\x03\x03\x00\x01"
                                                       "a\x16\x03\x03\x00\x02"
                                                       "bc",
                                                       13));
  EXPECT_EQ(InRecords(std::string(20000, 'x')).size(), 20000u + 2 * 5);
}

// Returns the message of a flight, read from its records.
std::string Reassembled(const Flight& flight) {
  const std::string wire = absl::StrJoin(flight.segments, "");
  std::string message;
  size_t records = 0;
  for (size_t at = 0; at < wire.size();) {
    const size_t size = static_cast<size_t>(static_cast<unsigned char>(wire[at + 3]) << 8 |
                                            static_cast<unsigned char>(wire[at + 4]));
    message += wire.substr(at + 5, size);
    at += 5 + size;
    ++records;
  }
  EXPECT_EQ(records, flight.records) << flight.label;
  return message;
}

TEST(ClientHelloKitTest, EverySplitCarriesTheMessageAndHasALabel) {
  const std::string message = Tls12Hello("a.test").Message();
  std::set<std::string> labels;
  SplitPlan plan;
  const size_t count = ForEachSplit(message, plan, [&](const Flight& flight) {
    EXPECT_EQ(Reassembled(flight), message) << flight.label;
    EXPECT_TRUE(labels.insert(flight.label).second) << flight.label;
    for (const std::string& segment : flight.segments) EXPECT_FALSE(segment.empty());
  });
  EXPECT_EQ(labels.size(), count);
  // No split; each place of the 5 + n bytes; each of the n, twice; one and two bytes, three times;
  // random.
  const size_t n = message.size();
  EXPECT_EQ(count, 1 + (n + 4) + 2 * (n - 1) + 6 + plan.random_partitions);
}

}  // namespace
}  // namespace trestle::testing
