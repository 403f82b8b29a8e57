// The pairs of docs/migrate: a configuration of another proxy, and our command line beside it. Both
// run before the same backends and get the same requests. Status, body, certificate and the
// client's address as the backend was told it must be equal.

#include <unistd.h>

#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/server_programs.h"
#include "trestle/testing/test_pki.h"

namespace trestle::e2e {
namespace {

using ::testing::HasSubstr;
using testing::LeafSpec;
using testing::PemPair;
using testing::TestPki;

// What a client sees.
struct Seen {
  bool failed = false;  // Without a response.
  std::string facts;    // Status, version of HTTP, and the certificate.
  std::string body;     // Of a good response; pages of errors differ.

  bool operator==(const Seen& other) const {
    return failed == other.failed && facts == other.facts && body == other.body;
  }
};

void PrintTo(const Seen& seen, std::ostream* out) {
  *out << (seen.failed ? "no response" : seen.facts + "\n" + seen.body);
}

class PairsTest : public ServerProgramsTest {
 protected:
  PairsTest() {
    LeafSpec front = LeafFor("www.example");
    front.dns_names.push_back("shop.apps.example");
    const PemPair pair = WriteCertificate("front", front);
    WriteFile("front-and-key.pem", absl::StrCat(pair.chain, pair.key));
    WriteCertificate("www", LeafFor("www.example"));
    WriteCertificate("shop", LeafFor("shop.apps.example"));
    WriteCertificate("app", LeafFor("app.internal"));
    const PemPair strange = other_pki_.Issue(LeafFor("app.internal"));
    WriteFile("strange.pem", strange.chain);
    WriteFile("strange.key", strange.key);
    StartBackends();
  }

  // Each backend says its name, and all that it was told.
  void StartBackends() {
    const auto server = [&](uint16_t port, const std::string& options, const std::string& cert) {
      const std::string files =
          cert.empty() ? ""
                       : absl::StrCat("ssl_certificate ", PathOf(cert),
                                      ".pem; ssl_certificate_key ", PathOf(cert), ".key; ");
      const std::string client = options.empty() ? "$http_x_forwarded_for over "
                                                   "$http_x_forwarded_proto"
                                                 : "$proxy_protocol_addr";
      return absl::StrCat("server { listen 127.0.0.1:", port, options, "; ", files,
                          "client_max_body_size 10m; location / { return 200 \"", port,
                          " got $request_method $uri for $http_host from ", client, "\"; } }\n");
    };
    const std::string config = absl::StrCat(
        "http { access_log off; default_type text/plain; ", TemporaryPaths(),
        server(ports_[0], "", ""), server(ports_[1], "", ""),
        server(ports_[2], " proxy_protocol", ""), server(ports_[3], " ssl proxy_protocol", "www"),
        server(ports_[4], " ssl proxy_protocol", "shop"),
        server(ports_[5], " ssl proxy_protocol", "app"),
        server(ports_[6], " ssl proxy_protocol", "strange"), "}\n");
    backends_ = StartNginx(config, ports_[0]);
  }

  // Reads a file of docs/migrate, with addresses and paths of this test.
  std::string Text(const std::string& name, uint16_t port,
                   std::vector<std::pair<std::string, uint16_t>> backends) const {
    std::ifstream file(absl::StrCat("docs/migrate/", name));
    std::string text((std::istreambuf_iterator<char>(file)), {});
    EXPECT_FALSE(text.empty()) << name;
    for (const auto& [address, to] : backends) {
      // hitch writes "[ADDRESS]:PORT".
      const std::vector<std::string> parts = absl::StrSplit(address, ':');
      text = absl::StrReplaceAll(
          text, {{address, absl::StrCat("127.0.0.1:", to)},
                 {absl::StrCat("[", parts[0], "]:", parts[1]), absl::StrCat("[127.0.0.1]:", to)}});
    }
    return absl::StrReplaceAll(text, {{"0.0.0.0:443", absl::StrCat("127.0.0.1:", port)},
                                      {"[0.0.0.0]:443", absl::StrCat("[127.0.0.1]:", port)},
                                      {"/etc/edge/", PathOf("")}});
  }

  // Starts our side from the .sh file.
  std::unique_ptr<ProxyProcess> StartOurs(const std::string& text) const {
    const std::string line = absl::StrReplaceAll(text, {{"\\\n", " "}});
    std::vector<std::string> argv = absl::StrSplit(line, absl::ByAnyChar(" \n"), absl::SkipEmpty());
    EXPECT_EQ(argv.at(0), "exec");
    argv.erase(argv.begin());
    argv.front() = ExampleProgram(argv.front());
    return StartProgram(argv);
  }

  Seen Ask(uint16_t port, const std::string& name, const std::string& path,
           const std::vector<std::string>& more) const {
    std::vector<std::string> argv = {
        FindProgram("curl"), "--silent",
        "--noproxy",         "*",
        "--cacert",          PathOf("ca.pem"),
        "--resolve",         absl::StrCat(name, ":", port, ":127.0.0.1"),
        "--write-out",       "\n--facts--%{http_code} HTTP/%{http_version}\n%{certs}"};
    argv.insert(argv.end(), more.begin(), more.end());
    argv.push_back(absl::StrCat("https://", name, ":", port, path));
    const CommandResult result = RunCommand(argv, kPatience);
    Seen seen;
    seen.failed = result.exit_status != 0;
    if (seen.failed) return seen;
    const std::vector<std::string> parts = absl::StrSplit(result.output, "\n--facts--");
    // The port is of the proxy that was asked.
    seen.body = absl::StrReplaceAll(parts.at(0), {{absl::StrCat(name, ":", port), name}});
    seen.facts = parts.at(1);
    if (seen.facts.substr(0, 3) != "200") seen.body.clear();
    return seen;
  }

  // Asks both, expects equal responses, and returns one.
  Seen AskBoth(const std::string& name, const std::string& path,
               const std::vector<std::string>& more = {}) const {
    const Seen theirs = Ask(their_port_, name, path, more);
    const Seen ours = Ask(ours_->port, name, path, more);
    EXPECT_EQ(ours, theirs) << name << path << "\n" << ours_->log();
    return ours;
  }

  const TestPki other_pki_{absl::Now(), "Other CA"};
  const std::vector<uint16_t> ports_ = FreePorts(8);
  const uint16_t their_port_ = ports_[7];
  std::unique_ptr<Process> backends_;
  std::unique_ptr<Process> theirs_;
  std::unique_ptr<ProxyProcess> ours_;
};

TEST_F(PairsTest, NginxHttp) {
  const std::vector<std::pair<std::string, uint16_t>> backends = {{"192.0.2.10:8080", ports_[0]},
                                                                  {"192.0.2.11:8080", ports_[1]}};
  theirs_ = StartNginx(absl::StrCat("http { access_log off; ", TemporaryPaths(),
                                    Text("nginx-http.conf", their_port_, backends), "}\n"),
                       their_port_);
  ours_ = StartOurs(Text("nginx-http.sh", 0, backends));
  const Seen root = AskBoth("www.example", "/");
  EXPECT_THAT(root.body, HasSubstr(absl::StrCat(ports_[0],
                                                " got GET / for www.example from "
                                                "127.0.0.1 over https")));
  EXPECT_THAT(root.facts, HasSubstr("200 HTTP/2"));
  EXPECT_THAT(AskBoth("www.example", "/api/items", {"--http1.1"}).body,
              HasSubstr(absl::StrCat(ports_[1], " got GET /api/items")));
  AskBoth("www.example", "/about", {"--data", "a=b"});
  AskBoth("www.example", "/", {"--head", "--output", "/dev/null"});  // It has the date.
  EXPECT_THAT(AskBoth("www.example", "/", {"--header", "X-Forwarded-For: 203.0.113.1"}).body,
              HasSubstr("from 127.0.0.1 over https"))
      << "a client's claim doesn't pass";
  const std::string large = absl::StrCat("@", WriteFile("large", std::string(100'000, 'x')));
  EXPECT_THAT(AskBoth("www.example", "/", {"--data-binary", large}).facts, HasSubstr("413"));
}

TEST_F(PairsTest, NginxStream) {
  const std::vector<std::pair<std::string, uint16_t>> backends = {{"192.0.2.10:8443", ports_[3]},
                                                                  {"192.0.2.11:8443", ports_[4]}};
  theirs_ =
      StartNginx(absl::StrCat("stream { ", Text("nginx-stream.conf", their_port_, backends), "}\n"),
                 their_port_);
  ours_ = StartOurs(Text("nginx-stream.sh", 0, backends));
  EXPECT_THAT(AskBoth("www.example", "/a").body,
              HasSubstr(absl::StrCat(ports_[3], " got GET /a for www.example from 127.0.0.1")));
  const Seen shop = AskBoth("shop.apps.example", "/b");
  EXPECT_THAT(shop.body, HasSubstr(absl::StrCat(ports_[4], " got GET /b")));
  EXPECT_THAT(shop.facts, HasSubstr("shop.apps.example")) << "the backend's certificate";
  EXPECT_TRUE(AskBoth("unknown.example", "/").failed);
}

TEST_F(PairsTest, Haproxy) {
  const std::vector<std::pair<std::string, uint16_t>> good = {{"192.0.2.10:8443", ports_[5]}};
  theirs_ = StartHaproxy(Text("haproxy.cfg", their_port_, good), their_port_);
  ours_ = StartOurs(Text("haproxy.sh", 0, good));
  EXPECT_THAT(AskBoth("www.example", "/a").body,
              HasSubstr(absl::StrCat(ports_[5], " got GET /a for www.example from 127.0.0.1")));
  AskBoth("www.example", "/", {"--data", "a=b"});

  theirs_.reset();
  const std::vector<std::pair<std::string, uint16_t>> strange = {{"192.0.2.10:8443", ports_[6]}};
  theirs_ = StartHaproxy(Text("haproxy.cfg", their_port_, strange), their_port_);
  ours_ = StartOurs(Text("haproxy.sh", 0, strange));
  EXPECT_TRUE(AskBoth("www.example", "/").failed) << "its certificate is of another CA";
}

TEST_F(PairsTest, Stunnel) {
  const std::vector<std::pair<std::string, uint16_t>> backends = {{"192.0.2.10:8080", ports_[2]}};
  theirs_ = StartStunnel(Text("stunnel.conf", their_port_, backends), their_port_);
  ours_ = StartOurs(Text("stunnel.sh", 0, backends));
  EXPECT_THAT(AskBoth("www.example", "/a").body,
              HasSubstr(absl::StrCat(ports_[2], " got GET /a for www.example from 127.0.0.1")));
  AskBoth("www.example", "/", {"--data", "a=b"});
  EXPECT_TRUE(AskBoth("www.example", "/", {"--tls-max", "1.1"}).failed);
}

TEST_F(PairsTest, Hitch) {
  const std::vector<std::pair<std::string, uint16_t>> backends = {{"192.0.2.10:8080", ports_[2]}};
  std::vector<std::string> argv = {
      FindProgram("hitch"),
      absl::StrCat("--config=",
                   WriteFile("hitch.conf", Text("hitch.conf", their_port_, backends)))};
  // It refuses to be root, and a sandbox may have no other user. In a namespace of its own it is
  // "nobody", and still reads the files of root.
  if (geteuid() == 0) argv.insert(argv.begin(), {FindProgram("unshare"), "--user", "--"});
  theirs_ = StartServer(argv, their_port_);
  ours_ = StartOurs(Text("hitch.sh", 0, backends));
  EXPECT_THAT(AskBoth("www.example", "/a").body,
              HasSubstr(absl::StrCat(ports_[2], " got GET /a for www.example from 127.0.0.1")));
  AskBoth("www.example", "/", {"--data", "a=b"});
  EXPECT_TRUE(AskBoth("www.example", "/", {"--tls-max", "1.1"}).failed);
}

}  // namespace
}  // namespace trestle::e2e
