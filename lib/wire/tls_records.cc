#include "lib/wire/tls_records.h"

#include <algorithm>
#include <cstring>

namespace trestle::wire_internal {
namespace {

constexpr size_t kMaxRecordBytes = 16384;  // RFC 8446 5.1.

}  // namespace

RecordFollower::Part RecordFollower::Next(ByteView bytes) {
  if (body_left_ > 0) {
    const ByteView body = bytes.subspan(0, body_left_);
    body_left_ -= body.size();
    return {body, true};
  }
  const ByteView header = bytes.subspan(0, kHeaderBytes - header_bytes_);
  std::memcpy(header_ + header_bytes_, header.data(), header.size());
  header_bytes_ += header.size();
  if (header_bytes_ == kHeaderBytes) {
    header_bytes_ = 0;
    body_left_ = static_cast<size_t>(header_[3] << 8 | header_[4]);
  }
  return {header, false};
}

std::string InHandshakeRecords(ByteView message, uint16_t record_version) {
  std::string records;
  for (size_t at = 0; at < message.size(); at += kMaxRecordBytes) {
    const ByteView fragment = message.subspan(at, kMaxRecordBytes);
    const size_t size = fragment.size();
    records +=
        {static_cast<char>(kHandshakeRecord), static_cast<char>(record_version >> 8),
         static_cast<char>(record_version), static_cast<char>(size >> 8), static_cast<char>(size)};
    records.append(AsText(fragment).data(), size);
  }
  return records;
}

std::string FatalAlertRecord(uint8_t alert) {
  return {0x15, 0x03, 0x03, 0x00, 0x02, 0x02, static_cast<char>(alert)};
}

}  // namespace trestle::wire_internal
