// HelloRetryScanner: detects whether a server's first message is a HelloRetryRequest (RFC 8446
// 4.1.4).
#ifndef TRESTLE_LIB_WIRE_HELLO_RETRY_H_
#define TRESTLE_LIB_WIRE_HELLO_RETRY_H_

#include <cstddef>
#include <cstdint>

#include "lib/wire/tls_records.h"
#include "trestle/base/bytes.h"

namespace trestle::wire_internal {

class HelloRetryScanner {
 public:
  enum class Answer : uint8_t {
    kUndecided,
    kRetry,  ///< A HelloRetryRequest: the client sends a second hello.
    kOther,  ///< Anything else: the client sends no second hello.
  };

  /// Takes the server's next bytes, in pieces of any size, and returns the answer so far. An answer
  /// is final; later bytes only move `at_boundary`.
  Answer Feed(ByteView bytes);

  /// Returns whether the server's bytes so far end with a whole record.
  bool at_boundary() const { return records_.at_boundary(); }

 private:
  void Judge(ByteView fragment);

  RecordFollower records_;
  Answer answer_ = Answer::kUndecided;
  size_t judged_ = 0;  // Bytes of the message that match a HelloRetryRequest.
};

}  // namespace trestle::wire_internal

#endif  // TRESTLE_LIB_WIRE_HELLO_RETRY_H_
