#include "tests/e2e/proxy_test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/log/check.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace trestle::e2e {
namespace {

constexpr absl::string_view kListening = "listening on 127.0.0.1:";

// Returns the port from the line "listening on 127.0.0.1:PORT"; 0 if there is none.
uint16_t PortFromLog(absl::string_view log) {
  const size_t start = log.find(kListening);
  if (start == absl::string_view::npos) return 0;
  log.remove_prefix(start + kListening.size());
  uint32_t port = 0;
  return absl::SimpleAtoi(log.substr(0, log.find('\n')), &port) ? static_cast<uint16_t>(port) : 0;
}

std::string NewFolder() {
  const char* const root = getenv("TEST_TMPDIR");
  std::string name = absl::StrCat(root == nullptr ? "/tmp" : root, "/e2e-XXXXXX");
  CHECK(mkdtemp(name.data()) != nullptr);
  return name;
}

// This process has both ends of hundreds of connections.
void RaiseDescriptorLimit() {
  rlimit limit;
  CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = limit.rlim_max;
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

template <typename T>
void Append(std::vector<T>& list, const std::vector<T>& more) {
  list.insert(list.end(), more.begin(), more.end());
}

}  // namespace

std::string ProgramOf(Mode mode) {
  switch (mode) {
    case Mode::kOffload:
      return "terminating_proxy";
    case Mode::kPassthrough:
      return "passthrough_proxy";
    case Mode::kBridge:
      return "bridging_proxy";
  }
  return {};
}

// Tests run in the directory of their runfiles.
std::string ExampleProgram(const std::string& name) { return absl::StrCat("examples/", name); }

ProxyTest::ProxyTest() : pki_(absl::Now()), folder_(NewFolder()) {
  RaiseDescriptorLimit();
  WriteFile("ca.pem", pki_.ca_pem());
  WriteCertificate("front", LeafFor(kFrontName));
}

ProxyTest::~ProxyTest() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::string ProxyTest::PathOf(const std::string& name) const {
  return absl::StrCat(folder_, "/", name);
}

std::string ProxyTest::WriteFile(const std::string& name, absl::string_view text) const {
  const std::string path = PathOf(name);
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

bool ProxyTest::WaitForText(const std::string& path, absl::string_view text) {
  const absl::Time deadline = absl::Now() + kPatience;
  while (absl::Now() < deadline) {
    std::ifstream file(path, std::ios::binary);
    const std::string found((std::istreambuf_iterator<char>(file)), {});
    if (absl::StrContains(found, text)) return true;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return false;
}

testing::PemPair ProxyTest::WriteCertificate(const std::string& name,
                                             const testing::LeafSpec& leaf) const {
  testing::PemPair certificate = pki_.Issue(leaf);
  WriteFile(name + ".pem", certificate.chain);
  WriteFile(name + ".key", certificate.key);
  return certificate;
}

void ProxyTest::EncryptKey(const std::string& name, const std::string& passphrase) const {
  const CommandResult encrypted =
      RunCommand({FindProgram("openssl"), "pkcs8", "-topk8", "-in", PathOf(name), "-out",
                  PathOf(name + ".new"), "-passout", "pass:" + passphrase, "-v2", "aes-256-cbc"},
                 kPatience);
  CHECK_EQ(encrypted.exit_status, 0) << encrypted.errors;
  std::filesystem::rename(PathOf(name + ".new"), PathOf(name));
}

std::unique_ptr<HttpBackend> ProxyTest::StartBackend(Mode mode, const TlsSettings& tls) const {
  if (mode == Mode::kOffload) return std::make_unique<HttpBackend>(HttpBackend::Options());
  const std::string name = mode == Mode::kPassthrough ? kFrontName : kBackName;
  return StartTlsBackend(pki_.Issue(LeafFor(name)), tls);
}

std::unique_ptr<HttpBackend> ProxyTest::StartTlsBackend(const testing::PemPair& certificate,
                                                        const TlsSettings& tls) const {
  HttpBackend::Options options;
  options.certificate = certificate;
  options.tls = tls;
  return std::make_unique<HttpBackend>(std::move(options));
}

std::vector<std::string> ProxyTest::FlagsFor(Mode mode, const std::string& backend) const {
  std::vector<std::string> flags = {"--listen=127.0.0.1:0"};
  if (mode == Mode::kPassthrough) {
    flags.push_back(absl::StrCat("--routes=", kFrontName, "=", backend));
    return flags;
  }
  flags.push_back(absl::StrCat("--cert=", PathOf("front.pem")));
  flags.push_back(absl::StrCat("--key=", PathOf("front.key")));
  flags.push_back(absl::StrCat("--backend=", backend));
  if (mode == Mode::kOffload) return flags;
  flags.push_back(absl::StrCat("--backend_ca=", PathOf("ca.pem")));
  flags.push_back(absl::StrCat("--backend_name=", kBackName));
  return flags;
}

std::unique_ptr<ProxyProcess> ProxyTest::StartProxy(Mode mode, const std::string& backend,
                                                    const std::vector<std::string>& more_flags,
                                                    const std::vector<std::string>& prefix) const {
  std::vector<std::string> argv = prefix;
  argv.push_back(ExampleProgram(ProgramOf(mode)));
  Append(argv, FlagsFor(mode, backend));
  argv.push_back("--log_connections=text");
  Append(argv, more_flags);
  return StartProgram(argv);
}

std::unique_ptr<ProxyProcess> ProxyTest::StartGateway(
    const std::string& routes, const std::vector<std::string>& more_flags) const {
  std::vector<std::string> argv = {
      ExampleProgram("http_proxy"),       "--listen=127.0.0.1:0",
      "--cert=" + PathOf("front.pem"),    "--key=" + PathOf("front.key"),
      "--backend_ca=" + PathOf("ca.pem"), "--routes=" + routes,
      "--log_connections=text",           "--log_requests"};
  Append(argv, more_flags);
  return StartProgram(argv);
}

std::unique_ptr<ProxyProcess> ProxyTest::StartProgram(const std::vector<std::string>& argv) const {
  auto proxy = std::make_unique<ProxyProcess>(argv);
  proxy->WaitForLog(kListening);
  proxy->port = PortFromLog(proxy->log());
  EXPECT_NE(proxy->port, 0) << "the proxy doesn't listen; its log: " << proxy->log();
  return proxy;
}

CommandResult ProxyTest::Curl(uint16_t port, const std::string& path,
                              const std::vector<std::string>& more_flags,
                              absl::Duration limit) const {
  const std::string curl = FindProgram("curl");
  if (curl.empty()) return {};
  std::vector<std::string> argv = {curl, "--silent", "--show-error", "--noproxy", "*"};
  Append(argv, {"--cacert", PathOf("ca.pem"), "--resolve",
                absl::StrCat(kFrontName, ":", port, ":127.0.0.1")});
  Append(argv, more_flags);
  argv.push_back(absl::StrCat("https://", kFrontName, ":", port, path));
  return RunCommand(argv, limit);
}

CommandResult ProxyTest::Openssl(uint16_t port, const std::string& path,
                                 const std::vector<std::string>& more_flags) const {
  const std::string openssl = FindProgram("openssl");
  if (openssl.empty()) return {};
  std::vector<std::string> argv = {openssl, "s_client", "-ign_eof"};
  Append(argv,
         {"-connect", absl::StrCat("127.0.0.1:", port), "-servername", kFrontName,
          "-verify_hostname", kFrontName, "-verify_return_error", "-CAfile", PathOf("ca.pem")});
  Append(argv, more_flags);
  return RunCommand(argv, kPatience, absl::StrCat("GET ", path, " HTTP/1.0\r\n\r\n"));
}

std::unique_ptr<BlockingStream> ProxyTest::ConnectTls(uint16_t port, const TlsSettings& tls) const {
  std::unique_ptr<BlockingStream> stream = BlockingStream::Connect(port);
  if (stream != nullptr && !stream->StartClient(kFrontName, tls)) return nullptr;
  return stream;
}

testing::LeafSpec LeafFor(const std::string& name) {
  testing::LeafSpec leaf;
  leaf.dns_names = {name};
  return leaf;
}

std::string GetRequest(absl::string_view path) {
  return absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: ", kFrontName, "\r\n\r\n");
}

std::string GetAndCloseRequest(absl::string_view path) {
  return absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: ", kFrontName,
                      "\r\nConnection: close\r\n\r\n");
}

RefusingPort::RefusingPort() : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  // Bound but not listening: no other program gets the port, and connections are refused.
  CHECK_EQ(bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  CHECK_EQ(getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  port_ = ntohs(address.sin_port);
}

std::string RefusingPort::address() const { return absl::StrCat("127.0.0.1:", port_); }

}  // namespace trestle::e2e
