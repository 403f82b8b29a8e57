// The record layer of TLS, as far as its records are in clear text. RecordFollower follows those of
// one direction, however they are cut. The functions make records.
#ifndef TRESTLE_LIB_WIRE_TLS_RECORDS_H_
#define TRESTLE_LIB_WIRE_TLS_RECORDS_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "trestle/base/bytes.h"

namespace trestle::wire_internal {

constexpr uint8_t kHandshakeRecord = 22;  // RFC 8446 5.1.

class RecordFollower {
 public:
  /// A part of one record: some bytes of its header, or some of its body.
  struct Part {
    ByteView bytes;
    bool is_body;
  };

  /// Takes a part from the front of `bytes`, which must not be empty.
  Part Next(ByteView bytes);

  /// Returns whether the bytes so far end with a whole record.
  bool at_boundary() const { return header_bytes_ == 0 && body_left_ == 0; }

  /// Returns the type of the record that the last part belongs to.
  uint8_t type() const { return header_[0]; }

 private:
  static constexpr size_t kHeaderBytes = 5;

  uint8_t header_[kHeaderBytes] = {};
  size_t header_bytes_ = 0;  // Of the current header; 0 once it is complete.
  size_t body_left_ = 0;
};

/// Puts a handshake message into as few records as possible.
std::string InHandshakeRecords(ByteView message, uint16_t record_version);

/// Returns a fatal alert (RFC 8446 6) in a record.
std::string FatalAlertRecord(uint8_t alert);

}  // namespace trestle::wire_internal

#endif  // TRESTLE_LIB_WIRE_TLS_RECORDS_H_
