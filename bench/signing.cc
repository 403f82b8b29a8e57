// The effect of RSA-2048 signatures on a loop: how long its other work waits at a given rate of
// handshakes. Compares signatures made on the loop and on other threads.
#include <openssl/ssl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/log/check.h"
#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bench/support/bare_tls.h"
#include "bench/support/bench_main.h"
#include "benchmark/benchmark.h"
#include "integrations/openssl_signer/openssl_signer.h"
#include "integrations/pkcs11/pkcs11_key.h"
#include "integrations/remote_signer/remote_signer.h"
#include "integrations/remote_signer/signing_server.h"
#include "tests/integrations/pkcs11/soft_token.h"
#include "trestle/linux/epoll_loop.h"
#include "trestle/linux/tcp_dialer.h"
#include "trestle/linux/tcp_listener.h"
#include "trestle/linux/thread_pool.h"
#include "trestle/pki/thread_pool_signer.h"
#include "trestle/testing/test_pki.h"
#include "trestle/tls/certificate_store.h"
#include "trestle/tls/credential.h"
#include "trestle/tls/server_tls_config.h"
#include "trestle/tls/tls_engine.h"
#include "trestle/tls/tls_parameters.h"

namespace trestle::bench {
namespace {

constexpr char kHowToRead[] =
    "One row is two seconds in which 500 handshakes with RSA-2048 a second are asked for, evenly,\n"
    "each up to the server's signed flight; and 2,000 times a second a call is posted to the "
    "loop.\n"
    "  p50_us, p99_us, max_us  how long these calls waited\n"
    "  flight_us               median time of a handshake up to its flight\n"
    "  flights, refused        handshakes that got so far; that failed, as the signer was busy\n"
    "on_the_loop: the loop signs. openssl: it does so by the system's OpenSSL 3. 2_threads: a\n"
    "ThreadPoolSigner signs. key_server: so it does behind a Unix-domain socket. token: a token\n"
    "of SoftHSM signs (PKCS #11), by 2 threads. slow_token: the same with 20 ms more for each\n"
    "signature, so that it is saturated: 100 of 500 a second. no_handshakes: what the machine\n"
    "does to a loop by itself. With fewer processors than threads, the system divides.";

constexpr int kSeconds = 2;
constexpr int kCallsPerSecond = 2000;
constexpr int kCallsPerHandshake = 4;

using Clock = std::chrono::steady_clock;

std::string NewHello() {
  const bssl::UniquePtr<SSL_CTX> context = NewBareClientContext({TlsGroup::kX25519});
  BarePeer client = BarePeer::Client(context.get());
  client.Handshake();
  return std::string(AsText(client.sent()));
}

std::shared_ptr<const ServerTlsConfig> NewConfig(SignerMaker* signers) {
  const testing::TestPki pki(absl::Now());
  testing::LeafSpec leaf;
  leaf.dns_names = {"bench.test"};
  leaf.key_type = KeyType::kRsa;
  const testing::PemPair pair = pki.Issue(leaf);
  CredentialOptions credential_options;
  credential_options.signers = signers;
  ServerTlsOptions options;
  options.certificates = *CertificateStore::Create(
      {*Credential::FromPem(pair.chain, pair.key, credential_options)}, absl::Now());
  return *ServerTlsConfig::Create(std::move(options));
}

// The server's side of handshakes that end after its first flight. Runs on the loop's thread.
class Handshakes {
 public:
  Handshakes(EpollLoop& loop, std::shared_ptr<const ServerTlsConfig> config)
      : loop_(loop), config_(std::move(config)) {}

  void Begin() {
    engines_.push_back(TlsEngine::NewServer(config_, loop_, Leg::kFront));
    TlsEngine& engine = *engines_.back();
    engine.received().Append(AsBytes(hello_));
    const Clock::time_point began = Clock::now();
    engine.SetAnswerCallback([this, &engine, began] {
      loop_.PostFromAnyThread([this, &engine, began] { GoOn(engine, began); });
    });
    GoOn(engine, began);
  }

  size_t flights() const { return flights_; }
  size_t refused() const { return refused_; }
  std::vector<double>& took_us() { return took_us_; }

 private:
  void GoOn(TlsEngine& engine, Clock::time_point began) {
    engine.Handshake();
    if (engine.waits_for_answer()) return;
    ++(engine.status().ok() ? flights_ : refused_);
    if (engine.status().ok()) {
      const std::chrono::duration<double, std::micro> took = Clock::now() - began;
      took_us_.push_back(took.count());
    }
    engine.to_send().Clear();
  }

  EpollLoop& loop_;
  const std::shared_ptr<const ServerTlsConfig> config_;
  const std::string hello_ = NewHello();
  std::vector<std::unique_ptr<TlsEngine>> engines_;
  size_t flights_ = 0;
  size_t refused_ = 0;
  std::vector<double> took_us_;
};

// The token of SoftHSM, made when it is needed.
class BenchToken {
 public:
  ~BenchToken() {
    if (token_ != nullptr) std::filesystem::remove_all(folder_);
  }

  testing::SoftToken& Get() {
    if (token_ == nullptr) {
      setenv("TRESTLE_TEST_RUNS_PROGRAMS", "1", 1);  // For softhsm2-util.
      token_ = std::make_unique<testing::SoftToken>(folder_);
    }
    return *token_;
  }

 private:
  const std::string folder_ =
      absl::StrCat(std::filesystem::temp_directory_path().string(), "/trestle_bench_", getpid());
  std::unique_ptr<testing::SoftToken> token_;
};

// Puts the key into the token, which signs then.
class TokenSigners final : public SignerMaker {
 public:
  TokenSigners(BenchToken& token, bool slow) : token_(token), slow_(slow) {}

  std::shared_ptr<const Signer> MakeSigner(std::shared_ptr<const PrivateKey> key) override {
    testing::SoftToken& token = token_.Get();
    const std::string label = slow_ ? "slow" : "fast";
    token.Import(label,
                 absl::StrCat("-----BEGIN PRIVATE KEY-----\n", absl::Base64Escape(key->Pkcs8Der()),
                              "\n-----END PRIVATE KEY-----\n"));
    token.SetFault(slow_ ? "slow" : "");
    const auto in_token = *Pkcs11Key::Create(token.FaultyUri(label));
    CHECK_EQ(in_token->Open(), absl::OkStatus());
    // A queue for a tenth of a second of the saturated token.
    return ThreadPoolSigner(*ThreadPool::Create({2, 10}), absl::Seconds(1)).SignerFor(in_token);
  }

 private:
  BenchToken& token_;
  const bool slow_;
};

// Signs in another thread's loop, behind a Unix-domain socket, as a key server does in another
// process.
class ServerSigners final : public SignerMaker, private SigningAudit {
 public:
  std::shared_ptr<const Signer> MakeSigner(std::shared_ptr<const PrivateKey> key) override {
    ServedKey served;
    served.name = "bench";
    served.signer = ThreadPoolSigner(*ThreadPool::Create({2, 1024})).SignerFor(std::move(key));
    served.clients = {"bench"};
    SigningServerOptions options;
    options.keys = {served};
    server_ = *SigningServer::Create(*server_loop_, std::move(options), *this);
    const Endpoint socket = Endpoint::Unix(absl::StrCat("@trestle-bench-", getpid()));
    listener_ =
        *TcpListener::Create(*server_loop_, socket, [this](std::unique_ptr<Transport> client) {
          server_->Serve(std::move(client), {"bench"});
        });
    RemoteSignerOptions remote;
    remote.server = socket;
    const auto signer = *RemoteSigner::Create(*client_loop_, dialer_, std::move(remote));
    for (EpollLoop* loop : {server_loop_.get(), client_loop_.get()}) {
      std::thread([loop] { loop->Run(); }).detach();
    }
    return signer->SignerFor(served.spki_sha256);
  }

 private:
  void OnRequest(const SigningRecord& /*record*/) override {}

  const std::unique_ptr<EpollLoop> server_loop_ = *EpollLoop::Create();
  const std::unique_ptr<EpollLoop> client_loop_ = *EpollLoop::Create();
  TcpDialer dialer_{*client_loop_};
  std::unique_ptr<SigningServer> server_;
  std::unique_ptr<TcpListener> listener_;
};

double Percentile(const std::vector<double>& sorted, double share) {
  return sorted[std::min(sorted.size() - 1, static_cast<size_t>(share * sorted.size()))];
}

void RunCase(benchmark::State& state, bool handshakes_asked, SignerMaker* signers) {
  const auto loop = *EpollLoop::Create();
  Handshakes handshakes(*loop, NewConfig(signers));
  std::vector<double> waited_us;
  for (auto _ : state) {
    std::thread thread([&loop] { loop->Run(); });
    const Clock::time_point begin = Clock::now();
    for (int i = 0; i < kSeconds * kCallsPerSecond; ++i) {
      std::this_thread::sleep_until(begin +
                                    std::chrono::microseconds(1'000'000) * i / kCallsPerSecond);
      const Clock::time_point posted = Clock::now();
      loop->PostFromAnyThread([&waited_us, posted] {
        const std::chrono::duration<double, std::micro> waited = Clock::now() - posted;
        waited_us.push_back(waited.count());
      });
      if (handshakes_asked && i % kCallsPerHandshake == 0) {
        loop->PostFromAnyThread([&handshakes] { handshakes.Begin(); });
      }
    }
    loop->PostFromAnyThread([&loop] { loop->Stop(); });
    thread.join();
  }
  std::sort(waited_us.begin(), waited_us.end());
  state.counters["p50_us"] = Percentile(waited_us, 0.5);
  state.counters["p99_us"] = Percentile(waited_us, 0.99);
  state.counters["max_us"] = waited_us.back();
  std::sort(handshakes.took_us().begin(), handshakes.took_us().end());
  if (!handshakes.took_us().empty()) {
    state.counters["flight_us"] = Percentile(handshakes.took_us(), 0.5);
  }
  state.counters["flights"] = static_cast<double>(handshakes.flights());
  state.counters["refused"] = static_cast<double>(handshakes.refused());
}

void RegisterAll(BenchToken& bench_token) {
  const auto add = [](const char* name, bool handshakes_asked, SignerMaker* signers) {
    benchmark::RegisterBenchmark(
        name, [=](benchmark::State& state) { RunCase(state, handshakes_asked, signers); })
        ->Iterations(1)
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
  };
  static auto* const signers = new ThreadPoolSigner(*ThreadPool::Create({2, 1024}));
  add("signing/no_handshakes", false, nullptr);
  add("signing/rsa_2048/on_the_loop", true, nullptr);
  add("signing/rsa_2048/2_threads", true, signers);
  static auto* const openssl = OpenSslSigner::Create({})->release();
  add("signing/rsa_2048/openssl", true, openssl);
  static auto* const server = new ServerSigners();
  add("signing/rsa_2048/key_server", true, server);
  static auto* const token = new TokenSigners(bench_token, false);
  add("signing/rsa_2048/token", true, token);
  static auto* const slow_token = new TokenSigners(bench_token, true);
  add("signing/rsa_2048/slow_token", true, slow_token);
}

}  // namespace
}  // namespace trestle::bench

int main(int argc, char** argv) {
  trestle::bench::BenchToken token;
  trestle::bench::RegisterAll(token);
  return trestle::bench::RunBenchmarks(argc, argv, trestle::bench::kHowToRead);
}
