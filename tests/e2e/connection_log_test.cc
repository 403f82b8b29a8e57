// Lines of --log_connections are bounded for every input from peers, and values end at their
// quotes.

#include "examples/support/connection_log.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "examples/support/connection_json.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "trestle/base/endpoint.h"
#include "trestle/base/error.h"
#include "trestle/proxy/observer.h"

namespace trestle::examples {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

// The most names that a hello of 15 KB may have: each name takes one more byte for its length.
ConnectionReport WithLongHello() {
  ConnectionReport report;
  report.hello.emplace();
  for (int i = 0; i < 7500; ++i) report.hello->alpn.push_back("\x01");
  return report;
}

TEST(ConnectionLogTest, AHelloOf15KilobytesMakesABoundedLine) {
  const std::string line = ConnectionAsJson(WithLongHello(), absl::UnixEpoch());
  EXPECT_LT(line.size(), 8u << 10);
  const auto document = nlohmann::json::parse(line);
  const auto& alpn = document.at("hello").at("alpn");
  EXPECT_EQ(alpn.size(), 513u);
  EXPECT_EQ(alpn.back(), "…(6988 more)");

  ConnectionReport long_names;
  long_names.hello.emplace();
  long_names.hello->alpn = {std::string(255, 'x'), std::string(300, 'y')};
  const auto names = nlohmann::json::parse(ConnectionAsJson(long_names, absl::UnixEpoch()));
  EXPECT_EQ(names.at("hello").at("alpn").at(0), std::string(255, 'x'));
  EXPECT_EQ(names.at("hello").at("alpn").at(1), std::string(256, 'y') + "…(300 bytes)");
}

TEST(ConnectionLogTest, LongChainsMakeABoundedLine) {
  CertificateInfo certificate;
  certificate.subject = std::string(100'000, '\x01');
  certificate.issuer = certificate.subject;
  certificate.serial = certificate.subject;
  for (int i = 0; i < 32'000; ++i) certificate.dns_names.push_back(absl::StrCat(i, ".test"));
  TlsInfo tls;
  tls.version = "TLSv1.3";
  tls.peer_chain = ChainInfo(std::vector<CertificateInfo>(50, certificate));
  ConnectionReport report = WithLongHello();
  report.front.tls = std::make_shared<const TlsInfo>(tls);
  const std::string line = ConnectionAsJson(report, absl::UnixEpoch());
  EXPECT_LT(line.size(), 64u << 10);
  const auto shown = nlohmann::json::parse(line).at("front").at("tls");
  EXPECT_EQ(shown.at("peer_chain").size(), 8u);
  EXPECT_EQ(shown.at("peer_chain_left_out"), 42);
  EXPECT_THAT(std::string(shown.at("peer_chain").at(0).at("names").back()), EndsWith(" more)"));
}

TEST(ConnectionLogTest, ManyFailedTriesBesideLongChainsMakeABoundedLine) {
  CertificateInfo certificate;
  certificate.subject = certificate.issuer = certificate.serial = std::string(100'000, 'x');
  for (int i = 0; i < 32'000; ++i) certificate.dns_names.push_back(absl::StrCat(i, ".test"));
  TlsInfo tls;
  tls.local_chain = tls.peer_chain = ChainInfo(std::vector<CertificateInfo>(50, certificate));
  ConnectionReport report = WithLongHello();
  report.front.tls = report.back.tls = std::make_shared<const TlsInfo>(tls);
  report.error = ToError(
      MakeError(ErrorCode::kTransport, Leg::kBack, Phase::kDial, std::string(100'000, 'x')));
  for (int i = 0; i < 30; ++i) report.failed_tries.push_back({Endpoint(), *report.error});
  const std::string line = ConnectionAsJson(report, absl::UnixEpoch());
  EXPECT_LT(line.size(), 64u << 10);
  const auto document = nlohmann::json::parse(line);
  EXPECT_EQ(document.at("failed_tries").size(), 16u);
  EXPECT_EQ(document.at("failed_tries_left_out"), 14);
  EXPECT_THAT(std::string(document.at("error").at("detail")), EndsWith("…(100000 bytes)"));
}

TEST(ConnectionLogTest, QuotesInTheTextLogAreEscaped) {
  ConnectionReport report;
  report.error = ToError(absl::InvalidArgumentError("said \"no\" mode=offload \\"));
  EXPECT_THAT(DescribeConnection(report),
              EndsWith("status=\"set-up: internal: said \\\"no\\\" mode=offload \\\\\""));
  report.error = ToError(absl::InvalidArgumentError(std::string(100'000, 'x')));
  EXPECT_LT(DescribeConnection(report).size(), 4096u);
  EXPECT_THAT(DescribeConnection(report), HasSubstr("…(100018 bytes)\""));
}

}  // namespace
}  // namespace trestle::examples
