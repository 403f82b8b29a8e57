#include "trestle/wire/proxy_protocol.h"

#include <algorithm>
#include <array>
#include <tuple>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/wire/proxy_protocol_v1.h"
#include "lib/wire/proxy_protocol_v2.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

using wire_internal::kProxyTlvHeadBytes;
using wire_internal::kProxyV1Signature;
using wire_internal::kProxyV2HeadBytes;
using wire_internal::kProxyV2Signature;
using wire_internal::ProxyLineField;

constexpr char kHandshakeRecord = 22;

// Reads the last two bytes of `bytes` as a number; all lengths in a v2 header have this form.
size_t LastU16(absl::string_view bytes) {
  const size_t end = bytes.size();
  return static_cast<size_t>(static_cast<uint8_t>(bytes[end - 2]) << 8 |
                             static_cast<uint8_t>(bytes[end - 1]));
}

}  // namespace

ProxyHeader ProxyHeader::ForTcp(const Endpoint& source, const Endpoint& destination) {
  if (!source.is_ip() || !destination.is_ip()) return Local();
  ProxyHeader header;
  header.transport = ProxyTransport::kStream;
  const bool both_ipv4 =
      source.family() == Endpoint::Family::kIpv4 && destination.family() == Endpoint::Family::kIpv4;
  header.family = both_ipv4 ? ProxyFamily::kIpv4 : ProxyFamily::kIpv6;
  header.source = source;
  header.destination = destination;
  return header;
}

ProxyHeader ProxyHeader::Local() {
  ProxyHeader header;
  header.command = ProxyCommand::kLocal;
  return header;
}

bool operator==(const ProxyTlv& a, const ProxyTlv& b) {
  return a.type == b.type && a.value == b.value;
}

bool operator==(const ProxySslInfo& a, const ProxySslInfo& b) {
  const auto fields = [](const ProxySslInfo& ssl) {
    return std::tie(ssl.client, ssl.verify, ssl.version, ssl.common_name, ssl.cipher,
                    ssl.signature_algorithm, ssl.key_algorithm, ssl.unknown_tlvs);
  };
  return fields(a) == fields(b);
}

bool operator==(const ProxyHeader& a, const ProxyHeader& b) {
  const auto fields = [](const ProxyHeader& header) {
    return std::tie(header.version, header.command, header.family, header.transport, header.source,
                    header.destination, header.source_path, header.destination_path, header.alpn,
                    header.authority, header.unique_id, header.ssl, header.network_namespace,
                    header.unknown_tlvs, header.has_crc32c);
  };
  return fields(a) == fields(b);
}

absl::string_view EnumName(ProxyHeaderState state) {
  switch (state) {
    case ProxyHeaderState::kNeedMore:
      return "need_more";
    case ProxyHeaderState::kDone:
      return "done";
    case ProxyHeaderState::kNotProxyHeader:
      return "not_proxy_header";
    case ProxyHeaderState::kMalformed:
      return "malformed";
    case ProxyHeaderState::kTooLarge:
      return "too_large";
  }
  return "unknown";
}

ProxyHeaderReader::Result ProxyHeaderReader::Feed(ByteView bytes) {
  size_t taken = 0;
  while (state_ == ProxyHeaderState::kNeedMore && taken < bytes.size()) {
    const ByteView wanted = bytes.subspan(taken, step_end_ - taken_.size());
    taken_.append(AsText(wanted).data(), wanted.size());
    taken += wanted.size();
    // A TLV without a value needs no bytes, so there may be more than one step.
    while (state_ == ProxyHeaderState::kNeedMore && taken_.size() == step_end_) TakeStep();
  }
  return {state_, taken};
}

absl::Status ProxyHeaderReader::error() const {
  if (state_ == ProxyHeaderState::kNeedMore || state_ == ProxyHeaderState::kDone) {
    return absl::OkStatus();
  }
  return MakeError(ErrorCode::kProtocol, Leg::kFront, Phase::kHello, detail_);
}

void ProxyHeaderReader::TakeStep() {
  switch (step_) {
    case Step::kSignature:
      return ReadSignature();
    case Step::kLine:
      return ReadLine();
    case Step::kCommand:
      return ReadCommand();
    case Step::kFamily:
      return ReadFamily();
    case Step::kLength:
      return ReadLength();
    case Step::kIgnored:
      return Finish();
    case Step::kAddresses:
      wire_internal::ReadAddresses(AsBytes(taken_).subspan(step_begin_), header_);
      return ExpectTlvOrEnd();
    case Step::kTlvHead:
      return ReadTlvHead();
    case Step::kTlvValue:
      return ReadTlvValue();
  }
}

void ProxyHeaderReader::ReadSignature() {
  if (taken_ == kProxyV1Signature) {
    line_field_begin_ = taken_.size();
    return Expect(Step::kLine, 1);
  }
  if (taken_ == kProxyV2Signature) return Expect(Step::kCommand, 1);
  if (absl::StartsWith(kProxyV1Signature, taken_) || absl::StartsWith(kProxyV2Signature, taken_)) {
    return Expect(Step::kSignature, 1);
  }
  Refuse(ProxyHeaderState::kNotProxyHeader,
         taken_[0] == kHandshakeRecord
             ? "TLS came in place of a PROXY protocol header; does the peer send one?"
             : "the first bytes are not a PROXY protocol header");
}

void ProxyHeaderReader::ReadLine() {
  const absl::string_view reason =
      wire_internal::TakeLineByte(taken_, line_field_, line_field_begin_, header_);
  if (!reason.empty()) {
    return Refuse(ProxyHeaderState::kMalformed, absl::StrCat("PROXY v1 header: ", reason));
  }
  if (line_field_ == ProxyLineField::kEnd) {
    state_ = ProxyHeaderState::kDone;
    return;
  }
  const size_t bytes_to_come = line_field_ == ProxyLineField::kLineFeed ? 1 : 2;
  if (taken_.size() + bytes_to_come > kMaxProxyV1Bytes) {
    return Refuse(ProxyHeaderState::kTooLarge,
                  absl::StrCat("PROXY v1 header: no CRLF within ", kMaxProxyV1Bytes, " bytes"));
  }
  Expect(Step::kLine, 1);
}

void ProxyHeaderReader::ReadCommand() {
  const uint8_t byte = static_cast<uint8_t>(taken_.back());
  if (byte >> 4 != 2) {
    return Refuse(ProxyHeaderState::kMalformed,
                  absl::StrCat("PROXY v2 header: version ", byte >> 4, " in place of 2"));
  }
  if ((byte & 0xf) > 1) {
    return Refuse(ProxyHeaderState::kMalformed,
                  absl::StrCat("PROXY v2 header: unknown command ", byte & 0xf));
  }
  header_.command = (byte & 0xf) == 0 ? ProxyCommand::kLocal : ProxyCommand::kProxy;
  Expect(Step::kFamily, 1);
}

void ProxyHeaderReader::ReadFamily() {
  const uint8_t byte = static_cast<uint8_t>(taken_.back());
  if (header_.command == ProxyCommand::kProxy && !wire_internal::ReadFamilyByte(byte, header_)) {
    return Refuse(ProxyHeaderState::kMalformed,
                  absl::StrCat("PROXY v2 header: unknown family and transport 0x",
                               absl::Hex(byte, absl::kZeroPad2)));
  }
  Expect(Step::kLength, 2);
}

void ProxyHeaderReader::ReadLength() {
  const size_t length = LastU16(taken_);
  header_bytes_ = kProxyV2HeadBytes + length;
  if (header_bytes_ > limits_.v2_bytes) {
    return Refuse(ProxyHeaderState::kTooLarge,
                  absl::StrCat("PROXY v2 header: ", header_bytes_, " bytes; the limit is ",
                               limits_.v2_bytes));
  }
  constexpr size_t kFamilyAt = 13;
  if (header_.command == ProxyCommand::kLocal && taken_[kFamilyAt] != 0) {
    return Expect(Step::kIgnored, length);
  }
  const size_t address_bytes = wire_internal::AddressBytes(header_.family);
  if (length < address_bytes) {
    return Refuse(ProxyHeaderState::kMalformed,
                  absl::StrCat("PROXY v2 header: ", length, " bytes where the addresses alone are ",
                               address_bytes));
  }
  if (address_bytes == 0) return ExpectTlvOrEnd();
  Expect(Step::kAddresses, address_bytes);
}

void ProxyHeaderReader::ExpectTlvOrEnd() {
  const size_t left = header_bytes_ - taken_.size();
  if (left == 0) return Finish();
  if (left < kProxyTlvHeadBytes) {
    return RefuseTlvs(ProxyHeaderState::kMalformed, "bytes too few for a TLV at its end");
  }
  if (++tlvs_ > limits_.tlvs) return RefuseTlvCount();
  Expect(Step::kTlvHead, kProxyTlvHeadBytes);
}

void ProxyHeaderReader::ReadTlvHead() {
  const size_t length = LastU16(taken_);
  const uint8_t type = static_cast<uint8_t>(taken_[step_begin_]);
  if (length > header_bytes_ - taken_.size()) {
    return RefuseTlvs(ProxyHeaderState::kMalformed,
                      absl::StrCat("a TLV of type 0x", absl::Hex(type, absl::kZeroPad2),
                                   " that goes beyond the header"));
  }
  if (type == kProxyTlvCrc32c && crc_begin_ != 0) {
    return RefuseTlvs(ProxyHeaderState::kMalformed, "two checksums");
  }
  if (type == kProxyTlvCrc32c && length != wire_internal::kProxyCrcBytes) {
    return RefuseTlvs(ProxyHeaderState::kMalformed, "a checksum that hasn't four bytes");
  }
  Expect(Step::kTlvValue, length);
}

void ProxyHeaderReader::ReadTlvValue() {
  const uint8_t type = static_cast<uint8_t>(taken_[step_begin_ - kProxyTlvHeadBytes]);
  if (type == kProxyTlvCrc32c) {
    crc_begin_ = step_begin_;
    return ExpectTlvOrEnd();
  }
  const absl::string_view reason =
      wire_internal::ReadTlv(type, AsBytes(taken_).subspan(step_begin_), tlvs_, header_);
  if (!reason.empty()) return RefuseTlvs(ProxyHeaderState::kMalformed, reason);
  if (tlvs_ > limits_.tlvs) return RefuseTlvCount();
  ExpectTlvOrEnd();
}

void ProxyHeaderReader::Finish() {
  if (crc_begin_ != 0) {
    const absl::string_view crc =
        absl::string_view(taken_).substr(crc_begin_, wire_internal::kProxyCrcBytes);
    const uint32_t sent =
        static_cast<uint32_t>(LastU16(crc.substr(0, 2)) << 16 | LastU16(crc.substr(2)));
    if (sent != wire_internal::HeaderCrc32c(taken_, crc_begin_)) {
      return Refuse(ProxyHeaderState::kMalformed, "PROXY v2 header: the checksum is wrong");
    }
    header_.has_crc32c = true;
  }
  state_ = ProxyHeaderState::kDone;
}

void ProxyHeaderReader::Expect(Step step, size_t bytes) {
  step_ = step;
  step_begin_ = taken_.size();
  step_end_ = step_begin_ + bytes;
}

void ProxyHeaderReader::Refuse(ProxyHeaderState state, absl::string_view detail) {
  state_ = state;
  detail_ = std::string(detail);
}

void ProxyHeaderReader::RefuseTlvs(ProxyHeaderState state, absl::string_view detail) {
  if (header_.command != ProxyCommand::kLocal) {
    return Refuse(state, absl::StrCat("PROXY v2 header: ", detail));
  }
  // The contents of a LOCAL header are ignored (2.2): the connection continues without its TLVs.
  header_ = ProxyHeader::Local();
  crc_begin_ = 0;
  Expect(Step::kIgnored, header_bytes_ - taken_.size());
}

void ProxyHeaderReader::RefuseTlvCount() {
  RefuseTlvs(ProxyHeaderState::kTooLarge, absl::StrCat("more than ", limits_.tlvs, " TLVs"));
}

}  // namespace trestle
