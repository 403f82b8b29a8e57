// Parses the line of a PROXY protocol v1 header. Private to the reader and the writer.
#ifndef TRESTLE_LIB_WIRE_PROXY_PROTOCOL_V1_H_
#define TRESTLE_LIB_WIRE_PROXY_PROTOCOL_V1_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "trestle/wire/proxy_protocol.h"

namespace trestle {
namespace wire_internal {

inline constexpr absl::string_view kProxyV1Signature = "PROXY";

// The fields of a line, in the order sent. After UNKNOWN come kIgnored and kLineFeed.
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

// Checks the last byte of `line`; earlier calls have checked the bytes before it. `field` is the
// field of that byte, and `field_begin` is the position where that field begins; the call advances
// both. Writes complete fields to `header`. Returns why the line is malformed; empty if it is not.
absl::string_view TakeLineByte(absl::string_view line, ProxyLineField& field, size_t& field_begin,
                               ProxyHeader& header);

}  // namespace wire_internal
}  // namespace trestle

#endif  // TRESTLE_LIB_WIRE_PROXY_PROTOCOL_V1_H_
