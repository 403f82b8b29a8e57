// The first datagrams of real QUIC clients, as they arrive at a UDP socket that never answers.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/sha.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/process.h"
#include "trestle/base/bytes.h"
#include "trestle/base/monotonic_time.h"
#include "trestle/linux/owned_fd.h"
#include "trestle/tls/quic_hello_reader.h"
#include "trestle/wire/hello_fingerprint.h"

namespace trestle::e2e {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr absl::Duration kPatience = absl::Seconds(60);
constexpr uint16_t kX25519MlKem768 = 0x11ec;

std::array<uint8_t, 32> Sha256(ByteView in) {
  std::array<uint8_t, 32> digest;
  SHA256(in.data(), in.size(), digest.data());
  return digest;
}

// The results of reading a hello.
struct Seen {
  QuicHelloState state = QuicHelloState::kNeedMore;
  uint32_t version = 0;
  std::string error;
  size_t datagrams = 0;
  std::string server_name;
  std::vector<std::string> alpn;
  std::string ja4;
  bool has_ech = false;
  std::vector<uint16_t> shares;
};

Seen Describe(const QuicHelloReader& reader) {
  Seen seen;
  seen.state = reader.state();
  seen.version = reader.version();
  seen.error = reader.error().ToString();
  seen.datagrams = reader.datagrams();
  if (seen.state != QuicHelloState::kDone) return seen;
  const ClientHello& hello = reader.hello();
  seen.server_name = hello.server_name;
  for (absl::string_view protocol : hello.alpn) seen.alpn.emplace_back(protocol);
  seen.ja4 = Ja4(hello, Sha256);
  seen.has_ech = hello.ech.has_value();
  for (const HelloKeyShare& share : hello.key_shares) seen.shares.push_back(share.group);
  return seen;
}

// A UDP socket on loopback that reads hellos.
class SilentServer {
 public:
  SilentServer() : fd_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    socklen_t size = sizeof(address);
    EXPECT_EQ(getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
  }

  uint16_t port() const { return port_; }

  // Waits for the first hello of any client address; kNeedMore if none comes.
  Seen WaitForHello() {
    const absl::Time limit = absl::Now() + kPatience;
    while (absl::Now() < limit) {
      pollfd ready = {fd_.get(), POLLIN, 0};
      if (poll(&ready, 1, 1000) <= 0) continue;
      std::string datagram(65536, '\0');
      sockaddr_in from = {};
      socklen_t size = sizeof(from);
      const ssize_t bytes = recvfrom(fd_.get(), &datagram[0], datagram.size(), 0,
                                     reinterpret_cast<sockaddr*>(&from), &size);
      if (bytes < 0) continue;
      datagram.resize(static_cast<size_t>(bytes));
      // Does not use real time, because the machine may be busy.
      QuicHelloReader& reader = readers_[from.sin_port];
      reader.Feed(AsBytes(datagram), MonotonicTime::FromStart({}));
      if (reader.state() != QuicHelloState::kNeedMore) return Describe(reader);
    }
    return Seen();
  }

 private:
  const OwnedFd fd_;
  uint16_t port_ = 0;
  std::map<uint16_t, QuicHelloReader> readers_;
};

TEST(QuicClientsTest, ReadsTheHelloOfChromium) {
  SilentServer server;
  const std::string origin = absl::StrCat("front.test:", server.port());
  const std::string home = absl::StrCat(::testing::TempDir(), "/quic_chromium");
  Process chromium({"/usr/bin/env", absl::StrCat("HOME=", home), FindProgram("chromium"),
                    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                    "--no-first-run", "--disable-background-networking",
                    "--disable-component-update", "--disable-sync", "--no-proxy-server",
                    "--enable-quic", absl::StrCat("--origin-to-force-quic-on=", origin),
                    "--host-resolver-rules=MAP front.test 127.0.0.1, MAP * ~NOTFOUND",
                    absl::StrCat("--user-data-dir=", home, "/profile"), "--dump-dom",
                    absl::StrCat("https://", origin, "/")});
  const Seen seen = server.WaitForHello();
  ASSERT_EQ(seen.state, QuicHelloState::kDone) << seen.error << chromium.errors();
  EXPECT_EQ(seen.version, kQuicV1);
  EXPECT_EQ(seen.server_name, "front.test");
  EXPECT_THAT(seen.alpn, Contains("h3"));
  EXPECT_THAT(seen.ja4, StartsWith("q13d"));
  EXPECT_THAT(seen.shares, Contains(kX25519MlKem768));
  EXPECT_GE(seen.datagrams, 2u);
  EXPECT_TRUE(seen.has_ech);
}

class Ngtcp2Test : public ::testing::Test {
 protected:
  Seen Run(const std::vector<std::string>& flags) {
    std::vector<std::string> argv = {FindProgram("gtlsclient"), "--quiet"};
    argv.insert(argv.end(), flags.begin(), flags.end());
    const std::string port = absl::StrCat(server_.port());
    argv.insert(argv.end(), {"127.0.0.1", port, absl::StrCat("https://localhost:", port, "/")});
    Process client(argv);
    return server_.WaitForHello();
  }

  SilentServer server_;
};

TEST_F(Ngtcp2Test, ReadsTheHelloOfVersion1) {
  const Seen seen = Run({});
  ASSERT_EQ(seen.state, QuicHelloState::kDone) << seen.error;
  EXPECT_EQ(seen.version, kQuicV1);
  EXPECT_EQ(seen.server_name, "localhost");
  EXPECT_THAT(seen.alpn, Contains("h3"));
  EXPECT_THAT(seen.ja4, StartsWith("q13d"));
}

TEST_F(Ngtcp2Test, TheDraftOfVersion2IsUnknown) {
  const Seen seen = Run({"--version=v2draft"});
  EXPECT_EQ(seen.state, QuicHelloState::kUnknownVersion);
  EXPECT_EQ(seen.version, 0x709a50c4u);
  EXPECT_THAT(seen.error, HasSubstr("an unknown version, 0x709a50c4"));
}

}  // namespace
}  // namespace trestle::e2e
