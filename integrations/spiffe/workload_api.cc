#include "integrations/spiffe/workload_api.h"

#include <string.h>

#include <cstdint>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

absl::Status NoMessage(absl::string_view why) {
  return MakeError(ErrorCode::kProtocol, Phase::kSetUp,
                   absl::StrCat("the message is no X509SVIDResponse: ", why));
}

absl::Status TooMany(absl::string_view what, size_t most) {
  return MakeError(ErrorCode::kOverLimit, Phase::kSetUp,
                   absl::StrCat("the message has more than ", most, " ", what));
}

// Reads the fields of one message of protocol buffers, in their order.
class FieldReader {
 public:
  explicit FieldReader(ByteView message) : rest_(message) {}

  // Returns false at the end, and at a fault.
  bool Next() {
    if (rest_.empty() || faulty_) return false;
    const std::optional<uint64_t> tag = ReadVarint();
    if (!tag.has_value() || *tag >> 3 == 0 || *tag >> 32 != 0) return Fault();
    number_ = static_cast<uint32_t>(*tag >> 3);
    return ReadValue(static_cast<unsigned>(*tag & 7));
  }

  uint32_t number() const { return number_; }
  // The value of a field with a length; empty for other kinds.
  ByteView bytes() const { return bytes_; }
  std::string text() const { return std::string(AsText(bytes_)); }
  bool faulty() const { return faulty_; }

 private:
  enum WireType : unsigned { kVarint = 0, kFixed64 = 1, kLength = 2, kFixed32 = 5 };

  bool Fault() {
    faulty_ = true;
    return false;
  }

  bool ReadValue(unsigned type) {
    bytes_ = {};
    switch (type) {
      case kVarint:
        return ReadVarint().has_value() || Fault();
      case kFixed64:
        return Take(8).has_value() || Fault();
      case kFixed32:
        return Take(4).has_value() || Fault();
      case kLength: {
        const std::optional<uint64_t> length = ReadVarint();
        if (!length.has_value()) return Fault();
        const std::optional<ByteView> taken = Take(*length);
        if (!taken.has_value()) return Fault();
        bytes_ = *taken;
        return true;
      }
      default:
        return Fault();
    }
  }

  std::optional<ByteView> Take(uint64_t size) {
    if (size > rest_.size()) return std::nullopt;
    const ByteView taken = rest_.subspan(0, static_cast<size_t>(size));
    rest_ = rest_.subspan(static_cast<size_t>(size));
    return taken;
  }

  std::optional<uint64_t> ReadVarint() {
    constexpr int kMaxBytes = 10;
    uint64_t value = 0;
    for (int i = 0; i < kMaxBytes && !rest_.empty(); ++i) {
      const uint8_t byte = rest_.front();
      rest_ = rest_.subspan(1);
      value |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
      if ((byte & 0x80) == 0) return value;
    }
    return std::nullopt;
  }

  ByteView rest_;
  uint32_t number_ = 0;
  ByteView bytes_;
  bool faulty_ = false;
};

// X509SVID.
absl::StatusOr<WorkloadSvid> DecodeSvid(ByteView message) {
  WorkloadSvid svid;
  FieldReader reader(message);
  while (reader.Next()) {
    switch (reader.number()) {
      case 1:
        svid.spiffe_id = reader.text();
        break;
      case 2:
        svid.chain_der = reader.text();
        break;
      case 3:
        svid.key_der = reader.text();
        break;
      case 4:
        svid.bundle_der = reader.text();
        break;
      case 5:
        svid.hint = reader.text();
        break;
      default:
        break;
    }
  }
  if (reader.faulty()) return NoMessage("an SVID is cut or malformed");
  return svid;
}

// An entry of a map<string, bytes>.
absl::StatusOr<std::pair<std::string, std::string>> DecodeEntry(ByteView message) {
  std::pair<std::string, std::string> entry;
  FieldReader reader(message);
  while (reader.Next()) {
    if (reader.number() == 1) entry.first = reader.text();
    if (reader.number() == 2) entry.second = reader.text();
  }
  if (reader.faulty()) return NoMessage("a bundle is cut or malformed");
  return entry;
}

}  // namespace

WorkloadUpdate::~WorkloadUpdate() {
  for (WorkloadSvid& svid : svids) explicit_bzero(svid.key_der.data(), svid.key_der.size());
}

absl::StatusOr<WorkloadUpdate> DecodeWorkloadUpdate(ByteView message) {
  constexpr uint32_t kSvids = 1;
  constexpr uint32_t kFederatedBundles = 3;
  WorkloadUpdate update;
  FieldReader reader(message);
  while (reader.Next()) {
    if (reader.number() == kSvids) {
      if (update.svids.size() == WorkloadUpdate::kMaxSvids) {
        return TooMany("SVIDs", WorkloadUpdate::kMaxSvids);
      }
      absl::StatusOr<WorkloadSvid> svid = DecodeSvid(reader.bytes());
      if (!svid.ok()) return svid.status();
      update.svids.push_back(*std::move(svid));
    } else if (reader.number() == kFederatedBundles) {
      if (update.federated_bundles.size() == WorkloadUpdate::kMaxFederated) {
        return TooMany("bundles", WorkloadUpdate::kMaxFederated);
      }
      auto entry = DecodeEntry(reader.bytes());
      if (!entry.ok()) return entry.status();
      update.federated_bundles.push_back(*std::move(entry));
    }
  }
  if (reader.faulty()) return NoMessage("it is cut or malformed");
  return update;
}

}  // namespace trestle
