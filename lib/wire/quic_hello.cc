#include "trestle/wire/quic_hello.h"

#include "absl/strings/str_cat.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

struct FaultRow {
  absl::string_view name;
  ErrorCode code;
  absl::string_view detail;
};

FaultRow RowOf(QuicHelloFault fault) {
  constexpr ErrorCode kProtocol = ErrorCode::kProtocol;
  constexpr ErrorCode kTooLarge = ErrorCode::kHelloTooLarge;
  switch (fault) {
    case QuicHelloFault::kMalformedPacket:
      return {"malformed_packet", kProtocol, "a malformed packet header"};
    case QuicHelloFault::kSmallDatagram:
      return {"small_datagram", kProtocol, "an Initial in a datagram of less than 1200 bytes"};
    case QuicHelloFault::kShortConnectionId:
      return {"short_connection_id", kProtocol, "a first connection ID of less than 8 bytes"};
    case QuicHelloFault::kNotDecrypted:
      return {"not_decrypted", kProtocol, "an Initial that its keys don't decrypt"};
    case QuicHelloFault::kReservedBits:
      return {"reserved_bits", kProtocol, "reserved bits that are not zero"};
    case QuicHelloFault::kNoFrames:
      return {"no_frames", kProtocol, "an Initial without frames"};
    case QuicHelloFault::kMalformedFrame:
      return {"malformed_frame", kProtocol, "a malformed frame"};
    case QuicHelloFault::kForbiddenFrame:
      return {"forbidden_frame", kProtocol, "a frame that an Initial can't have"};
    case QuicHelloFault::kClosed:
      return {"closed", ErrorCode::kTruncated, "the client closed amid its hello"};
    case QuicHelloFault::kContradiction:
      return {"contradiction", kProtocol, "CRYPTO frames that contradict each other"};
    case QuicHelloFault::kNotClientHello:
      return {"not_client_hello", ErrorCode::kMalformedHello,
              "another handshake message in place of the ClientHello"};
    case QuicHelloFault::kBeyondHello:
      return {"beyond_hello", ErrorCode::kMalformedHello,
              "CRYPTO frames that continue after the ClientHello"};
    case QuicHelloFault::kMalformedHello:
      return {"malformed_hello", ErrorCode::kMalformedHello, "a malformed ClientHello"};
    case QuicHelloFault::kHelloTooLarge:
      return {"hello_too_large", kTooLarge, "a ClientHello over the limit of bytes"};
    case QuicHelloFault::kTooManyGaps:
      return {"too_many_gaps", kTooLarge, "a ClientHello with too many gaps at one time"};
    case QuicHelloFault::kTooManyDatagrams:
      return {"too_many_datagrams", kTooLarge, "a ClientHello spread over too many datagrams"};
    case QuicHelloFault::kTooManyBytes:
      return {"too_many_bytes", kTooLarge, "too many bytes in datagrams before the hello's end"};
    case QuicHelloFault::kTimeout:
      return {"timeout", ErrorCode::kTimeout, "the ClientHello took too long"};
  }
  return {"unknown", ErrorCode::kInternal, "an unknown fault"};
}

}  // namespace

absl::string_view EnumName(QuicHelloState state) {
  switch (state) {
    case QuicHelloState::kNeedMore:
      return "need_more";
    case QuicHelloState::kDone:
      return "done";
    case QuicHelloState::kNotInitial:
      return "not_initial";
    case QuicHelloState::kVersionNegotiation:
      return "version_negotiation";
    case QuicHelloState::kUnknownVersion:
      return "unknown_version";
    case QuicHelloState::kRefused:
      return "refused";
  }
  return "unknown";
}

absl::string_view EnumName(QuicHelloFault fault) { return RowOf(fault).name; }

absl::Status QuicHelloFaultError(QuicHelloFault fault, absl::string_view reason) {
  const FaultRow row = RowOf(fault);
  return MakeError(row.code, Leg::kFront, Phase::kHello,
                   absl::StrCat("QUIC: ", row.detail, reason.empty() ? "" : ": ", reason));
}

}  // namespace trestle
