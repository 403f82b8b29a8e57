// What backends of http_proxy get of clients, with curl, nginx and raw bytes.

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/server_programs.h"

namespace trestle::e2e {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class HttpTest : public ServerProgramsTest {
 protected:
  std::string Exchange(uint16_t port, const std::string& bytes) const {
    const auto client = ConnectTls(port);
    if (client == nullptr) return "no connection";
    client->Write(bytes);
    return client->ReadToEnd();
  }
};

TEST_F(HttpTest, PipelinedRequestsAreAnsweredInOrder) {
  const auto backend = StartBackend(Mode::kOffload);
  const auto proxy = StartGateway("default=http://" + backend->address());
  const std::string answers = Exchange(
      proxy->port,
      absl::StrCat(GetRequest("/hello"), GetRequest("/bytes/10"), GetAndCloseRequest("/hello")));
  EXPECT_EQ(backend->requests(), 3) << answers << proxy->log();
  EXPECT_THAT(answers, EndsWith("hello from backend"));
}

TEST_F(HttpTest, AWebSocketPassesUnread) {
  const auto backend = StartBackend(Mode::kBridge);
  const auto proxy =
      StartGateway(absl::StrCat("default=https://", backend->address(), "@", kBackName));
  const auto client = ConnectTls(proxy->port);
  ASSERT_NE(client, nullptr);
  const std::string frame("\x81\x85\x01\x02\x03\x04\r\n\n\0x", 11);
  client->Write(absl::StrCat("GET /chat HTTP/1.1\r\nHost: ", kFrontName,
                             "\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
                             frame));
  const std::string received = client->ReadUntil(frame);
  EXPECT_THAT(received, StartsWith("HTTP/1.1 101 Switching Protocols\r\n")) << proxy->log();
  EXPECT_THAT(received, EndsWith(frame));
  client->Write("GET / HTTP/1.1\nnot HTTP any more");
  client->ShutdownWrite();
  EXPECT_THAT(client->ReadToEnd(), EndsWith("not HTTP any more"));
  EXPECT_TRUE(proxy->WaitForLog("\"status\":101")) << proxy->log();
  EXPECT_EQ(backend->requests(), 1);
}

TEST_F(HttpTest, OnlyConfiguredUpgradesAreAllowed) {
  const auto backend = StartBackend(Mode::kBridge);
  const auto asked_for = [&](const std::string& upgrades) {
    const auto proxy = StartGateway(
        absl::StrCat("default=https://", backend->address(), "@", kBackName), {upgrades});
    const auto client = ConnectTls(proxy->port);
    if (client == nullptr) return std::string("no connection");
    client->Write(absl::StrCat("GET /chat HTTP/1.1\r\nHost: ", kFrontName,
                               "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"));
    return client->ReadUntil("\r\n\r\n");
  };
  constexpr char kAgreed[] = "HTTP/1.1 101 Switching Protocols\r\n";
  EXPECT_THAT(asked_for("--http_upgrades=connect-ip,WebSocket"), StartsWith(kAgreed));
  EXPECT_THAT(asked_for("--http_upgrades="), Not(StartsWith(kAgreed)));
  EXPECT_THAT(asked_for("--http_upgrades=connect-ip"), Not(StartsWith(kAgreed)));
}

TEST_F(HttpTest, PlainHttpClientsGetAResponseIfConfigured) {
  for (const Mode mode : {Mode::kOffload, Mode::kBridge, Mode::kPassthrough}) {
    const auto proxy = StartProxy(mode, "127.0.0.1:9", {"--answer_plain_http"});
    const CommandResult curl = RunCommand(
        {FindProgram("curl"), "--silent", "--show-error", "--noproxy", "*", "--write-out",
         "|%{http_code}", absl::StrCat("http://127.0.0.1:", proxy->port, "/")},
        kPatience);
    EXPECT_EQ(curl.output, "400 This port speaks HTTPS, not HTTP\n|400") << curl.errors;
    EXPECT_TRUE(proxy->WaitForLog("not_tls")) << proxy->log();
  }
}

TEST_F(HttpTest, ASmuggledRequestReachesNoBackend) {
  const auto backend = StartBackend(Mode::kOffload);
  const auto proxy = StartGateway("default=http://" + backend->address());
  const std::string answer = Exchange(
      proxy->port,
      absl::StrCat("POST / HTTP/1.1\r\nHost: ", kFrontName,
                   "\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG"));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 400 Bad Request\r\n"));
  EXPECT_EQ(backend->requests(), 0);
  EXPECT_TRUE(proxy->WaitForLog("\"reason\":\"bad_request\"")) << proxy->log();
}

// Uses a backend that responds with the fields it received about the client.
class ForwardingTest : public HttpTest {
 protected:
  // The response ends with `more`.
  std::unique_ptr<Process> StartTelling(uint16_t port, const std::string& more) const {
    WriteCertificate("back", LeafFor(kBackName));
    return StartNginx(
        absl::StrCat("http { access_log off; ", TemporaryPaths(),
                     " server { listen 127.0.0.1:", port, " ssl; ssl_certificate ",
                     PathOf("back.pem"), "; ssl_certificate_key ", PathOf("back.key"),
                     "; location / { return 200 \"$http_x_forwarded_for|$http_x_forwarded_proto|"
                     "$http_forwarded|$http_x_real_ip|$http_x_forwarded_client_cert",
                     more, "\"; } } }"),
        port);
  }

  // Returns the fields that a gateway with `flags` sends; curl sends its own as well.
  std::string Told(const std::vector<std::string>& flags,
                   const std::vector<std::string>& curl_flags = {},
                   const std::string& more = "") const {
    const uint16_t port = FreePort();
    const auto nginx = StartTelling(port, more);
    if (nginx == nullptr) return "no nginx";
    const auto proxy =
        StartGateway(absl::StrCat("default=https://127.0.0.1:", port, "@", kBackName), flags);
    std::vector<std::string> argv = {"--header", "X-Forwarded-For: 1.2.3.4",
                                     "--header", "X-Forwarded-Proto: http",
                                     "--header", "X-Real-IP: 1.2.3.4",
                                     "--header", "Forwarded: for=1.2.3.4",
                                     "--header", "X-Forwarded-Client-Cert: Subject=root"};
    argv.insert(argv.end(), curl_flags.begin(), curl_flags.end());
    const CommandResult curl = Curl(proxy->port, "/", argv);
    EXPECT_EQ(curl.exit_status, 0) << curl.errors << proxy->log();
    const std::string host = absl::StrCat(";host=\"", kFrontName, ":", proxy->port, "\"");
    return absl::StrReplaceAll(curl.output, {{host, ";host=FRONT"}});
  }
};

TEST_F(ForwardingTest, BackendsReceiveTheClientsIdentity) {
  const std::string own = "127.0.0.1|https|for=127.0.0.1;proto=https;host=FRONT||";
  EXPECT_EQ(Told({}), own);
  EXPECT_EQ(Told({"--http_trusted_proxies=10.0.0.0/8"}), own);
}

TEST_F(ForwardingTest, FieldsOfTrustedProxiesAreExtended) {
  EXPECT_EQ(Told({"--http_trusted_proxies=10.0.0.0/8,127.0.0.0/8"}),
            "1.2.3.4, 127.0.0.1|http|for=1.2.3.4, for=127.0.0.1;proto=http;host=FRONT||");
}

TEST_F(ForwardingTest, TheHashOfAClientsCertificateEqualsOpenssls) {
  testing::LeafSpec alice = LeafFor("alice.test");
  alice.common_name = "alice";
  alice.uri_names = {"spiffe://td.test/alice"};
  alice.server_auth = false;
  WriteCertificate("alice", alice);
  const CommandResult openssl =
      RunCommand({FindProgram("openssl"), "x509", "-in", PathOf("alice.pem"), "-noout", "-sha256",
                  "-fingerprint"},
                 kPatience);
  std::string hash = openssl.output.substr(openssl.output.find('=') + 1);
  absl::StripAsciiWhitespace(&hash);
  hash = absl::AsciiStrToLower(absl::StrReplaceAll(hash, {{":", ""}}));
  ASSERT_EQ(hash.size(), 64u) << openssl.output << openssl.errors;
  EXPECT_THAT(Told({"--client_ca=" + PathOf("ca.pem")},
                   {"--cert", PathOf("alice.pem"), "--key", PathOf("alice.key")}),
              EndsWith(absl::StrCat("|Hash=", hash, ";Subject=\"CN=alice\";",
                                    "URI=spiffe://td.test/alice;DNS=alice.test")));
}

TEST_F(ForwardingTest, OpensslReadsTheForwardedClientCertificate) {
  testing::LeafSpec alice = LeafFor("alice.test");
  alice.server_auth = false;
  WriteCertificate("alice", alice);
  const std::vector<std::string> curl_flags = {"--cert",   PathOf("alice.pem"),
                                               "--key",    PathOf("alice.key"),
                                               "--header", "Client-Cert: :Zm9yZ2Vk:",
                                               "--header", "Client_Cert: :Zm9yZ2Vk:",
                                               "--header", "Client-Cert-Chain: :Zm9yZ2Vk:"};
  const std::string told =
      Told({"--http_client_cert", "--http_xfcc_cert", "--client_ca=" + PathOf("ca.pem")},
           curl_flags, "|$http_client_cert|$http_client_cert_chain");
  const std::vector<std::string> parts = absl::StrSplit(told, '|');
  ASSERT_EQ(parts.size(), 7u) << told;
  const auto der = [&](const std::string& pem) {
    const CommandResult openssl =
        RunCommand({FindProgram("openssl"), "x509", "-outform", "DER"}, kPatience, pem);
    return absl::Base64Escape(openssl.output);
  };
  const auto read = [&](const std::string& name) {
    std::stringstream text;
    text << std::ifstream(PathOf(name)).rdbuf();
    return text.str();
  };
  EXPECT_EQ(parts[5], absl::StrCat(":", der(read("alice.pem")), ":"));
  EXPECT_EQ(parts[6], absl::StrCat(":", der(read("ca.pem")), ":"))
      << "curl sends its --cacert, too";
  const std::string begin = "Cert=\"";
  const size_t cert = parts[4].find(begin);
  ASSERT_NE(cert, std::string::npos) << told;
  const std::string encoded = parts[4].substr(cert + begin.size());
  EXPECT_EQ(der(absl::StrReplaceAll(
                encoded.substr(0, encoded.find('"')),
                {{"%20", " "}, {"%0A", "\n"}, {"%2B", "+"}, {"%2F", "/"}, {"%3D", "="}})),
            der(read("alice.pem")));
}

}  // namespace
}  // namespace trestle::e2e
