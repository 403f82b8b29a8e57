// HttpGateway with a fault at every byte of a short exchange, on either leg, in both versions. Each
// request has one end, nothing is left open, and the next client gets its own response.

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integrations/http/gateway_fixture.h"

namespace trestle {
namespace {

using ::testing::EndsWith;

enum class Fault { kReset, kEnd, kStall };
enum class Where { kFromClient, kToClient, kFromBackend, kToBackend };

testing::MemoryLink LinkWith(Fault fault, uint64_t byte) {
  testing::MemoryLink link;
  link.chunk_bytes = 7;
  if (fault == Fault::kReset) link.reset_after_bytes = byte;
  if (fault == Fault::kEnd) link.end_after_bytes = byte;
  if (fault == Fault::kStall) link.stall_after_bytes = byte;
  return link;
}

std::string Frame(uint8_t type, uint8_t flags, absl::string_view payload) {
  std::string frame = {'\0',
                       '\0',
                       static_cast<char>(payload.size()),
                       static_cast<char>(type),
                       static_cast<char>(flags),
                       '\0',
                       '\0',
                       '\0',
                       type == 4 ? '\0' : '\1'};
  return absl::StrCat(frame, payload);
}

// POST with five bytes: of HTTP/2 in HPACK's indexed fields and a literal authority.
std::string RequestOf(bool http2) {
  if (!http2) {
    return "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n"
           "5\r\nhello\r\n0\r\n\r\n";
  }
  return absl::StrCat("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Frame(4, 0, ""),
                      Frame(1, 4,
                            "\x83\x87\x84\x41\x08"
                            "app.test"),
                      Frame(0, 1, "hello"));
}

constexpr char kChunked[] =
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nworld\r\n0\r\nx-sum: 1\r\n\r\n";

class HttpFaultsTest : public GatewayFixture,
                       public ::testing::WithParamInterface<std::pair<bool, Where>> {
 protected:
  /// One exchange with the fault, then one without.
  void Run(Fault fault, uint64_t byte) {
    const auto [http2, where] = GetParam();
    SCOPED_TRACE(absl::StrCat("fault ", static_cast<int>(fault), " at byte ", byte));
    reports.clear();
    a.clear();
    loop.RunFor(absl::Minutes(1));
    ListenWith(where == Where::kToBackend ? LinkWith(fault, byte) : testing::MemoryLink(),
               where == Where::kFromBackend ? LinkWith(fault, byte) : testing::MemoryLink());
    auto [end, server] = testing::NewMemoryPair(
        loop, where == Where::kFromClient ? LinkWith(fault, byte) : testing::MemoryLink(),
        where == Where::kToClient ? LinkWith(fault, byte) : testing::MemoryLink());
    Accepted accepted(std::move(server));
    if (http2) {
      TlsInfo tls;
      tls.alpn = "h2";
      tls.server_name = "app.test";
      accepted.tls = std::make_shared<const TlsInfo>(std::move(tls));
    }
    gateway().Serve(std::move(accepted));
    auto client = std::make_unique<StreamPeer>(loop, std::move(end));
    Send(*client, RequestOf(http2));
    if (!a.empty() && EndsWithChunk(a.back()->received())) Send(*a.back(), kChunked);
    loop.RunFor(absl::Minutes(2));
    client.reset();
    loop.RunFor(absl::Minutes(2));
    EXPECT_LE(reports.size(), 1u);
    EXPECT_EQ(gateway().open_requests(), 0u);
    EXPECT_EQ(gateway().open_connections(), 0u);
    ExpectNextIsGood();
  }

  void ExpectNextIsGood() {
    ListenWith({}, {});
    a.clear();
    loop.RunFor(absl::Minutes(1));
    const auto client = Connect();
    Send(*client, Get("/next"));
    ASSERT_EQ(a.size(), 1u);
    Send(*a[0], kOk);
    EXPECT_THAT(client->received(), EndsWith("\r\n\r\nok"));
  }

 private:
  static bool EndsWithChunk(const std::string& text) { return absl::EndsWith(text, "0\r\n\r\n"); }

  void ListenWith(const testing::MemoryLink& to_backend, const testing::MemoryLink& from_backend) {
    dialer.Listen(
        BackendA(),
        [this](std::unique_ptr<Transport> transport) {
          a.push_back(std::make_unique<StreamPeer>(loop, std::move(transport)));
        },
        {}, to_backend, from_backend);
  }
};

INSTANTIATE_TEST_SUITE_P(VersionsAndPlaces, HttpFaultsTest,
                         ::testing::Values(std::make_pair(false, Where::kFromClient),
                                           std::make_pair(false, Where::kToClient),
                                           std::make_pair(false, Where::kFromBackend),
                                           std::make_pair(false, Where::kToBackend),
                                           std::make_pair(true, Where::kFromClient),
                                           std::make_pair(true, Where::kToClient),
                                           std::make_pair(true, Where::kFromBackend),
                                           std::make_pair(true, Where::kToBackend)));

TEST_P(HttpFaultsTest, AtEveryByte) {
  for (const Fault fault : {Fault::kReset, Fault::kEnd, Fault::kStall}) {
    for (uint64_t byte = 0; byte < 240; ++byte) Run(fault, byte);
  }
}

}  // namespace
}  // namespace trestle
