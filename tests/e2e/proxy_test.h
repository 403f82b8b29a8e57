// ProxyTest: the base of the example proxies' tests. It has a test CA, certificates in files,
// backends, the three proxies as real programs, and curl and openssl as clients.
#ifndef TRESTLE_TESTS_E2E_PROXY_TEST_H_
#define TRESTLE_TESTS_E2E_PROXY_TEST_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tests/e2e/blocking_stream.h"
#include "tests/e2e/http_backend.h"
#include "tests/e2e/process.h"
#include "trestle/testing/test_pki.h"

namespace trestle::e2e {

/// The name that clients request, in all modes.
inline constexpr char kFrontName[] = "front.test";
/// The name in the backend's certificate behind the bridge.
inline constexpr char kBackName[] = "back.test";

/// Long enough for a busy machine, short enough to fail in time.
inline constexpr absl::Duration kPatience = absl::Seconds(30);

enum class Mode { kOffload, kPassthrough, kBridge };

/// "terminating_proxy" and so on.
std::string ProgramOf(Mode mode);

/// A proxy as a separate program.
class ProxyProcess {
 public:
  explicit ProxyProcess(const std::vector<std::string>& argv) : process(argv) {}

  Process process;
  uint16_t port = 0;

  std::string log() const { return process.errors(); }
  /// Waits until the log contains `text`.
  bool WaitForLog(absl::string_view text) { return process.WaitForErrors(text, kPatience); }
};

/// Returns the path of an example program.
std::string ExampleProgram(const std::string& name);

class ProxyTest : public ::testing::Test {
 protected:
  ProxyTest();
  ~ProxyTest() override;

  /// Writes a file into the test's own folder, and returns its path.
  std::string WriteFile(const std::string& name, absl::string_view text) const;
  std::string PathOf(const std::string& name) const;

  /// Waits until the file `path`, which another program writes, contains `text`.
  static bool WaitForText(const std::string& path, absl::string_view text);

  /// Issues a certificate, and writes NAME.pem and NAME.key.
  testing::PemPair WriteCertificate(const std::string& name, const testing::LeafSpec& leaf) const;

  /// Encrypts the private key in the file NAME of the test's folder with `passphrase`.
  void EncryptKey(const std::string& name, const std::string& passphrase) const;

  /// Starts the backend for `mode`: clear text for offload, else with a certificate for kFrontName
  /// (passthrough) or kBackName (bridge).
  std::unique_ptr<HttpBackend> StartBackend(Mode mode, const TlsSettings& tls = {}) const;
  std::unique_ptr<HttpBackend> StartTlsBackend(const testing::PemPair& certificate,
                                               const TlsSettings& tls = {}) const;

  /// Returns the flags for a proxy of this mode to `backend` ("127.0.0.1:PORT"), on a free port.
  std::vector<std::string> FlagsFor(Mode mode, const std::string& backend) const;

  /// Starts a proxy and waits until it listens. `prefix` runs it under another program.
  std::unique_ptr<ProxyProcess> StartProxy(Mode mode, const std::string& backend,
                                           const std::vector<std::string>& more_flags = {},
                                           const std::vector<std::string>& prefix = {}) const;

  /// Starts http_proxy with `--routes`, and waits until it listens.
  std::unique_ptr<ProxyProcess> StartGateway(const std::string& routes,
                                             const std::vector<std::string>& more_flags = {}) const;

  /// Starts any proxy by its complete command line, and waits until it listens.
  std::unique_ptr<ProxyProcess> StartProgram(const std::vector<std::string>& argv) const;

  /// Runs curl for https://kFrontName:PORT`path`, verifying the certificate.
  CommandResult Curl(uint16_t port, const std::string& path,
                     const std::vector<std::string>& more_flags = {},
                     absl::Duration limit = kPatience) const;

  /// Runs openssl s_client, verifying the certificate, with one HTTP request for `path`.
  CommandResult Openssl(uint16_t port, const std::string& path,
                        const std::vector<std::string>& more_flags = {}) const;

  /// Opens a TLS connection for kFrontName to the proxy; returns null if it failed.
  std::unique_ptr<BlockingStream> ConnectTls(uint16_t port, const TlsSettings& tls = {}) const;

  const testing::TestPki pki_;

 private:
  std::string folder_;
};

/// Returns the specification of a certificate for one name.
testing::LeafSpec LeafFor(const std::string& name);

/// Returns a GET request for `path` that keeps or closes the connection.
std::string GetRequest(absl::string_view path);
std::string GetAndCloseRequest(absl::string_view path);

/// A port of 127.0.0.1 on which no program listens during its lifetime.
class RefusingPort {
 public:
  RefusingPort();
  uint16_t port() const { return port_; }
  std::string address() const;

 private:
  OwnedFd socket_;
  uint16_t port_ = 0;
};

}  // namespace trestle::e2e

#endif  // TRESTLE_TESTS_E2E_PROXY_TEST_H_
