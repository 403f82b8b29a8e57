// Reads the parts of a PROXY protocol v2 header. Private to the reader and the writer.
#ifndef TRESTLE_LIB_WIRE_PROXY_PROTOCOL_V2_H_
#define TRESTLE_LIB_WIRE_PROXY_PROTOCOL_V2_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "trestle/base/bytes.h"
#include "trestle/wire/proxy_protocol.h"

namespace trestle {
namespace wire_internal {

inline constexpr absl::string_view kProxyV2Signature("\r\n\r\n\0\r\nQUIT\n", 12);
inline constexpr size_t kProxyV2HeadBytes = 16;
inline constexpr size_t kProxyTlvHeadBytes = 3;
inline constexpr size_t kProxyCrcBytes = 4;

// Reads the 14th byte of a header; returns false if it isn't one of the seven that 2.2 lists.
bool ReadFamilyByte(uint8_t byte, ProxyHeader& header);

// Sets `byte` to the 14th byte for `header`; returns false if its family and transport don't match.
bool FamilyByte(const ProxyHeader& header, uint8_t& byte);

// Returns the size of a family's addresses in bytes, ports included.
size_t AddressBytes(ProxyFamily family);

// Reads `AddressBytes` bytes of addresses.
void ReadAddresses(ByteView bytes, ProxyHeader& header);

// Reads a TLV that isn't a checksum, and adds the number of its sub-TLVs to `tlvs`. Returns why it
// is malformed; empty if it is not.
absl::string_view ReadTlv(uint8_t type, ByteView value, size_t& tlvs, ProxyHeader& header);

// Returns whether the specification defines a TLV or sub-TLV type.
bool IsRegisteredTlv(uint8_t type);
bool IsRegisteredSslSubTlv(uint8_t type);

// Returns the checksum of a whole header, as if the four bytes from `crc_begin` were zero (2.2.3).
uint32_t HeaderCrc32c(absl::string_view header, size_t crc_begin);

}  // namespace wire_internal
}  // namespace trestle

#endif  // TRESTLE_LIB_WIRE_PROXY_PROTOCOL_V2_H_
