// The line of a PROXY protocol v1 header. Private to the reader and the writer.
#ifndef TRESTLE_LIB_WIRE_PROXY_PROTOCOL_V1_H_
#define TRESTLE_LIB_WIRE_PROXY_PROTOCOL_V1_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "trestle/wire/proxy_protocol.h"

namespace trestle {
namespace wire_internal {

inline constexpr absl::string_view kProxyV1Signature = "PROXY";

// The fields of a line, in the order sent. kIgnored and kLineFeed are what follows UNKNOWN.
enum class ProxyLineField : uint8_t {
  kSpace,
  kProtocol,
  kSource,
  kDestination,
  kSourcePort,
  kDestinationPort,
  kIgnored,
  kLineFeed,
  kEnd,
};

// Judges the last byte of `line`, whose bytes before were judged so. `field` is where that byte
// belongs, and `field_begin` where that field begins; both are moved on. Returns why the line is
// malformed, or nothing. What is said is written to `header`.
absl::string_view TakeLineByte(absl::string_view line, ProxyLineField& field, size_t& field_begin,
                               ProxyHeader& header);

}  // namespace wire_internal
}  // namespace trestle

#endif  // TRESTLE_LIB_WIRE_PROXY_PROTOCOL_V1_H_
