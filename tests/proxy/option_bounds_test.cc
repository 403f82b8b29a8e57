// Each bound of the blocks' options rejects values beyond it, and names the option.
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/proxy/bridge_fixture.h"
#include "trestle/proxy/connection_limiter.h"
#include "trestle/proxy/content_routing.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;

class NoReader final : public ContentReader {
 public:
  ContentAnswer Read(ByteView, bool) override { return ContentAnswer::ReadMore(); }
};

class OptionBoundsTest : public BridgeTest {
 protected:
  using Change = void (*)(TlsBridgeOptions&);

  TlsBridgeOptions Good() {
    TlsBridgeOptions options = Options("internal.test");
    options.content.new_reader = [](const ConnectionReport&) {
      return std::make_unique<NoReader>();
    };
    return options;
  }

  void ExpectRefused(const absl::Status& status, absl::string_view name) {
    EXPECT_EQ(GetError(status).value_or(Error{}).code, ErrorCode::kConfiguration) << name;
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::string(name)));
  }
};

TEST_F(OptionBoundsTest, ValidOptionsAreAccepted) { EXPECT_TRUE(Make(Good()).ok()); }

TEST_F(OptionBoundsTest, TimesMustBePositiveAndFinite) {
  struct Option {
    const char* name;
    absl::Duration& (*get)(TlsBridgeOptions&);
  };
  const std::vector<Option> all = {
      {"hello_timeout",
       [](TlsBridgeOptions& o) -> absl::Duration& { return o.connection.hello_timeout; }},
      {"handshake_timeout",
       [](TlsBridgeOptions& o) -> absl::Duration& { return o.connection.handshake_timeout; }},
      {"dial_timeout",
       [](TlsBridgeOptions& o) -> absl::Duration& { return o.connection.dial_timeout; }},
      {"close_timeout",
       [](TlsBridgeOptions& o) -> absl::Duration& { return o.connection.close_timeout; }},
      {"idle_timeout",
       [](TlsBridgeOptions& o) -> absl::Duration& { return o.connection.relay.idle_timeout; }},
      {"ejection.first",
       [](TlsBridgeOptions& o) -> absl::Duration& { return o.connection.ejection.first; }},
      {"ejection.longest",
       [](TlsBridgeOptions& o) -> absl::Duration& { return o.connection.ejection.longest; }},
      {"timeout of content routing",
       [](TlsBridgeOptions& o) -> absl::Duration& { return o.content.timeout; }},
  };
  for (const Option& option : all) {
    for (const absl::Duration bad :
         {absl::ZeroDuration(), -absl::Seconds(1), absl::InfiniteDuration()}) {
      TlsBridgeOptions options = Good();
      option.get(options) = bad;
      ExpectRefused(Make(std::move(options)).status(), option.name);
    }
  }
}

TEST_F(OptionBoundsTest, NumbersAndOtherTimesHaveBounds) {
  struct Row {
    const char* name;
    Change change;
  };
  for (const Row& row : std::vector<Row>{
           {"after_certificate_expiry",
            [](TlsBridgeOptions& o) { o.connection.after_certificate_expiry = -absl::Seconds(1); }},
           {"buffer_bytes", [](TlsBridgeOptions& o) { o.connection.relay.buffer_bytes = 0; }},
           {"turn_bytes", [](TlsBridgeOptions& o) { o.connection.relay.turn_bytes = 0; }},
           {"max_bytes of content routing", [](TlsBridgeOptions& o) { o.content.max_bytes = 0; }},
           {"max_tries", [](TlsBridgeOptions& o) { o.backend.max_tries = 0; }},
           {"window of eager_alpn",
            [](TlsBridgeOptions& o) { o.eager_alpn.window = absl::ZeroDuration(); }},
       }) {
    TlsBridgeOptions options = Good();
    row.change(options);
    ExpectRefused(Make(std::move(options)).status(), row.name);
  }
}

TEST_F(OptionBoundsTest, LimitsOfClientsHaveBounds) {
  const auto refused = [](const ConnectionLimits& limits) {
    return ConnectionLimiter::Create(limits).status();
  };
  for (const double rate : {-1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    ConnectionLimits limits;
    limits.full_handshakes_per_second = rate;
    ExpectRefused(refused(limits), "rate of handshakes");
    limits = {};
    limits.full_handshakes_per_second_per_client = rate;
    ExpectRefused(refused(limits), "rate of handshakes");
  }
  for (const int bits : {-1, 0, 33}) {
    ConnectionLimits limits;
    limits.client_ipv4_bits = bits;
    ExpectRefused(refused(limits), "client network");
  }
  for (const int bits : {-1, 0, 129}) {
    ConnectionLimits limits;
    limits.client_ipv6_bits = bits;
    ExpectRefused(refused(limits), "client network");
  }
}

// Targets from a content reader are checked on use.
TEST_F(OptionBoundsTest, AContentTargetWithoutBackendsIsAFailureOfTheConfiguration) {
  class Nowhere final : public ContentReader {
   public:
    ContentAnswer Read(ByteView, bool) override {
      return ContentAnswer::Go(std::make_shared<const ContentTarget>());
    }
  };
  TlsBridgeOptions options = Options("internal.test");
  options.content.new_reader = [](const ConnectionReport&) { return std::make_unique<Nowhere>(); };
  bridge = *Make(std::move(options));
  Connect().Send("question");
  loop.RunReady();
  client->End();
  loop.RunFor(absl::Seconds(10));
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kConfiguration);
  EXPECT_EQ(dialer.dials(), 0u);
}

}  // namespace
}  // namespace trestle
