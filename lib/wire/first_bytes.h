// First bytes: tells TLS from the other protocols that arrive on a TLS port.
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
  absl::string_view detail;                  // Lives forever.
};

// Tells whether a connection that begins with `prefix` is an HTTP/1.x request without TLS.
bool IsPlainHttpRequest(ByteView prefix);

// The whole answer to one: status 400, and a line for people. The connection ends after it.
absl::string_view PlainHttpAnswer();

// Judges the first bytes of a connection. The verdict for a prefix never changes with what follows
// it, so it doesn't matter how much has arrived when it is asked for.
FirstBytesVerdict JudgeFirstBytes(ByteView prefix);

}  // namespace wire_internal
}  // namespace trestle

#endif  // TRESTLE_LIB_WIRE_FIRST_BYTES_H_
