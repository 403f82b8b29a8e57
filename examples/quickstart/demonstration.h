// Demonstration: runs three backends and the three proxies, each followed by a wiretap, with
// temporary certificates on one loop. It sends a request through each proxy and checks the result.
#ifndef TRESTLE_EXAMPLES_QUICKSTART_DEMONSTRATION_H_
#define TRESTLE_EXAMPLES_QUICKSTART_DEMONSTRATION_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "examples/quickstart/http_server.h"
#include "examples/quickstart/https_client.h"
#include "examples/quickstart/paths.h"
#include "examples/quickstart/wiretap.h"
#include "trestle/linux/epoll_loop.h"
#include "trestle/linux/tcp_dialer.h"
#include "trestle/proxy/observer.h"
#include "trestle/proxy/proxy_block.h"
#include "trestle/testing/test_pki.h"

namespace trestle::examples {

/// One path through a proxy, and the result of its request.
struct Scenario {
  std::string mode;         ///< "offload"
  std::string block;        ///< "TlsTerminator"
  std::string server_name;  ///< The name that the client requests.
  Endpoint proxy;
  HttpServer* backend = nullptr;
  Wiretap* wiretap = nullptr;

  // Expected values.
  bool proxy_decrypts = false;
  std::string front_serial;  ///< Of the certificate that the client should receive.
  std::string back_serial;   ///< Of the backend's certificate; empty for a clear back leg.

  // Results.
  HttpsAnswer answer;               ///< At the client.
  ConnectionReport report;          ///< By the proxy.
  std::optional<TlsInfo> back_tls;  ///< At the backend: the TLS session of the request.
  size_t wiretap_bytes = 0;         ///< Seen on the back leg.
  bool wiretap_read_secret = false;
  std::vector<std::string> failures;  ///< Differences from the expected values.
};

class Demonstration final : private ConnectionObserver {
 public:
  /// Starts everything on `loop`, which must outlive it.
  static absl::StatusOr<std::unique_ptr<Demonstration>> Start(EpollLoop& loop);
  ~Demonstration() override;

  /// Runs all scenarios, then the requests of `paths`; calls `done` once, from the loop.
  void Run(absl::AnyInvocable<void()> done);

  const std::vector<Scenario>& scenarios() const { return scenarios_; }
  const Paths& paths() const { return *paths_; }
  const std::vector<std::unique_ptr<HttpServer>>& backends() const { return backends_; }
  const std::string& ca_pem() const { return pki_.ca_pem(); }

  /// Returns the name in a backend's certificate; empty for clear text.
  std::string CertifiedName(const HttpServer& backend) const;

 private:
  explicit Demonstration(EpollLoop& loop);

  absl::Status StartBackends();
  absl::Status StartTerminator();
  absl::Status StartRouter();
  absl::Status StartBridge();
  absl::Status StartPaths();
  absl::StatusOr<Wiretap*> Tap(const HttpServer& backend);
  absl::StatusOr<Endpoint> Listen(absl::StatusOr<std::unique_ptr<ProxyBlock>> block);
  void RunNext();
  void OnClosed(const ConnectionReport& report) override;
  void FinishScenario();

  EpollLoop& loop_;
  TcpDialer dialer_;
  const testing::TestPki pki_;
  std::shared_ptr<const ClientTlsConfig> trust_;  // Of the client, and of the bridge's back leg.
  std::shared_ptr<const Credential> shop_, app_, blue_, green_;
  std::vector<std::unique_ptr<HttpServer>> backends_;
  std::vector<std::unique_ptr<Wiretap>> wiretaps_;
  std::vector<std::unique_ptr<ProxyBlock>> blocks_;
  std::vector<std::unique_ptr<TcpListener>> listeners_;
  std::unique_ptr<HttpsClient> client_;
  std::unique_ptr<Paths> paths_;

  std::vector<Scenario> scenarios_;
  size_t next_ = 0;
  std::string secret_;
  bool answered_ = false;
  bool reported_ = false;
  absl::AnyInvocable<void()> done_;
};

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_QUICKSTART_DEMONSTRATION_H_
