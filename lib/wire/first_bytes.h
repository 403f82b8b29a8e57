// First bytes: distinguishes TLS from other protocols that arrive on a TLS port.
#ifndef TRESTLE_LIB_WIRE_FIRST_BYTES_H_
#define TRESTLE_LIB_WIRE_FIRST_BYTES_H_

#include "absl/strings/string_view.h"
#include "trestle/base/bytes.h"
#include "trestle/wire/client_hello.h"

namespace trestle {
namespace wire_internal {

struct FirstBytesVerdict {
  bool decided = false;
  HelloState state = HelloState::kNeedMore;  // kNeedMore with `decided`: TLS, go on.
  absl::string_view detail;                  // A literal.
};

// Returns whether a connection that begins with `prefix` is an HTTP/1.x request without TLS.
bool IsPlainHttpRequest(ByteView prefix);

// Returns the whole answer to such a request: status 400, and a line of readable text. The
// connection ends after it.
absl::string_view PlainHttpAnswer();

// Identifies the protocol from the first bytes of a connection. Later bytes never change a decided
// verdict, so `prefix` may have any length.
FirstBytesVerdict JudgeFirstBytes(ByteView prefix);

}  // namespace wire_internal
}  // namespace trestle

#endif  // TRESTLE_LIB_WIRE_FIRST_BYTES_H_
