// A thousand reloads leave no memory behind. The test compares the live heap after reload 100 and
// after reload 1,000. A handshake after each reload fills caches of the replaced objects.
// Sanitizers have their own malloc; with them nothing is counted, and LeakSanitizer checks for
// leaks.
#include <openssl/ssl.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/declare.h"
#include "absl/flags/flag.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "bench/support/allocation_counter.h"
#include "examples/support/backend_names.h"
#include "examples/support/front_tls.h"
#include "gtest/gtest.h"
#include "tests/tls/ech_pair.h"
#include "tests/tls/tls_fixture.h"
#include "trestle/linux/epoll_loop.h"
#include "trestle/pki/trust_store.h"
#include "trestle/tls/certificate_compressor.h"
#include "trestle/tls/client_authentication.h"
#include "trestle/tls/ech_keys.h"
#include "trestle/tls/ticket_key_ring.h"
#include "trestle/tls/ticket_keys.h"
#include "trestle/tls/tls_reload.h"

ABSL_DECLARE_FLAG(std::string, cert);
ABSL_DECLARE_FLAG(std::string, key);
ABSL_DECLARE_FLAG(std::string, certs_dir);
ABSL_DECLARE_FLAG(std::string, client_ca);
ABSL_DECLARE_FLAG(std::string, client_crl);
ABSL_DECLARE_FLAG(std::string, ticket_keys_file);
ABSL_DECLARE_FLAG(std::string, ech_keys_file);

namespace trestle::testing {
namespace {

constexpr int kWarmUp = 100;
constexpr int kReloads = 1'000;
// A block may be a little larger than requested. Growth of five bytes per reload would exceed this.
constexpr int64_t kNoise = 4 * 1024;

constexpr CompressionAlgorithm kAlgorithm = CompressionAlgorithm::kZstd;

// Does not compress; only the number of stored results matters.
class Plain final : public CertificateCompressor {
 public:
  CompressionAlgorithm algorithm() const override { return kAlgorithm; }
  std::optional<std::string> Compress(ByteView certificates) const override {
    return std::string(AsText(certificates));
  }
};

int decompressed = 0;

int Decompress(SSL*, CRYPTO_BUFFER** out, size_t bytes, const uint8_t* in, size_t in_bytes) {
  ++decompressed;
  if (bytes != in_bytes) return 0;
  *out = CRYPTO_BUFFER_new(in, in_bytes, nullptr);
  return *out != nullptr;
}

class ReloadGrowthTest : public TlsTest {
 protected:
  ReloadGrowthTest() {
    SSL_CTX_add_cert_compression_alg(client_.get(), static_cast<uint16_t>(kAlgorithm), nullptr,
                                     Decompress);
    UsePem(client_.get(), client_pair_);
  }

  void Handshake(const std::shared_ptr<const ServerTlsConfig>& config) {
    const auto server = TlsEngine::NewServer(config, loop_, Leg::kFront);
    RawPeer client(client_.get(), /*is_server=*/false);
    SSL_set_tlsext_host_name(client.ssl(), "a.test");
    client.Handshake(*server);
    ASSERT_TRUE(server->handshake_done()) << server->status();
    server->QueueTickets();
    client.Carry(*server);
    client.ReadAll();
  }

  // `reload` receives the number of the reload. Consecutive numbers use different files.
  static void ExpectNoGrowth(const std::function<void(int)>& reload) {
    for (int i = 1; i <= kWarmUp; ++i) reload(i);
    const int64_t before = bench::BytesAllocatedNow();
    for (int i = kWarmUp + 1; i <= kReloads; ++i) reload(i);
    const int64_t grown = bench::BytesAllocatedNow() - before;
    RecordProperty("bytes_after_900_more_reloads", std::to_string(grown));
    EXPECT_LE(grown, kNoise);
  }

  static LeafSpec ClientLeaf() {
    LeafSpec leaf;
    leaf.common_name = "alice";
    leaf.server_auth = false;
    return leaf;
  }

  static std::vector<TicketKey> Keys(int i) {
    auto keys = ParseTicketKeys(KeyText(i));
    EXPECT_TRUE(keys.ok()) << keys.status();
    return *std::move(keys);
  }

  static std::string KeyText(int i) {
    const std::string one = absl::Base64Escape("One key of forty-eight bytes, which nobody keeps");
    const std::string two = absl::Base64Escape("Two keys of forty-eight bytes that nobody keeps.");
    return i % 2 == 0 ? absl::StrCat(one, "\n", two, "\n") : absl::StrCat(two, "\n", one, "\n");
  }

  const PemPair client_pair_ = pki_.Issue(ClientLeaf());
  const bssl::UniquePtr<SSL_CTX> client_ = MakeRawContext();
};

// Reloads the parts in one process, without files.
TEST_F(ReloadGrowthTest, ReloadsOfThePartsLeaveNoMemory) {
  const PemPair leaves[] = {pki_.Issue(LeafFor("a.test")), pki_.Issue(LeafFor("a.test"))};
  const std::string crls[] = {pki_.IssueCrl({}), pki_.IssueCrl({leaves[0]})};
  const std::string ech[] = {NewEchPair(1, "a.test").pem(), NewEchPair(2, "a.test").pem()};
  const auto credentials = [&](int i) {
    std::vector<std::shared_ptr<const Credential>> made = {
        *Credential::FromPem(leaves[i % 2].chain, leaves[i % 2].key)};
    return made;
  };
  const auto clients = [&](int i) {
    ClientAuthOptions options;
    options.otherwise.certificate = ClientCertificate::kRequired;
    options.otherwise.trust = *TrustStore::Create(pki_.ca_pem(), crls[i % 2]);
    return options;
  };
  ServerTlsOptions options;
  options.certificates = *CertificateStore::Create(credentials(0), loop_.Now());
  options.client_authentication = *ClientAuthentication::Create(clients(0));
  options.ticket_keys = *TicketKeyRing::FromKeys(Keys(0));
  options.ech_keys = *EchKeys::FromPem(ech[0]);
  options.certificate_compressors = {std::make_shared<Plain>()};
  const auto config = *ServerTlsConfig::Create(options);
  ExpectNoGrowth([&](int i) {
    ASSERT_TRUE(options.certificates->Replace(credentials(i), loop_.Now()).ok());
    ASSERT_TRUE(options.client_authentication->Replace(clients(i)).ok());
    ASSERT_TRUE(options.ticket_keys->Replace(Keys(i)).ok());
    ASSERT_TRUE(options.ech_keys->Replace(ech[i % 2]).ok());
    Handshake(config);
    loop_.RunFor(absl::Seconds(1));
  });
  EXPECT_EQ(decompressed, kReloads) << "a replaced certificate was not used";
}

// Reloads files, as the example proxies do.
TEST_F(ReloadGrowthTest, ReloadsOfTheExamplesFrontLeaveNoMemory) {
  const TestPki pki(absl::Now());
  const std::string folder = absl::StrCat(::testing::TempDir(), "/reload_growth");
  std::filesystem::create_directories(folder + "/certs");
  const auto write = [&](const std::string& name, const std::string& text) {
    std::ofstream(absl::StrCat(folder, "/", name), std::ios::binary) << text;
    return absl::StrCat(folder, "/", name);
  };
  const PemPair leaves[] = {pki.Issue(LeafFor("a.test")), pki.Issue(LeafFor("a.test"))};
  const std::string crls[] = {pki.IssueCrl({}), pki.IssueCrl({leaves[0]})};
  const std::string ech[] = {NewEchPair(1, "a.test").pem(), NewEchPair(2, "a.test").pem()};
  const auto write_all = [&](int i) {
    const PemPair& leaf = leaves[i % 2];
    absl::SetFlag(&FLAGS_cert, write("own.pem", leaf.chain));
    absl::SetFlag(&FLAGS_key, write("own.key", leaf.key));
    write("certs/b.pem", leaf.chain + leaf.key);
    absl::SetFlag(&FLAGS_certs_dir, folder + "/certs");
    absl::SetFlag(&FLAGS_client_ca, write("ca.pem", pki.ca_pem()));
    absl::SetFlag(&FLAGS_client_crl, write("crl.pem", crls[i % 2]));
    absl::SetFlag(&FLAGS_ticket_keys_file, write("keys", KeyText(i)));
    absl::SetFlag(&FLAGS_ech_keys_file, write("ech.pem", ech[i % 2]));
  };
  write_all(0);
  const std::unique_ptr<EpollLoop> loop = *EpollLoop::Create();
  const std::unique_ptr<examples::BackendNames> names = *examples::BackendNames::FromFlags(*loop);
  const auto front = examples::FrontTls::FromFlags(*names, /*spiffe=*/nullptr);
  ASSERT_TRUE(front.ok()) << front.status();
  TlsReload reload((*front)->targets());
  ExpectNoGrowth([&](int i) {
    write_all(i);
    absl::StatusOr<ReloadSources> sources = (*front)->Read();
    ASSERT_TRUE(sources.ok()) << sources.status();
    absl::StatusOr<PreparedReload> prepared = reload.Prepare(*std::move(sources), absl::Now());
    ASSERT_TRUE(prepared.ok()) << prepared.status();
    reload.Commit(*std::move(prepared));
    (*front)->LogNews();
  });
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace trestle::testing
