#include "tests/e2e/server_programs.h"

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/e2e/blocking_stream.h"

namespace trestle::e2e {
namespace {

constexpr char kAdminOn[] = "admin on 127.0.0.1:";

constexpr char kHaproxyDefaults[] =
    "global\n  maxconn 100\ndefaults\n  timeout connect 10s\n  timeout client 10s\n"
    "  timeout server 10s\n  mode http\n";

bool WaitUntilServed(Process& process, uint16_t port) {
  bool served = false;
  WaitUntil([&] {
    served = BlockingStream::Connect(port) != nullptr;
    return served || !process.running();
  });
  return served;
}

}  // namespace

void ExpectPromtoolLikes(const std::string& metrics) {
  const CommandResult checked =
      RunCommand({FindProgram("promtool"), "check", "metrics"}, kPatience, metrics);
  EXPECT_EQ(checked.exit_status, 0) << checked.errors << checked.output << metrics;
  EXPECT_EQ(checked.errors, "");
}

std::vector<uint16_t> ServerProgramsTest::FreePorts(size_t count) {
  std::vector<std::unique_ptr<RefusingPort>> held;
  std::vector<uint16_t> ports;
  while (held.size() < count) {
    held.push_back(std::make_unique<RefusingPort>());
    ports.push_back(held.back()->port());
  }
  return ports;
}

std::unique_ptr<Process> ServerProgramsTest::StartServer(const std::vector<std::string>& argv,
                                                         uint16_t port) {
  auto process = std::make_unique<Process>(argv);
  EXPECT_TRUE(WaitUntilServed(*process, port)) << process->errors() << process->output();
  return process;
}

std::unique_ptr<Process> ServerProgramsTest::StartHaproxy(const std::string& config,
                                                          uint16_t port) const {
  const std::string path = WriteFile("haproxy.cfg", absl::StrCat(kHaproxyDefaults, config));
  return StartServer({FindProgram("haproxy"), "-db", "-f", path}, port);
}

std::unique_ptr<Process> ServerProgramsTest::StartNginx(const std::string& config,
                                                        uint16_t port) const {
  const std::string path = WriteFile("nginx.conf", absl::StrCat(NginxDefaults(), config));
  return StartServer({FindProgram("nginx"), "-e", "stderr", "-c", path, "-p", PathOf("")}, port);
}

std::unique_ptr<Process> ServerProgramsTest::StartStunnel(const std::string& config,
                                                          uint16_t port) const {
  return StartServer({FindProgram("stunnel"), WriteFile("stunnel.conf", config)}, port);
}

std::unique_ptr<Process> ServerProgramsTest::StartOpenssl(const std::vector<std::string>& flags,
                                                          uint16_t port) const {
  std::vector<std::string> argv = {FindProgram("openssl"), "s_server", "-accept",
                                   absl::StrCat("127.0.0.1:", port)};
  argv.insert(argv.end(), flags.begin(), flags.end());
  return StartServer(argv, port);
}

uint16_t ServerProgramsTest::AdminPort(const ProxyProcess& proxy) {
  const std::string log = proxy.log();
  const size_t at = log.find(kAdminOn);
  EXPECT_NE(at, std::string::npos) << log;
  if (at == std::string::npos) return 0;
  const size_t begin = at + sizeof(kAdminOn) - 1;
  uint32_t port = 0;
  EXPECT_TRUE(absl::SimpleAtoi(log.substr(begin, log.find('\n', begin) - begin), &port));
  return static_cast<uint16_t>(port);
}

std::string ServerProgramsTest::GetPage(uint16_t port, const std::string& path) const {
  return RunCommand({FindProgram("curl"), "--silent", "--include", "--max-time", "20",
                     absl::StrCat("http://127.0.0.1:", port, path)},
                    kPatience)
      .output;
}

std::string ServerProgramsTest::WaitForPage(uint16_t port, const std::string& path,
                                            const std::string& text) const {
  std::string reply;
  const bool found = WaitUntil([&] {
    reply = GetPage(port, path);
    return absl::StrContains(reply, text);
  });
  EXPECT_TRUE(found) << "no " << text << " in " << reply;
  return reply;
}

std::string ServerProgramsTest::TemporaryPaths() const {
  std::string paths;
  for (const char* kind : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"}) {
    absl::StrAppend(&paths, kind, "_temp_path ", PathOf(kind), "; ");
  }
  return paths;
}

// One process, so that killing it leaves no worker and needs no other user.
std::string ServerProgramsTest::NginxDefaults() const {
  return absl::StrCat("load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n",
                      "daemon off;\nmaster_process off;\nuser root root;\npid ",
                      PathOf("nginx.pid"), ";\nerror_log stderr warn;\nevents {}\n");
}

}  // namespace trestle::e2e
