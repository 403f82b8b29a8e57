// RecordBoundary: where the TLS records of a stream begin.
#ifndef TRESTLE_LIB_TLS_RECORD_BOUNDARY_H_
#define TRESTLE_LIB_TLS_RECORD_BOUNDARY_H_

#include <openssl/ssl.h>

#include <algorithm>
#include <cstddef>

#include "trestle/base/bytes.h"

namespace trestle {

/// Follows a stream that is taken bit by bit.
class RecordBoundary {
 public:
  bool at_start() const { return header_bytes_ == 0 && body_left_ == 0; }

  void Take(ByteView bytes) {
    while (!bytes.empty()) {
      const size_t body = std::min(body_left_, bytes.size());
      body_left_ -= body;
      bytes.remove_prefix(body);
      if (bytes.empty()) return;
      length_ = (length_ << 8 | bytes[0]) & 0xffff;  // The header's last two bytes stay.
      bytes.remove_prefix(1);
      if (++header_bytes_ < SSL3_RT_HEADER_LENGTH) continue;
      header_bytes_ = 0;
      body_left_ = length_;
    }
  }

 private:
  size_t length_ = 0;
  size_t header_bytes_ = 0;
  size_t body_left_ = 0;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_RECORD_BOUNDARY_H_
