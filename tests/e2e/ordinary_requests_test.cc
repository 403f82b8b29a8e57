// Ordinary requests of ordinary programs end with "ok" in the connection log, in all modes.
// Otherwise alarms on other results would be useless.
#include <signal.h>

#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "tests/e2e/server_programs.h"

namespace trestle::e2e {
namespace {

// 250 requests to each of four servers, 1,000 in each mode. A run of curl uses one connection for
// several requests or one for each; a client of h2load uses one.
constexpr int kCurls = 8;
constexpr int kRequestsPerCurl = 5;
constexpr int kRequestsOfH2load = 210;
constexpr int kClientsOfH2load = 30;

constexpr char kNode[] = R"(
const fs = require('fs'), [, , port, cert, key] = process.argv;
const answer = (request, response) => response.end('hello');
(cert ? require('https').createServer({cert: fs.readFileSync(cert), key: fs.readFileSync(key)}, answer)
      : require('http').createServer(answer)).listen(+port, '127.0.0.1');
)";

constexpr char kPython[] = R"(
import http.server, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        self.send_response(200)
        self.send_header('Content-Length', '5')
        self.end_headers()
        self.wfile.write(b'hello')
    def log_message(self, *args):
        pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 100
    daemon_threads = True
server = Server(('127.0.0.1', int(sys.argv[1])), Handler)
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
)";

class OrdinaryRequestsTest : public ServerProgramsTest,
                             public ::testing::WithParamInterface<std::tuple<const char*, Mode>> {
 protected:
  absl::string_view server() const { return std::get<0>(GetParam()); }
  Mode mode() const { return std::get<1>(GetParam()); }
  bool clear() const { return mode() == Mode::kOffload; }

  std::unique_ptr<Process> StartBackendProgram(uint16_t port) const {
    const std::string address = absl::StrCat("127.0.0.1:", port);
    const std::string cert = PathOf("server.pem"), key = PathOf("server.key");
    if (server() == "nginx") {
      return StartNginx(
          absl::StrCat(
              "http { access_log off; ", TemporaryPaths(), "server { listen ", address,
              clear() ? ""
                      : absl::StrCat(" ssl; ssl_certificate ", cert, "; ssl_certificate_key ", key),
              "; location / { return 200 hello; } } }\n"),
          port);
    }
    if (server() == "haproxy") {
      return StartHaproxy(
          absl::StrCat("frontend f\n  bind ", address,
                       clear() ? "" : absl::StrCat(" ssl crt ", PathOf("both.pem")),
                       "\n  http-request return status 200 content-type text/plain string hello\n"),
          port);
    }
    const bool node = server() == "node";
    std::vector<std::string> argv = {
        node ? FindProgram("node") : "/usr/bin/python3",
        WriteFile(node ? "server.js" : "server.py", node ? kNode : kPython), absl::StrCat(port)};
    if (!clear()) argv.insert(argv.end(), {cert, key});
    return StartServer(argv, port);
  }

  // Returns the log's text after each "status=".
  static std::vector<std::string> StatusesIn(const std::string& log) {
    std::vector<std::string> statuses;
    for (absl::string_view line : absl::StrSplit(log, '\n')) {
      const size_t at = line.find("status=\"");
      if (at != absl::string_view::npos) statuses.emplace_back(line.substr(at + 8));
    }
    return statuses;
  }
};

INSTANTIATE_TEST_SUITE_P(Servers, OrdinaryRequestsTest,
                         ::testing::Combine(::testing::Values("nginx", "haproxy", "node", "python"),
                                            ::testing::Values(Mode::kOffload, Mode::kPassthrough,
                                                              Mode::kBridge)),
                         [](const auto& info) {
                           return absl::StrCat(std::get<0>(info.param), "_",
                                               ProgramOf(std::get<1>(info.param)));
                         });

TEST_P(OrdinaryRequestsTest, EndWell) {
  const testing::PemPair pair =
      WriteCertificate("server", LeafFor(mode() == Mode::kBridge ? kBackName : kFrontName));
  WriteFile("both.pem", absl::StrCat(pair.chain, pair.key));
  const uint16_t port = FreePorts(1)[0];
  const std::unique_ptr<Process> backend = StartBackendProgram(port);
  const auto proxy =
      StartProxy(mode(), absl::StrCat("127.0.0.1:", port), {"--log_connections=text"});
  for (int i = 0; i < kCurls; ++i) {
    const CommandResult result =
        Curl(proxy->port, absl::StrCat("/[1-", kRequestsPerCurl, "]"), {"--http1.1"});
    EXPECT_EQ(result.exit_status, 0) << result.errors;
  }
  const CommandResult load =
      RunCommand({FindProgram("h2load"), absl::StrCat("--connect-to=127.0.0.1:", proxy->port),
                  "--h1", "-m1", absl::StrCat("-n", kRequestsOfH2load),
                  absl::StrCat("-c", kClientsOfH2load), absl::StrCat("https://", kFrontName, "/")},
                 kPatience);
  EXPECT_TRUE(absl::StrContains(load.output, absl::StrCat(kRequestsOfH2load, " succeeded")))
      << load.output << load.errors;
  proxy->process.Signal(SIGTERM);
  EXPECT_EQ(proxy->process.WaitForExit(kPatience), 0);
  const std::vector<std::string> statuses = StatusesIn(proxy->log());
  EXPECT_EQ(statuses.size(), static_cast<size_t>(kCurls + kClientsOfH2load)) << proxy->log();
  for (const std::string& status : statuses) EXPECT_TRUE(absl::StartsWith(status, "ok")) << status;
}

}  // namespace
}  // namespace trestle::e2e
