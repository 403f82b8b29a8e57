// Full and resumed handshakes of each preset, with and without a client certificate. Compares the
// cost at the server of BoringSSL alone and of Trestle. Both run in turns with the same client,
// whose own work is not counted.
#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/log/check.h"
#include "absl/time/clock.h"
#include "bench/support/bare_tls.h"
#include "bench/support/bench_main.h"
#include "bench/support/hot_loop.h"
#include "bench/support/measure.h"
#include "bench/support/server_side.h"
#include "benchmark/benchmark.h"
#include "lib/tls/engine/tls_internals.h"
#include "trestle/testing/test_pki.h"
#include "trestle/tls/certificate_store.h"
#include "trestle/tls/client_authentication.h"
#include "trestle/tls/server_tls_config.h"
#include "trestle/tls/tls_parameters.h"

namespace trestle::bench {
namespace {

constexpr char kHowToRead[] =
    "One row is one handshake and one byte of answer, server's side, from the first byte to the\n"
    "connection freed again.\n"
    "  server_us / bare_us   medians: with Trestle / BoringSSL alone on memory BIOs, in turns\n"
    "  vs_bare               rate beside bare BoringSSL; 1.0 would cost nothing extra\n"
    "  allocs / bare_allocs  calls of malloc for one handshake\n"
    "engine: TlsEngine by itself. stream: TlsStream over a transport. terminator: a connection\n"
    "through the whole of TlsTerminator, with the backend dialed and both legs closed cleanly.\n"
    "TLS 1.3 is the preset modern; tls12 is intermediate, with a client that has no more. mutual:\n"
    "the client shows a certificate, which Trestle verifies and bare BoringSSL takes as it is.";

struct Case {
  const char* name;
  KeyType key_type;
  TlsGroup group;
  bool resumed;
  TlsPreset preset = TlsPreset::kModern;
  bool mutual = false;
};

constexpr Case kCases[] = {
    {"ecdsa_p256/x25519", KeyType::kEcdsa, TlsGroup::kX25519, false},
    {"ecdsa_p256/x25519mlkem768", KeyType::kEcdsa, TlsGroup::kX25519MlKem768, false},
    {"rsa_2048/x25519", KeyType::kRsa, TlsGroup::kX25519, false},
    {"rsa_2048/x25519mlkem768", KeyType::kRsa, TlsGroup::kX25519MlKem768, false},
    {"resumed/x25519", KeyType::kEcdsa, TlsGroup::kX25519, true},
    {"resumed/x25519mlkem768", KeyType::kEcdsa, TlsGroup::kX25519MlKem768, true},
    {"tls12/ecdsa_p256/x25519", KeyType::kEcdsa, TlsGroup::kX25519, false,
     TlsPreset::kIntermediate},
    {"tls12/resumed", KeyType::kEcdsa, TlsGroup::kX25519, true, TlsPreset::kIntermediate},
    {"mutual/ecdsa_p256/x25519", KeyType::kEcdsa, TlsGroup::kX25519, false, TlsPreset::kModern,
     true},
    {"mutual/resumed", KeyType::kEcdsa, TlsGroup::kX25519, true, TlsPreset::kModern, true},
};

const testing::TestPki& Pki() {
  static const testing::TestPki* const pki = new testing::TestPki(absl::Now());
  return *pki;
}

std::shared_ptr<const Credential> SharedCredential(KeyType key_type) {
  const auto issue = [](KeyType type) {
    testing::LeafSpec leaf;
    leaf.dns_names = {"bench.test"};
    leaf.key_type = type;
    return Pki().IssueCredential(leaf);
  };
  static const auto* const ecdsa = new auto(issue(KeyType::kEcdsa));
  static const auto* const rsa = new auto(issue(KeyType::kRsa));
  return key_type == KeyType::kRsa ? *rsa : *ecdsa;
}

// In TLS 1.2 the groups also restrict the curves of certificates.
std::vector<TlsGroup> GroupsOf(const Case& wanted) {
  if (wanted.preset == TlsPreset::kModern) return {wanted.group};
  return {wanted.group, TlsGroup::kP256};
}

std::shared_ptr<const ServerTlsConfig> NewConfig(const Case& wanted, absl::Time now) {
  ServerTlsOptions options;
  options.certificates = *CertificateStore::Create({SharedCredential(wanted.key_type)}, now);
  options.parameters = ParametersOf(wanted.preset);
  options.parameters.groups = GroupsOf(wanted);
  if (wanted.mutual) {
    ClientAuthOptions clients;
    clients.otherwise.certificate = ClientCertificate::kRequired;
    clients.otherwise.trust = *TrustStore::Create(Pki().ca_pem());
    options.client_authentication = *ClientAuthentication::Create(std::move(clients));
  }
  return *ServerTlsConfig::Create(std::move(options));
}

bssl::UniquePtr<SSL_CTX> NewClientContext(const Case& wanted) {
  bssl::UniquePtr<SSL_CTX> context = NewBareClientContext(GroupsOf(wanted));
  if (wanted.preset == TlsPreset::kIntermediate) {
    CHECK(SSL_CTX_set_max_proto_version(context.get(), TLS1_2_VERSION));
  }
  if (wanted.mutual) {
    testing::LeafSpec leaf;
    leaf.dns_names = {"client.test"};
    leaf.server_auth = false;
    static const auto* const credential = new auto(Pki().IssueCredential(leaf));
    CHECK(SSL_CTX_add1_credential(context.get(), TlsInternals::Native(**credential)));
  }
  return context;
}

bssl::UniquePtr<SSL_CTX> NewBareContext(const Case& wanted) {
  bssl::UniquePtr<SSL_CTX> context =
      NewBareServerContext(*SharedCredential(wanted.key_type), GroupsOf(wanted));
  if (!wanted.mutual) return context;
  SSL_CTX_set_custom_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                            [](SSL*, uint8_t*) { return ssl_verify_ok; });
  static constexpr uint8_t kPolicy[] = "bench";
  CHECK(SSL_CTX_set_session_id_context(context.get(), kPolicy, sizeof(kPolicy)));
  return context;
}

void RunCase(benchmark::State& state, Layer layer, const Case& wanted) {
  HotLoop loop(absl::Now());
  const bssl::UniquePtr<SSL_CTX> client_context = NewClientContext(wanted);
  const bssl::UniquePtr<SSL_CTX> bare_context = NewBareContext(wanted);
  const std::unique_ptr<ServerSide> bare = NewBareServer(bare_context.get());
  const std::unique_ptr<ServerSide> trestle = NewServer(layer, NewConfig(wanted, loop.Now()), loop);

  bssl::UniquePtr<SSL_SESSION> bare_session;
  bssl::UniquePtr<SSL_SESSION> trestle_session;
  auto* const bare_slot = wanted.resumed ? &bare_session : nullptr;
  auto* const trestle_slot = wanted.resumed ? &trestle_session : nullptr;
  MakeHandshake(*bare, client_context.get(),
                bare_slot);  // Warms up, and obtains the first session.
  MakeHandshake(*trestle, client_context.get(), trestle_slot);

  Samples bare_samples;
  Samples trestle_samples;
  for (auto _ : state) {
    bare_samples.Add(MakeHandshake(*bare, client_context.get(), bare_slot));
    const Stopwatch watch = MakeHandshake(*trestle, client_context.get(), trestle_slot);
    trestle_samples.Add(watch);
    state.SetIterationTime(watch.seconds());
  }
  state.SetItemsProcessed(state.iterations());
  const double bare_seconds = bare_samples.MedianSeconds();
  const double seconds = trestle_samples.MedianSeconds();
  state.counters["server_us"] = seconds * 1e6;
  state.counters["bare_us"] = bare_seconds * 1e6;
  state.counters["vs_bare"] = bare_seconds / seconds;
  state.counters["allocs"] = trestle_samples.MeanAllocations();
  state.counters["bare_allocs"] = bare_samples.MeanAllocations();
}

void RegisterAll() {
  const std::pair<Layer, const char*> layers[] = {
      {Layer::kEngine, "engine"}, {Layer::kStream, "stream"}, {Layer::kTerminator, "terminator"}};
  for (const auto& [layer, layer_name] : layers) {
    for (const Case& wanted : kCases) {
      benchmark::RegisterBenchmark(
          (std::string("handshake/") + layer_name + "/" + wanted.name).c_str(),
          [layer = layer, &wanted](benchmark::State& state) { RunCase(state, layer, wanted); })
          ->UseManualTime()
          ->Unit(benchmark::kMicrosecond);
    }
  }
}

}  // namespace
}  // namespace trestle::bench

int main(int argc, char** argv) {
  trestle::bench::RegisterAll();
  return trestle::bench::RunBenchmarks(argc, argv, trestle::bench::kHowToRead);
}
