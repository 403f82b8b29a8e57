// RecordBoundary: finds where TLS records begin in a stream.
#ifndef TRESTLE_LIB_TLS_ENGINE_RECORD_BOUNDARY_H_
#define TRESTLE_LIB_TLS_ENGINE_RECORD_BOUNDARY_H_

#include <openssl/ssl.h>

#include <algorithm>
#include <cstddef>

#include "trestle/base/bytes.h"

namespace trestle {

/// Follows a stream that arrives in pieces.
class RecordBoundary {
 public:
  bool at_start() const { return header_bytes_ == 0 && body_left_ == 0; }

  void Take(ByteView bytes) {
    while (!bytes.empty()) {
      const size_t body = std::min(body_left_, bytes.size());
      body_left_ -= body;
      bytes.remove_prefix(body);
      if (bytes.empty()) return;
      length_ = (length_ << 8 | bytes[0]) & 0xffff;  // Ends as the header's last two bytes.
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

#endif  // TRESTLE_LIB_TLS_ENGINE_RECORD_BOUNDARY_H_
