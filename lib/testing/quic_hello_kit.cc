#include "trestle/testing/quic_hello_kit.h"

#include <openssl/aead.h>
#include <openssl/aes.h>

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/tls/quic/quic_initial_keys.h"
#include "trestle/base/bytes.h"

namespace trestle::testing {
namespace {

constexpr uint16_t kTls13 = 0x0304;
constexpr uint16_t kX25519 = 0x001d;
constexpr uint16_t kP256 = 0x0017;
constexpr uint16_t kX25519MlKem768 = 0x11ec;
constexpr uint16_t kExtensionTransportParameters = 57;
constexpr size_t kTagBytes = 16;
// CRYPTO frames of this size leave room for every header in a datagram of 1200 bytes.
constexpr size_t kMaxFramesBytes = 1000;

// The made-up IDs in a client's transport parameters need not be those of its packets.
constexpr char kTransportParameters[] =
    "\x01\x04\x80\x00\x75\x30"  // max_idle_timeout
    "\x04\x04\x80\x10\x00\x00"  // initial_max_data
    "\x05\x04\x80\x08\x00\x00"  // initial_max_stream_data_bidi_local
    "\x08\x02\x40\x64"          // initial_max_streams_bidi
    "\x0f\x06"                  // initial_source_connection_id
    "client";

void PutU8(std::string& out, size_t value) { out.push_back(static_cast<char>(value)); }

void PutBigEndian(std::string& out, uint64_t value, size_t bytes) {
  for (size_t i = bytes; i > 0; --i) PutU8(out, value >> (8 * (i - 1)) & 0xff);
}

// Two bits choose the type; version 2 has other numbers (RFC 9369 3.2).
size_t TypeBits(QuicPacketType type, uint32_t version) {
  const size_t bits = type == QuicPacketType::kInitial     ? 0
                      : type == QuicPacketType::kZeroRtt   ? 1
                      : type == QuicPacketType::kHandshake ? 2
                                                           : 3;
  return version == kQuicV2 ? (bits + 1) & 3 : bits;
}

// The first byte, the version and the IDs.
std::string LongHeader(size_t first_byte, uint32_t version, const QuicInitialHeader& header) {
  std::string out;
  PutU8(out, first_byte);
  PutBigEndian(out, version, 4);
  PutU8(out, header.destination_id.size());
  absl::StrAppend(&out, header.destination_id);
  PutU8(out, header.source_id.size());
  absl::StrAppend(&out, header.source_id);
  return out;
}

std::string Seal(ByteView key, ByteView nonce, absl::string_view plain, absl::string_view header) {
  bssl::ScopedEVP_AEAD_CTX aead;
  EVP_AEAD_CTX_init(aead.get(), EVP_aead_aes_128_gcm(), key.data(), key.size(),
                    EVP_AEAD_DEFAULT_TAG_LENGTH, nullptr);
  std::string sealed(plain.size() + kTagBytes, '\0');
  size_t bytes = 0;
  EVP_AEAD_CTX_seal(aead.get(), reinterpret_cast<uint8_t*>(&sealed[0]), &bytes, sealed.size(),
                    nonce.data(), nonce.size(), AsBytes(plain).data(), plain.size(),
                    AsBytes(header).data(), header.size());
  return sealed;
}

// Takes two bytes for small lengths too, as most clients do.
std::string Length(size_t bytes) {
  if (bytes >= 0x4000) return QuicVarint(bytes);
  std::string out;
  PutBigEndian(out, 0x4000 | bytes, 2);
  return out;
}

struct Piece {
  size_t begin;
  size_t end;
};

// Spreads a hello over frames, packets and datagrams.
class FlightBuilder {
 public:
  FlightBuilder(absl::string_view message, QuicInitialHeader header)
      : message_(message), header_(std::move(header)) {}

  // Adds frames to the current packet; ends its datagram first if they don't fit.
  void AddFrames(absl::string_view frames) {
    if (frames_.size() + datagram_.size() + frames.size() > kMaxFramesBytes) EndDatagram();
    absl::StrAppend(&frames_, frames);
  }
  void AddCrypto(Piece piece) {
    for (size_t at = piece.begin; at < piece.end; at += kMaxFramesBytes / 2) {
      const size_t bytes = std::min(piece.end - at, kMaxFramesBytes / 2);
      AddFrames(QuicCryptoFrame(at, message_.substr(at, bytes)));
    }
  }
  // Ends the packet; the next one is in the same datagram.
  void EndPacket() {
    if (frames_.empty()) return;
    if (frames_.size() < 4) frames_.resize(4);  // PADDING
    absl::StrAppend(&datagram_, QuicInitial(header_, frames_));
    ++header_.packet_number;
    frames_.clear();
  }
  void EndDatagram() {
    if (datagram_.size() + frames_.size() == 0) return;
    const size_t missing =
        kQuicMinInitialDatagramBytes - std::min(kQuicMinInitialDatagramBytes, datagram_.size());
    if (frames_.empty()) frames_.push_back('\0');
    absl::StrAppend(&datagram_, QuicInitialDatagram(header_, frames_, missing));
    ++header_.packet_number;
    frames_.clear();
    datagrams_.push_back(std::move(datagram_));
    datagram_.clear();
  }
  QuicFlight Take(std::string label) {
    EndDatagram();
    return {std::move(label), std::move(datagrams_)};
  }

 private:
  const absl::string_view message_;
  QuicInitialHeader header_;
  std::string frames_;
  std::string datagram_;
  std::vector<std::string> datagrams_;
};

class PlanRunner {
 public:
  PlanRunner(absl::string_view message, const QuicFlightPlan& plan,
             absl::FunctionRef<void(const QuicFlight&)> visit)
      : message_(message), plan_(plan), visit_(visit) {}

  size_t Run() {
    FlightBuilder whole = NewBuilder();
    whole.AddCrypto({0, message_.size()});
    Visit(whole.Take("whole"));
    if (plan_.every_cut) CutEverywhere("frames", [](FlightBuilder&) {});
    if (plan_.every_packet_cut) {
      CutEverywhere("packets", [](FlightBuilder& flight) { flight.EndPacket(); });
    }
    if (plan_.every_datagram_cut) {
      CutEverywhere("datagrams", [](FlightBuilder& flight) { flight.EndDatagram(); });
    }
    if (plan_.every_order) EveryOrder();
    if (plan_.one_byte_frames) OneByteFrames();
    for (size_t i = 0; i < plan_.shuffled; ++i) {
      Visit(ShuffledQuicFlight(message_, plan_.header, plan_.seed + i));
    }
    return visits_;
  }

 private:
  FlightBuilder NewBuilder() const { return FlightBuilder(message_, plan_.header); }
  void Visit(const QuicFlight& flight) {
    ++visits_;
    visit_(flight);
  }

  void CutEverywhere(absl::string_view into, absl::FunctionRef<void(FlightBuilder&)> between) {
    for (size_t at = 1; at < message_.size(); ++at) {
      for (const bool swapped : {false, true}) {
        Piece pieces[] = {{0, at}, {at, message_.size()}};
        if (swapped) std::swap(pieces[0], pieces[1]);
        FlightBuilder flight = NewBuilder();
        flight.AddCrypto(pieces[0]);
        between(flight);
        flight.AddCrypto(pieces[1]);
        Visit(flight.Take(absl::StrCat(into, " cut at ", at, swapped ? ", second first" : "")));
      }
    }
  }

  void EveryOrder() {
    std::vector<size_t> order = {0, 1, 2, 3};
    do {
      FlightBuilder flight = NewBuilder();
      for (size_t part : order) {
        flight.AddCrypto({message_.size() * part / 4, message_.size() * (part + 1) / 4});
        flight.EndDatagram();
      }
      Visit(flight.Take(
          absl::StrCat("quarters in the order ", order[0], order[1], order[2], order[3])));
    } while (std::next_permutation(order.begin(), order.end()));
  }

  void OneByteFrames() {
    FlightBuilder flight = NewBuilder();
    for (size_t at = 0; at < message_.size(); ++at) flight.AddCrypto({at, at + 1});
    Visit(flight.Take("frames of 1 byte"));
  }

  const absl::string_view message_;
  const QuicFlightPlan& plan_;
  const absl::FunctionRef<void(const QuicFlight&)> visit_;
  size_t visits_ = 0;
};

}  // namespace

HelloBuilder QuicHello(absl::string_view server_name) {
  HelloBuilder hello;
  hello.SetSessionId("").SetCipherSuites({0x1301, 0x1302, 0x1303}).SetServerName(server_name);
  hello.SetGroups({kX25519, kP256}).SetSignatureAlgorithms({0x0403, 0x0804, 0x0401});
  hello.SetAlpn({"h3"}).SetVersions({kTls13}).SetKeyShares({kX25519});
  hello.Add(kExtensionTransportParameters,
            absl::string_view(kTransportParameters, sizeof(kTransportParameters) - 1));
  return hello;
}

HelloBuilder QuicPostQuantumHello(absl::string_view server_name) {
  return QuicHello(server_name)
      .SetGroups({kX25519MlKem768, kX25519, kP256})
      .SetKeyShares({kX25519MlKem768, kX25519});
}

std::string QuicInitial(const QuicInitialHeader& header, absl::string_view frames) {
  const size_t first_byte = 0xc0 | TypeBits(QuicPacketType::kInitial, header.version) << 4 |
                            size_t{header.reserved_bits} << 2 | (header.number_bytes - 1);
  std::string packet = LongHeader(first_byte, header.version, header);
  absl::StrAppend(&packet, QuicVarint(header.token.size()), header.token);
  absl::StrAppend(&packet, Length(header.number_bytes + frames.size() + kTagBytes));
  const size_t number_at = packet.size();
  PutBigEndian(packet, header.packet_number, header.number_bytes);
  const QuicInitialKeys keys =
      DeriveQuicInitialKeys(header.version, AsBytes(header.key_id),
                            header.from_server ? QuicSender::kServer : QuicSender::kClient);
  packet += Seal(keys.key, keys.NonceOf(header.packet_number), frames, packet);
  AES_KEY header_key;
  AES_set_encrypt_key(keys.header_key.data(), 128, &header_key);
  const std::array<uint8_t, 5> mask = QuicHeaderMask(
      header_key, AsBytes(packet).subspan(number_at + kQuicSampleAt, kQuicSampleBytes));
  packet[0] = static_cast<char>(packet[0] ^ (mask[0] & 0x0f));
  for (size_t i = 0; i < header.number_bytes; ++i) {
    packet[number_at + i] = static_cast<char>(packet[number_at + i] ^ mask[1 + i]);
  }
  return packet;
}

std::string QuicInitialDatagram(const QuicInitialHeader& header, absl::string_view frames,
                                size_t bytes) {
  std::string padded(frames);
  const size_t smallest = QuicInitial(header, padded + std::string(4, '\0')).size() - 4;
  if (smallest < bytes) padded.append(bytes - smallest, '\0');
  if (padded.size() < 4) padded.resize(4);
  return QuicInitial(header, padded);
}

std::string QuicVarint(uint64_t value) {
  const size_t log = value < 0x40 ? 0 : value < 0x4000 ? 1 : value < 0x40000000 ? 2 : 3;
  std::string out;
  PutBigEndian(out, value | uint64_t{log} << ((8 << log) - 2), size_t{1} << log);
  return out;
}

std::string QuicCryptoFrame(uint64_t offset, absl::string_view data) {
  return absl::StrCat("\x06", QuicVarint(offset), QuicVarint(data.size()), data);
}

std::string QuicOpaquePacket(QuicPacketType type, const QuicInitialHeader& header,
                             size_t payload_bytes) {
  std::string packet =
      LongHeader(0xc0 | TypeBits(type, header.version) << 4, header.version, header);
  absl::StrAppend(&packet, QuicVarint(payload_bytes));
  std::minstd_rand random(static_cast<uint32_t>(payload_bytes + 1));
  for (size_t i = 0; i < payload_bytes; ++i) PutU8(packet, random() >> 8 & 0xff);
  return packet;
}

std::string QuicVersionNegotiation(const QuicInitialHeader& header) {
  std::string packet = LongHeader(0x80, 0, header);
  PutBigEndian(packet, kQuicV1, 4);
  return packet;
}

std::string QuicRetry(const QuicInitialHeader& header, absl::string_view first_id) {
  // RFC 9001 5.8 and RFC 9369 3.3.3.
  constexpr absl::string_view kKeys[] = {
      {"\xbe\x0c\x69\x0b\x9f\x66\x57\x5a\x1d\x76\x6b\x54\xe3\x68\xc8\x4e", 16},
      {"\x8f\xb4\xb0\x1b\x56\xac\x48\xe2\x60\xfb\xcb\xce\xad\x7c\xcc\x92", 16}};
  constexpr absl::string_view kNonces[] = {
      {"\x46\x15\x99\xd3\x5d\x63\x2b\xf2\x23\x98\x25\xbb", 12},
      {"\xd8\x69\x69\xbc\x2d\x7c\x6d\x99\x90\xef\xb0\x4a", 12}};
  std::string packet = LongHeader(0xcf | TypeBits(QuicPacketType::kRetry, header.version) << 4,
                                  header.version, header);
  absl::StrAppend(&packet, header.token);
  std::string pseudo_packet;
  PutU8(pseudo_packet, first_id.size());
  absl::StrAppend(&pseudo_packet, first_id, packet);
  const size_t index = header.version == kQuicV2 ? 1 : 0;
  return packet + Seal(AsBytes(kKeys[index]), AsBytes(kNonces[index]), "", pseudo_packet);
}

size_t ForEachQuicFlight(absl::string_view message, const QuicFlightPlan& plan,
                         absl::FunctionRef<void(const QuicFlight&)> visit) {
  return PlanRunner(message, plan, visit).Run();
}

QuicFlight ShuffledQuicFlight(absl::string_view message, const QuicInitialHeader& header,
                              uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<size_t> cuts = {0, message.size()};
  for (size_t more = 2 + random() % 14; more > 0; --more) cuts.push_back(random() % message.size());
  std::sort(cuts.begin(), cuts.end());
  std::vector<Piece> pieces;
  for (size_t i = 1; i < cuts.size(); ++i) {
    const size_t overlap = random() % 4 == 0 ? random() % 20 : 0;
    pieces.push_back({cuts[i - 1] - std::min(cuts[i - 1], overlap), cuts[i]});
  }
  std::shuffle(pieces.begin(), pieces.end(), random);
  FlightBuilder flight(message, header);
  for (const Piece& piece : pieces) {
    if (random() % 3 == 0) flight.AddFrames("\x01");  // PING
    if (random() % 3 == 0) flight.AddFrames(std::string(1 + random() % 30, '\0'));
    if (random() % 8 == 0) flight.EndPacket();
    flight.AddCrypto(piece);
  }
  QuicFlight made = flight.Take(absl::StrCat("shuffled by seed ", seed));
  if (made.datagrams.size() < 4 && random() % 2 == 0) made.datagrams.push_back(made.datagrams[0]);
  std::shuffle(made.datagrams.begin(), made.datagrams.end(), random);
  return made;
}

}  // namespace trestle::testing
