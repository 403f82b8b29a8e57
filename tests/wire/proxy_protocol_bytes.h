// Raw PROXY protocol headers for tests, and functions that feed them to readers in several ways.
#ifndef TRESTLE_TESTS_WIRE_PROXY_PROTOCOL_BYTES_H_
#define TRESTLE_TESTS_WIRE_PROXY_PROTOCOL_BYTES_H_

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "tests/support/hex.h"
#include "trestle/base/bytes.h"
#include "trestle/base/error.h"
#include "trestle/wire/proxy_protocol.h"

namespace trestle {

using testing::FromHex;

inline std::string Raw(std::initializer_list<int> bytes) {
  std::string raw;
  for (int byte : bytes) raw.push_back(static_cast<char>(byte));
  return raw;
}

inline std::string U16Bytes(size_t value) {
  return Raw({static_cast<int>(value >> 8 & 0xff), static_cast<int>(value & 0xff)});
}

inline std::string V2Signature() { return std::string("\r\n\r\n\0\r\nQUIT\n", 12); }

// Returns a v2 header with the length of its body. `command` is the 13th byte, `family` the 14th.
inline std::string V2(int command, int family, absl::string_view body) {
  return absl::StrCat(V2Signature(), Raw({command, family}), U16Bytes(body.size()), body);
}

inline std::string Tlv(int type, absl::string_view value) {
  return absl::StrCat(Raw({type}), U16Bytes(value.size()), value);
}

// The addresses 192.0.2.1:4660 and 192.0.2.2:443.
inline std::string Ipv4Addresses() {
  return Raw({192, 0, 2, 1, 192, 0, 2, 2, 0x12, 0x34, 0x01, 0xbb});
}

// The header of HAProxy 2.6 with: send-proxy-v2 proxy-v2-options
// ssl,cert-cn,ssl-cipher,cert-sig,cert-key,authority,crc32c,unique-id.
inline std::string HaproxyHeaderWithCertificate() {
  return FromHex(
      "0d0a0d0a000d0a515549540a2111007c7f0000017f0000019676480b03000438cdbb94010002683202000b617070"
      "2e6578616d706c65050006373334352d3020004a0700000000210007544c5376312e33220008636c692e74657374"
      "2500075253413230343824000a5253412d534841323536230016544c535f4145535f3235365f47434d5f53484133"
      "3834");
}

inline std::string HaproxyHeaderWithoutCertificate() {
  return FromHex(
      "0d0a0d0a000d0a515549540a2111006c7f0000017f000001967a480b03000419000e1102000b6170702e6578616d"
      "706c65050006373334352d3120003f0100000000210007544c5376312e332500075253413230343824000a525341"
      "2d534841323536230016544c535f4145535f3235365f47434d5f534841333834");
}

struct Outcome {
  ProxyHeaderState state;
  size_t header_bytes;
  std::string detail;
  ProxyHeader header;
};

inline Outcome OutcomeOf(const ProxyHeaderReader& reader) {
  Outcome outcome = {reader.state(), reader.header_bytes(), "", {}};
  if (reader.state() == ProxyHeaderState::kDone) outcome.header = reader.header();
  const std::optional<Error> error = GetError(reader.error());
  EXPECT_EQ(error.has_value(), reader.state() != ProxyHeaderState::kNeedMore &&
                                   reader.state() != ProxyHeaderState::kDone);
  if (!error.has_value()) return outcome;
  EXPECT_EQ(error->code, ErrorCode::kProtocol);
  EXPECT_EQ(error->leg, Leg::kFront);
  EXPECT_EQ(error->phase, Phase::kHello);
  EXPECT_FALSE(error->detail.empty());
  outcome.detail = error->detail;
  return outcome;
}

// Feeds `bytes` whole, and again byte by byte; expects equal results.
inline Outcome Judge(absl::string_view bytes, const ProxyHeaderLimits& limits = {}) {
  ProxyHeaderReader whole(limits);
  const ProxyHeaderReader::Result result = whole.Feed(AsBytes(bytes));
  EXPECT_EQ(result.state, whole.state());
  EXPECT_EQ(result.taken, whole.header_bytes());
  ProxyHeaderReader bytewise(limits);
  for (size_t i = 0; i < bytes.size(); ++i) {
    const bool wanted = bytewise.state() == ProxyHeaderState::kNeedMore;
    EXPECT_EQ(bytewise.Feed(AsBytes(bytes.substr(i, 1))).taken, wanted ? 1u : 0u);
  }
  const Outcome one = OutcomeOf(whole);
  const Outcome other = OutcomeOf(bytewise);
  EXPECT_EQ(one.state, other.state);
  EXPECT_EQ(one.header_bytes, other.header_bytes);
  EXPECT_EQ(one.detail, other.detail);
  EXPECT_TRUE(one.header == other.header);
  return one;
}

}  // namespace trestle

#endif  // TRESTLE_TESTS_WIRE_PROXY_PROTOCOL_BYTES_H_
