// The first byte selects how the rest is split into segments. Every split gives the same verdict at
// the same byte. A parsed header can be written, and parses to the same header again.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "tests/fuzz/fuzz_input.h"
#include "trestle/base/bytes.h"
#include "trestle/wire/proxy_protocol.h"

namespace trestle {
namespace {

// Feeds segments of 1 to `longest` bytes; returns the number of consumed bytes.
size_t FeedCut(ByteView wire, size_t longest, ProxyHeaderReader& reader) {
  size_t taken = 0;
  size_t fed = 0;
  for (size_t size = 1; fed < wire.size(); ++size) {
    const ByteView segment = wire.subspan(fed, size * 7 % longest + 1);
    taken += reader.Feed(segment).taken;
    fed += segment.size();
  }
  return taken;
}

void RequireSame(const ProxyHeaderReader& a, const ProxyHeaderReader& b) {
  Require(a.state() == b.state(), "cuts don't change the state");
  Require(a.error() == b.error(), "cuts don't change the error");
  Require(a.header_bytes() == b.header_bytes(), "cuts don't change where the verdict falls");
  if (a.state() == ProxyHeaderState::kDone) {
    Require(a.header() == b.header(), "cuts don't change the header");
  }
}

ProxyHeader ReadWhole(const std::string& wire) {
  ProxyHeaderReader reader;
  Require(reader.Feed(AsBytes(wire)).taken == wire.size(), "all that was written is read");
  Require(reader.state() == ProxyHeaderState::kDone, "what was written is complete");
  return reader.TakeHeader();
}

void RequireRoundTrip(ProxyHeader header) {
  if (header.ssl.has_value() && (header.ssl->client & 6) == 0) header.ssl->verify = 1;
  const absl::StatusOr<std::string> v1 = WriteProxyHeaderV1(header);
  Require(v1.ok(), "v1 can be written");
  const ProxyHeader from_v1 = ReadWhole(*v1);
  if (from_v1.family != ProxyFamily::kUnspecified) {
    Require(from_v1.source == header.source, "v1 keeps the source");
    Require(from_v1.destination == header.destination, "v1 keeps the destination");
  }
  if (header.version == 1) Require(from_v1 == header, "v1 to v1 keeps all");
  const absl::StatusOr<std::string> v2 = WriteProxyHeaderV2(header, {header.has_crc32c});
  Require(v2.ok(), "v2 can be written");
  header.version = 2;
  Require(ReadWhole(*v2) == header, "v2 keeps all");
}

}  // namespace
}  // namespace trestle

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using trestle::Require;
  if (size == 0) return 0;
  const trestle::ByteView wire(data + 1, size - 1);
  trestle::ProxyHeaderReader whole;
  const size_t taken = whole.Feed(wire).taken;
  Require(taken == whole.header_bytes(), "what was taken is counted");
  const bool needs_more = whole.state() == trestle::ProxyHeaderState::kNeedMore;
  Require(!needs_more || taken == wire.size(), "all is taken while more is needed");
  Require(taken <= trestle::ProxyHeaderLimits().v2_bytes, "the limit holds");
  for (size_t longest : {size_t{1}, size_t{data[0]} + 1}) {
    trestle::ProxyHeaderReader cut;
    Require(trestle::FeedCut(wire, longest, cut) == taken, "cuts don't change what is taken");
    trestle::RequireSame(whole, cut);
  }
  if (whole.state() == trestle::ProxyHeaderState::kDone) trestle::RequireRoundTrip(whole.header());
  return 0;
}
