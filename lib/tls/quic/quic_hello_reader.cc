#include "trestle/tls/quic_hello_reader.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lib/tls/quic/quic_initial_keys.h"
#include "lib/wire/quic_hello_assembler.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

constexpr size_t kMaxAttempts = 2;      // The first one, and the one after a Retry.
constexpr size_t kMinFirstIdBytes = 8;  // RFC 9000 7.2.

// A server may choose a shorter ID, which comes back with the token of its Retry.
bool MayBeFirstId(const QuicPacket& packet) {
  return packet.destination_id.size() >= kMinFirstIdBytes || !packet.token.empty();
}

}  // namespace

// The packets whose keys come from one connection ID.
struct QuicHelloReader::Attempt {
  Attempt(const QuicPacket& first, const QuicHelloLimits& limits)
      : version(first.version),
        opener(DeriveQuicInitialKeys(version, first.destination_id, QuicSender::kClient)),
        assembler(limits) {}

  const uint32_t version;
  QuicInitialOpener opener;
  wire_internal::QuicHelloAssembler assembler;
};

QuicHelloReader::QuicHelloReader(const QuicHelloLimits& limits) : limits_(limits) {}
QuicHelloReader::~QuicHelloReader() = default;

const ClientHello& QuicHelloReader::hello() const { return done_->assembler.hello(); }

QuicHelloState QuicHelloReader::Feed(ByteView datagram, MonotonicTime now) {
  if (state_ != QuicHelloState::kNeedMore) return state_;
  if (!Keep(datagram, now)) return state_;
  if (!attempts_.empty() || BeginsFlow(datagram)) ReadPackets(datagram);
  return state_;
}

ByteView QuicHelloReader::datagram(size_t i) const {
  const size_t begin = i == 0 ? 0 : ends_[i - 1];
  return AsBytes(kept_).subspan(begin, ends_[i] - begin);
}

absl::Status QuicHelloReader::error() const {
  const auto not_initial = [](absl::string_view detail) {
    return MakeError(ErrorCode::kNotTls, Leg::kFront, Phase::kHello, std::string(detail));
  };
  switch (state_) {
    case QuicHelloState::kNeedMore:
    case QuicHelloState::kDone:
      return absl::OkStatus();
    case QuicHelloState::kNotInitial:
      return not_initial("QUIC: no Initial packet in the first datagram");
    case QuicHelloState::kVersionNegotiation:
      return not_initial("QUIC: a Version Negotiation packet, which only servers send");
    case QuicHelloState::kUnknownVersion:
      return not_initial(
          absl::StrCat("QUIC: an unknown version, 0x", absl::Hex(version_, absl::kZeroPad8)));
    case QuicHelloState::kRefused:
      return QuicHelloFaultError(fault_, reason_);
  }
  return absl::OkStatus();
}

bool QuicHelloReader::Keep(ByteView datagram, MonotonicTime now) {
  if (ends_.empty()) deadline_ = now + limits_.time;
  if (now > deadline_) {
    Refuse(QuicHelloFault::kTimeout);
  } else if (ends_.size() == limits_.datagrams) {
    Refuse(QuicHelloFault::kTooManyDatagrams);
  } else if (datagram.size() > limits_.bytes - kept_.size()) {
    Refuse(QuicHelloFault::kTooManyBytes);
  } else {
    kept_.append(AsText(datagram).data(), datagram.size());
    ends_.push_back(kept_.size());
  }
  return state_ == QuicHelloState::kNeedMore;
}

// Judges a datagram that comes before any decrypted Initial by its first packet.
bool QuicHelloReader::BeginsFlow(ByteView datagram) {
  QuicPacket packet;
  if (datagram.empty()) {
    state_ = QuicHelloState::kNotInitial;
  } else if (!ReadQuicPacket(datagram, packet)) {
    Refuse(QuicHelloFault::kMalformedPacket);
  } else if (packet.type == QuicPacketType::kVersionNegotiation) {
    state_ = QuicHelloState::kVersionNegotiation;
  } else if (packet.type == QuicPacketType::kUnknownVersion) {
    state_ = QuicHelloState::kUnknownVersion;
    version_ = packet.version;
  } else if (packet.type != QuicPacketType::kInitial && packet.type != QuicPacketType::kZeroRtt) {
    state_ = QuicHelloState::kNotInitial;
  }
  return state_ == QuicHelloState::kNeedMore;
}

void QuicHelloReader::ReadPackets(ByteView datagram) {
  const bool small = datagram.size() < kQuicMinInitialDatagramBytes;
  std::optional<ByteView> first_id;
  bool may_derive = true;
  QuicPacket packet;
  while (state_ == QuicHelloState::kNeedMore && ReadQuicPacket(datagram, packet)) {
    // All packets of a datagram have one destination (RFC 9000 12.2).
    if (!first_id) first_id = packet.destination_id;
    if (packet.type == QuicPacketType::kInitial && packet.destination_id == *first_id) {
      if (small) {
        RefuseUnlessBegun(QuicHelloFault::kSmallDatagram);
      } else {
        ReadInitial(packet, may_derive);
        may_derive = false;
      }
    }
    datagram.remove_prefix(packet.bytes.size());
  }
}

void QuicHelloReader::ReadInitial(const QuicPacket& packet, bool may_derive) {
  std::optional<OpenedQuicInitial> opened;
  Attempt* attempt = nullptr;
  for (const std::unique_ptr<Attempt>& known : attempts_) {
    if (!opened && known->version == packet.version) {
      attempt = known.get();
      opened = attempt->opener.Open(packet);
    }
  }
  // Keys are derived at most once per datagram, because that costs more than all other steps.
  if (!opened && may_derive && attempts_.size() < kMaxAttempts) {
    if (!MayBeFirstId(packet)) return RefuseUnlessBegun(QuicHelloFault::kShortConnectionId);
    auto fresh = std::make_unique<Attempt>(packet, limits_);
    attempt = fresh.get();
    opened = attempt->opener.Open(packet);
    if (opened) attempts_.push_back(std::move(fresh));
  }
  if (!opened) return RefuseUnlessBegun(QuicHelloFault::kNotDecrypted);
  TakeOpened(*attempt, *opened);
}

void QuicHelloReader::TakeOpened(Attempt& attempt, const OpenedQuicInitial& opened) {
  if (!opened.reserved_bits_zero) return Refuse(QuicHelloFault::kReservedBits);
  const std::optional<QuicHelloFault> fault = attempt.assembler.TakePacket(AsBytes(opened.payload));
  if (fault) return Refuse(*fault, attempt.assembler.reason());
  if (!attempt.assembler.done()) return;
  state_ = QuicHelloState::kDone;
  version_ = attempt.version;
  done_ = &attempt;
}

void QuicHelloReader::RefuseUnlessBegun(QuicHelloFault fault) {
  if (attempts_.empty()) Refuse(fault);
}

void QuicHelloReader::Refuse(QuicHelloFault fault, absl::string_view reason) {
  state_ = QuicHelloState::kRefused;
  fault_ = fault;
  reason_ = std::string(reason);
}

}  // namespace trestle
