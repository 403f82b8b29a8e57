// Parses the fields of a ClientHello message. Private to the reader and ParseClientHello.
#ifndef TRESTLE_LIB_WIRE_HELLO_PARSER_H_
#define TRESTLE_LIB_WIRE_HELLO_PARSER_H_

#include <cstdint>
#include <string>

#include "trestle/base/bytes.h"
#include "trestle/wire/client_hello.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace wire_internal {

// Alerts that an RFC requires instead of decode_error (RFC 8446 6.2).
constexpr uint8_t kAlertUnexpectedMessage = 10;
constexpr uint8_t kAlertRecordOverflow = 22;
constexpr uint8_t kAlertIllegalParameter = 47;

// The reason for rejecting a hello.
struct HelloFault {
  std::string detail;
  uint8_t alert = 0;  // The alert that an RFC requires instead of decode_error; 0 if none does.
};

// Parses `message`, a whole ClientHello with its 4-byte header, which the caller has checked.
// Returns false with the reason in `fault` if it isn't a valid hello; `hello` is then unspecified.
bool ParseHello(ByteView message, const ServerNameRules& rules, ClientHello& hello,
                HelloFault& fault);

}  // namespace wire_internal
}  // namespace trestle

#endif  // TRESTLE_LIB_WIRE_HELLO_PARSER_H_
