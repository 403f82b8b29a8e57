// Chromium as the client of the bridge, with HTTP/1.1, HTTP/2 and WebSockets. It uses the backend's
// choice of protocol, and messages between a page and its server arrive unchanged.

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/browser.h"
#include "tests/e2e/server_programs.h"

namespace trestle::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Shows the protocol that delivered the page.
constexpr char kPage[] = R"(<!DOCTYPE html><title>page</title><p id="protocol"></p>
<script>
document.getElementById("protocol").textContent =
    "over " + performance.getEntriesByType("navigation")[0].nextHopProtocol;
</script>
)";

// Also exchanges text, 1 MiB of random bytes and an empty message over a WebSocket, which the page
// closes. The server closes a second WebSocket. A frame whose document stays open delays the end of
// loading, so that the browser prints the page only after all exchanges.
constexpr char kChatPage[] = R"(<!DOCTYPE html><title>chat</title><p id="protocol"></p><ul></ul>
<iframe></iframe>
<script>
document.getElementById("protocol").textContent =
    "over " + performance.getEntriesByType("navigation")[0].nextHopProtocol;
const frame = document.querySelector("iframe").contentDocument;
frame.open();
const say = text => {
  document.querySelector("ul").appendChild(document.createElement("li")).textContent = text;
};
const bytes = new Uint8Array(1 << 20);
for (let i = 0; i < bytes.length; i += 65536) crypto.getRandomValues(bytes.subarray(i, i + 65536));
const same = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);

const chat = (messages, last, done) => {
  const socket = new WebSocket("wss://" + location.host + "/socket");
  socket.binaryType = "arraybuffer";
  let sent = null;
  socket.onmessage = event => {
    const data = event.data;
    if (sent === null) say("server: " + data);
    else if (typeof sent === "string") say("text " + (data === sent ? "same" : "other"));
    else say("binary " + sent.length + (same(new Uint8Array(data), sent) ? " same" : " other"));
    if (messages.length === 0) return last(socket);
    sent = messages.shift();
    socket.send(sent);
  };
  socket.onerror = () => say("error");
  socket.onclose = event => {
    say("closed " + event.code + " " + event.reason + (event.wasClean ? " cleanly" : ""));
    done();
  };
};
const messages = ["Gr\u00fc\u00dfe \u2713", bytes, new Uint8Array(0), ""];
chat(messages, socket => socket.close(4001, "bye"), () =>
    chat([], socket => socket.send("close 4002"), () => frame.close()));
</script>
)";

// The page's text if each message came back unchanged.
constexpr char kGoodChat[] =
    "<ul><li>server: welcome</li><li>text same</li><li>binary 1048576 same</li>"
    "<li>binary 0 same</li><li>text same</li><li>closed 4001 bye cleanly</li>"
    "<li>server: welcome</li><li>closed 4002 as you like cleanly</li></ul>";

// A hybrid post-quantum group, the first choice of both Chromium and the bridge.
constexpr char kPostQuantumFront[] =
    "sni=front.test front=TLSv1.3/TLS_AES_128_GCM_SHA256/X25519MLKEM768";

class BridgeBrowserTest : public ServerProgramsTest {
 protected:
  BridgeBrowserTest() : browser_(PathOf("")) {
    browser_.Trust(PathOf("ca.pem"));
    const testing::PemPair pair = WriteCertificate("back", LeafFor(kBackName));
    WriteFile("back.both", pair.chain + pair.key);
    WriteFile("index.html", kPage);
    WriteFile("chat.html", kChatPage);
  }

  // Returns an nginx server with TLS and these locations.
  std::unique_ptr<Process> Nginx(uint16_t port, bool h2, const std::string& locations) const {
    return StartNginx(
        absl::StrCat("http { access_log off; ", TemporaryPaths(), "types { text/html html; } ",
                     "server { listen 127.0.0.1:", port, " ssl", h2 ? " http2" : "",
                     "; ssl_certificate ", PathOf("back.pem"), "; ssl_certificate_key ",
                     PathOf("back.key"), "; ", locations, " } }\n"),
        port);
  }

  std::unique_ptr<Process> NginxWithPage(uint16_t port, bool h2) const {
    return Nginx(port, h2, absl::StrCat("location / { root ", PathOf(""), "; }"));
  }

  std::unique_ptr<Process> Haproxy(uint16_t port, const std::string& alpn,
                                   const std::string& rules) const {
    return StartHaproxy(
        absl::StrCat("listen back\n  bind 127.0.0.1:", port, " ssl crt ", PathOf("back.both"),
                     " alpn ", alpn, "\n  timeout tunnel 60s\n  ", rules, "\n"),
        port);
  }

  std::unique_ptr<Process> HaproxyWithPage(uint16_t port, const std::string& alpn) const {
    return Haproxy(port, alpn,
                   absl::StrCat("http-request return status 200 content-type text/html file ",
                                PathOf("index.html")));
  }

  std::unique_ptr<ProxyProcess> StartBridge(uint16_t port,
                                            const std::vector<std::string>& flags) const {
    return StartProxy(Mode::kBridge, absl::StrCat("127.0.0.1:", port), flags);
  }

  std::string Page(const ProxyProcess& proxy) const {
    const CommandResult result =
        browser_.Open(absl::StrCat("https://", kFrontName, ":", proxy.port, "/"));
    EXPECT_EQ(result.exit_status, 0) << result.errors << proxy.log();
    return result.output;
  }

  Browser browser_;
  const std::vector<std::string> eager_ = {"--alpn=h2,http/1.1", "--eager_alpn"};
};

TEST_F(BridgeBrowserTest, ThePageUsesTheProtocolThatTheBackendChose) {
  const std::vector<uint16_t> ports = FreePorts(5);
  const auto nginx_h2 = NginxWithPage(ports[0], true);
  const auto nginx_h1 = NginxWithPage(ports[1], false);
  const auto haproxy_h2 = HaproxyWithPage(ports[2], "h2");
  const auto haproxy_h1 = HaproxyWithPage(ports[3], "http/1.1");
  const auto haproxy_both = HaproxyWithPage(ports[4], "http/1.1,h2");
  const struct {
    uint16_t port;
    const char* protocol;
  } cases[] = {{ports[0], "over h2<"},
               {ports[1], "over http/1.1<"},
               {ports[2], "over h2<"},
               {ports[3], "over http/1.1<"},
               {ports[4], "over http/1.1<"}};
  for (const auto& c : cases) {
    const auto proxy = StartBridge(c.port, eager_);
    EXPECT_THAT(Page(*proxy), HasSubstr(c.protocol)) << proxy->log();
    EXPECT_TRUE(proxy->WaitForLog(kPostQuantumFront)) << proxy->log();
  }
}

TEST_F(BridgeBrowserTest, OpensslServesAPageOverHttp1) {
  const uint16_t port = FreePort();
  const auto openssl = StartOpenssl(
      {"-cert", PathOf("back.pem"), "-key", PathOf("back.key"), "-www", "-alpn", "http/1.1"}, port);
  const auto proxy = StartBridge(port, eager_);
  EXPECT_THAT(Page(*proxy), HasSubstr("s_server")) << proxy->log();
  EXPECT_TRUE(proxy->WaitForLog(kPostQuantumFront)) << proxy->log();
}

TEST_F(BridgeBrowserTest, AnUnverifiedBackendShowsNothing) {
  WriteCertificate("back", LeafFor("other.test"));
  const uint16_t port = FreePort();
  const auto nginx = NginxWithPage(port, true);
  const auto proxy = StartBridge(port, eager_);
  const CommandResult result =
      browser_.Open(absl::StrCat("https://", kFrontName, ":", proxy->port, "/"));
  EXPECT_THAT(result.output, Not(HasSubstr("over ")));
  EXPECT_THAT(result.errors, HasSubstr("ERR_SSL_PROTOCOL_ERROR"));
  EXPECT_TRUE(proxy->WaitForLog("back leg, handshake: name_mismatch")) << proxy->log();
}

class BridgeWebSocketTest : public BridgeBrowserTest {
 protected:
  std::unique_ptr<Process> StartWebSocketServer(const std::vector<std::string>& certificate = {}) {
    std::vector<std::string> argv = {"/usr/bin/python3", "tests/e2e/websocket_server.py",
                                     PathOf("chat.html")};
    argv.insert(argv.end(), certificate.begin(), certificate.end());
    auto server = std::make_unique<Process>(argv);
    constexpr absl::string_view kListening = "listening on 127.0.0.1:";
    EXPECT_TRUE(server->WaitForOutput("\n", kPatience)) << server->errors();
    const std::string output = server->output();
    uint32_t port = 0;
    EXPECT_TRUE(absl::SimpleAtoi(
        output.substr(kListening.size(), output.find('\n') - kListening.size()), &port))
        << output;
    server_port_ = static_cast<uint16_t>(port);
    return server;
  }

  // Runs the exchanges of the page with `server` through `proxy`.
  void ExpectGoodChat(const ProxyProcess& proxy, Process& server, const std::string& protocol) {
    const std::string page = Page(proxy);
    EXPECT_THAT(page, HasSubstr(absl::StrCat("over ", protocol, "<"))) << proxy.log();
    EXPECT_THAT(page, HasSubstr(kGoodChat)) << proxy.log() << server.errors();
    EXPECT_TRUE(server.WaitForOutput("closed 4001 bye\n", kPatience)) << server.errors();
    EXPECT_TRUE(server.WaitForOutput("closed 4002 as you like\n", kPatience)) << server.errors();
  }

  uint16_t server_port_ = 0;
};

TEST_F(BridgeWebSocketTest, MessagesArriveUnchanged) {
  const auto server = StartWebSocketServer({PathOf("back.pem"), PathOf("back.key")});
  for (const std::vector<std::string>& flags :
       {eager_, std::vector<std::string>{}, std::vector<std::string>{"--alpn=http/1.1"}}) {
    const auto proxy = StartBridge(server_port_, flags);
    ExpectGoodChat(*proxy, *server, "http/1.1");
    EXPECT_TRUE(proxy->WaitForLog(kPostQuantumFront)) << proxy->log();
  }
}

TEST_F(BridgeWebSocketTest, AGatewayReadsTheRequestAndTheWebSocketPassesUnread) {
  const auto server = StartWebSocketServer({PathOf("back.pem"), PathOf("back.key")});
  const auto proxy =
      StartGateway(absl::StrCat("default=https://127.0.0.1:", server_port_, "@", kBackName));
  ExpectGoodChat(*proxy, *server, "h2");
  EXPECT_THAT(server->output(), HasSubstr("for=127.0.0.1")) << "the request was read";
}

TEST_F(BridgeWebSocketTest, ItIsRoutedByItsPath) {
  const auto server = StartWebSocketServer({PathOf("back.pem"), PathOf("back.key")});
  const std::vector<uint16_t> ports = FreePorts(1);
  const auto nginx =
      Nginx(ports[0], true, absl::StrCat("location / { root ", PathOf(""), "; index chat.html; }"));
  const auto proxy = StartGateway(
      absl::StrCat(kFrontName, "=https://127.0.0.1:", ports[0], "@", kBackName, ",", kFrontName,
                   "/socket=https://127.0.0.1:", server_port_, "@", kBackName));
  ExpectGoodChat(*proxy, *server, "h2");
}

// nginx uses HTTP/2 for the page and HTTP/1.1 for the WebSocket. With eager ALPN, each connection
// uses the protocol that it offers.
TEST_F(BridgeWebSocketTest, NginxServesAPageOverHttp2AndItsWebSocketOverHttp1) {
  const auto server = StartWebSocketServer();
  const uint16_t port = FreePort();
  const auto nginx =
      Nginx(port, true,
            absl::StrCat("location / { root ", PathOf(""), "; index chat.html; } ",
                         "location /socket { proxy_pass http://127.0.0.1:", server_port_,
                         "; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
                         "proxy_set_header Connection upgrade; "
                         "proxy_set_header X-Alpn $ssl_alpn_protocol; }"));
  const auto proxy = StartBridge(port, eager_);
  ExpectGoodChat(*proxy, *server, "h2");
  EXPECT_THAT(server->output(), HasSubstr("open alpn=http/1.1"));
}

// haproxy supports extended CONNECT (RFC 8441): the WebSocket is a stream of the page's connection.
TEST_F(BridgeWebSocketTest, HaproxyServesBothOverHttp2) {
  const auto server = StartWebSocketServer();
  const uint16_t port = FreePort();
  const auto haproxy = Haproxy(port, "h2",
                               absl::StrCat("http-request set-header X-Alpn %[ssl_fc_alpn]\n"
                                            "  server websocket 127.0.0.1:",
                                            server_port_));
  const auto proxy = StartBridge(port, eager_);
  ExpectGoodChat(*proxy, *server, "h2");
  EXPECT_THAT(server->output(), HasSubstr("open alpn=h2"));
}

}  // namespace
}  // namespace trestle::e2e
