// nginx, haproxy, stunnel and openssl as servers of a test, on ports that the test chooses.
#ifndef TRESTLE_TESTS_E2E_SERVER_PROGRAMS_H_
#define TRESTLE_TESTS_E2E_SERVER_PROGRAMS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/e2e/process.h"
#include "tests/e2e/proxy_test.h"

namespace trestle::e2e {

/// Checks metrics in Prometheus' text format with promtool.
void ExpectPromtoolLikes(const std::string& metrics);

class ServerProgramsTest : public ProxyTest {
 protected:
  /// Returns a port that was free a moment ago, for programs that can't choose one.
  static uint16_t FreePort() { return RefusingPort().port(); }

  /// Returns `count` different ones.
  static std::vector<uint16_t> FreePorts(size_t count);

  /// Starts any server by its complete command line, and waits until it serves `port`.
  static std::unique_ptr<Process> StartServer(const std::vector<std::string>& argv, uint16_t port);

  /// Runs haproxy with this configuration, and waits until it serves `port`.
  std::unique_ptr<Process> StartHaproxy(const std::string& config, uint16_t port) const;

  /// The same with nginx; its stream module is loaded.
  std::unique_ptr<Process> StartNginx(const std::string& config, uint16_t port) const;

  /// The same with stunnel, in the foreground.
  std::unique_ptr<Process> StartStunnel(const std::string& config, uint16_t port) const;

  /// The same with openssl s_server.
  std::unique_ptr<Process> StartOpenssl(const std::vector<std::string>& flags, uint16_t port) const;

  /// Returns the port of --admin from the log.
  static uint16_t AdminPort(const ProxyProcess& proxy);

  /// Returns the response, with its head, for a page of --admin.
  std::string GetPage(uint16_t port, const std::string& path) const;

  /// Requests `path` until the response contains `text`. Returns the last response.
  std::string WaitForPage(uint16_t port, const std::string& path, const std::string& text) const;

  /// Directives for each http block: nginx's default paths are in /var/lib, which belongs to root.
  std::string TemporaryPaths() const;

 private:
  std::string NginxDefaults() const;
};

}  // namespace trestle::e2e

#endif  // TRESTLE_TESTS_E2E_SERVER_PROGRAMS_H_
