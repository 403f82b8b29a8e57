// --http and --http_routes of the example proxies, with curl, nginx and raw bytes.

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
  // Starts a backend for a bridge, with its own name.
  std::unique_ptr<HttpBackend> StartNamed(const std::string& name) const {
    HttpBackend::Options options;
    options.name = name;
    options.certificate = pki_.Issue(LeafFor(absl::StrCat(name, ".test")));
    return std::make_unique<HttpBackend>(std::move(options));
  }

  std::string Exchange(uint16_t port, const std::string& bytes) const {
    const auto client = ConnectTls(port);
    if (client == nullptr) return "no connection";
    client->Write(bytes);
    return client->ReadToEnd();
  }
};

TEST_F(HttpTest, PathsSelectBackendsAndEachIsVerified) {
  const auto web = StartNamed("web");
  const auto api = StartNamed("api");
  const auto proxy =
      StartRouting(Mode::kBridge, absl::StrCat(kFrontName, "=", web->address(), "@web.test,",
                                               kFrontName, "/bytes=", api->address(), "@api.test"));
  const std::string url = absl::StrCat("https://", kFrontName, ":", proxy->port);
  // curl tries to reuse one connection, but the proxy makes it open new ones.
  const CommandResult curl = Curl(proxy->port, "/hello", {url + "/bytes/10", url + "/hello"});
  EXPECT_EQ(curl.exit_status, 0) << curl.errors << proxy->log();
  EXPECT_THAT(curl.output, EndsWith("hello from webhello from web"));
  EXPECT_EQ(curl.output.size(), 10 + 2 * std::string("hello from web").size());
  ASSERT_EQ(web->connections().size(), 2u);
  EXPECT_EQ(web->connections()[0].server_name, "web.test");
  ASSERT_EQ(api->connections().size(), 1u);
  EXPECT_EQ(api->connections()[0].server_name, "api.test");
}

TEST_F(HttpTest, ATerminatorRoutesToClearTextBackends) {
  const auto web = StartBackend(Mode::kOffload);
  const auto proxy =
      StartRouting(Mode::kOffload, absl::StrCat(kFrontName, "/hello=", web->address()));
  EXPECT_EQ(Curl(proxy->port, "/hello").output, "hello from backend");
  EXPECT_EQ(Curl(proxy->port, "/other").output, "404 Not Found\n");
  EXPECT_TRUE(proxy->WaitForLog("no_route: no route for the request's path")) << proxy->log();
  EXPECT_EQ(web->requests(), 1);
}

TEST_F(HttpTest, OneConnectionCarriesSeveralRequests) {
  const auto backend = StartBackend(Mode::kBridge);
  const auto proxy = StartProxy(Mode::kBridge, backend->address(), {"--http"});
  const std::string url = absl::StrCat("https://", kFrontName, ":", proxy->port);
  const CommandResult curl =
      Curl(proxy->port, "/hello", {url + "/bytes/100000", url + "/hello", "--verbose"});
  EXPECT_EQ(curl.exit_status, 0) << curl.errors << proxy->log();
  EXPECT_EQ(curl.output.size(), 100000 + 2 * std::string("hello from backend").size());
  EXPECT_EQ(backend->connections().size(), 1u);
  EXPECT_EQ(backend->requests(), 3);
  const std::string pipelined = Exchange(
      proxy->port,
      absl::StrCat(GetRequest("/hello"), GetRequest("/hello"), GetAndCloseRequest("/hello")));
  EXPECT_EQ(backend->requests(), 6) << pipelined << proxy->log();
}

TEST_F(HttpTest, BodiesArriveByteForByte) {
  const auto backend = StartBackend(Mode::kBridge);
  const auto proxy = StartProxy(Mode::kBridge, backend->address(), {"--http"});
  std::string body;
  for (int i = 0; i < 3'000'000; ++i) body += static_cast<char>(i * 7 + i / 251);
  const CommandResult sum = RunCommand({FindProgram("openssl"), "sha256", "-r"}, kPatience, body);
  // Also with "Expect: 100-continue", which curl sends for bodies of this size.
  for (const std::string& expect : {std::string("Expect:"), std::string("A: b")}) {
    const CommandResult curl =
        Curl(proxy->port, "/sum", {"--upload-file", WriteFile("body", body), "--header", expect});
    EXPECT_EQ(curl.exit_status, 0) << curl.errors << proxy->log();
    EXPECT_THAT(sum.output, StartsWith(curl.output));
    EXPECT_EQ(curl.output.size(), 64u);
  }
}

TEST_F(HttpTest, AWebSocketPassesUnread) {
  const auto backend = StartBackend(Mode::kBridge);
  const auto proxy = StartProxy(Mode::kBridge, backend->address(), {"--http"});
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
  EXPECT_TRUE(proxy->WaitForLog("status=\"ok\"")) << proxy->log();
  EXPECT_EQ(backend->requests(), 1);
}

TEST_F(HttpTest, OnlyConfiguredUpgradesAreAllowed) {
  const auto backend = StartBackend(Mode::kBridge);
  const auto asked_for = [&](const std::string& upgrades) {
    const auto proxy = StartProxy(Mode::kBridge, backend->address(), {"--http", upgrades});
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
  const auto backend = StartBackend(Mode::kBridge);
  const auto proxy = StartProxy(Mode::kBridge, backend->address(), {"--http"});
  const std::string answer = Exchange(
      proxy->port,
      absl::StrCat("POST / HTTP/1.1\r\nHost: ", kFrontName,
                   "\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG"));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 400 Bad Request\r\n"));
  EXPECT_EQ(backend->requests(), 0);
  EXPECT_TRUE(
      proxy->WaitForLog("front leg, relay: blocked_by_inspector: no HTTP request: Content-"))
      << proxy->log();
}

TEST_F(HttpTest, ARequestForAnotherHostIsMisdirected) {
  const auto backend = StartBackend(Mode::kBridge);
  const auto proxy = StartProxy(Mode::kBridge, backend->address(), {"--http"});
  EXPECT_EQ(Curl(proxy->port, "/hello", {"--header", "Host: other.test"}).output,
            "421 Misdirected Request\n");
  EXPECT_EQ(backend->requests(), 0);
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

  // Returns the fields that a bridge with `flags` sends; curl sends its own as well.
  std::string Told(const std::vector<std::string>& flags,
                   const std::vector<std::string>& curl_flags = {},
                   const std::string& more = "") const {
    const uint16_t port = FreePort();
    const auto nginx = StartTelling(port, more);
    if (nginx == nullptr) return "no nginx";
    const auto proxy = StartProxy(Mode::kBridge, absl::StrCat("127.0.0.1:", port), flags);
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
  EXPECT_EQ(Told({"--http"}), own);
  EXPECT_EQ(Told({"--http", "--http_trusted_proxies=10.0.0.0/8"}), own);
}

TEST_F(ForwardingTest, FieldsOfTrustedProxiesAreExtended) {
  EXPECT_EQ(Told({"--http", "--http_trusted_proxies=10.0.0.0/8,127.0.0.0/8"}),
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
  EXPECT_THAT(Told({"--http", "--client_ca=" + PathOf("ca.pem")},
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
      Told({"--http", "--http_client_cert", "--http_xfcc_cert", "--client_ca=" + PathOf("ca.pem")},
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

class Http2Test : public HttpTest {
 protected:
  // Starts a server of HTTP/2 and HTTP/1.1 that responds with `text`.
  std::unique_ptr<Process> StartHttp2(const std::string& text, uint16_t port) const {
    WriteCertificate("back", LeafFor(kBackName));
    return StartNginx(
        absl::StrCat("http { access_log off; ", TemporaryPaths(),
                     " server { listen 127.0.0.1:", port, " ssl http2; ssl_certificate ",
                     PathOf("back.pem"), "; ssl_certificate_key ", PathOf("back.key"),
                     "; location / { return 200 \"", text, "\"; } } }"),
        port);
  }

  // Returns curl's output, followed by the HTTP version.
  std::string Get(uint16_t port, const std::string& path, const std::string& version,
                  const std::string& host = kFrontName) const {
    const CommandResult curl = RunCommand(
        {FindProgram("curl"), "--silent", "--show-error", "--noproxy", "*", "--cacert",
         PathOf("ca.pem"), "--resolve", absl::StrCat(host, ":", port, ":127.0.0.1"), version,
         "--write-out", "|%{http_version}", absl::StrCat("https://", host, ":", port, path)},
        kPatience);
    return absl::StrCat(curl.output, curl.errors);
  }
};

TEST_F(Http2Test, PassesToABackendWithHttp2) {
  const uint16_t port = FreePort();
  const auto nginx = StartHttp2("one", port);
  const auto proxy = StartProxy(Mode::kBridge, absl::StrCat("127.0.0.1:", port),
                                {"--http", "--http2", "--dangerous_unread_http2"});
  EXPECT_EQ(Get(proxy->port, "/", "--http2"), "one|2");
  EXPECT_EQ(Get(proxy->port, "/", "--http1.1"), "one|1.1");
  const CommandResult load =
      RunCommand({FindProgram("h2load"), "-n", "400", "-c", "4", "-m", "10",
                  absl::StrCat("--connect-to=127.0.0.1:", proxy->port),
                  absl::StrCat("https://", kFrontName, ":", proxy->port, "/")},
                 kPatience);
  EXPECT_THAT(load.output, HasSubstr("400 succeeded, 0 failed, 0 errored")) << proxy->log();
  EXPECT_THAT(load.output, HasSubstr("Application protocol: h2"));
}

TEST_F(Http2Test, IsNotOfferedByDefault) {
  const uint16_t port = FreePort();
  const auto nginx = StartHttp2("one", port);
  const auto proxy = StartProxy(Mode::kBridge, absl::StrCat("127.0.0.1:", port), {"--http"});
  EXPECT_EQ(Get(proxy->port, "/", "--http2"), "one|1.1");
}

TEST_F(Http2Test, IsRoutedByHostAndRejectedIfPathsMatter) {
  testing::LeafSpec both = LeafFor(kFrontName);
  both.dns_names.push_back("split.test");
  WriteCertificate("front", both);
  const std::vector<uint16_t> ports = FreePorts(2);
  const auto one = StartHttp2("one", ports[0]);
  const auto two = StartHttp2("two", ports[1]);
  const std::string first = absl::StrCat("127.0.0.1:", ports[0]);
  const std::string second = absl::StrCat("127.0.0.1:", ports[1]);
  const auto proxy = StartRouting(
      Mode::kBridge,
      absl::StrCat(kFrontName, "=", first, ",split.test=", first, ",split.test/api=", second),
      {"--http2", "--dangerous_unread_http2"});
  EXPECT_EQ(Get(proxy->port, "/api", "--http2"), "one|2");
  EXPECT_EQ(Get(proxy->port, "/api/x", "--http1.1", "split.test"), "two|1.1");
  EXPECT_EQ(Get(proxy->port, "/", "--http1.1", "split.test"), "one|1.1");
  const CommandResult nghttp = RunCommand(
      {FindProgram("nghttp"), "--verbose", "--no-verify-peer",
       absl::StrCat("https://127.0.0.1:", proxy->port, "/api"), "-H:authority: split.test"},
      kPatience);
  EXPECT_THAT(nghttp.output, HasSubstr("HTTP_1_1_REQUIRED")) << proxy->log();
}

}  // namespace
}  // namespace trestle::e2e
