#include "tests/proxy/quic_peers.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gtest/gtest.h"

namespace trestle {
namespace {

using testing::QuicInitial;
using testing::QuicInitialHeader;
using testing::QuicOpaquePacket;

constexpr absl::Duration kLongestRepeat = absl::Seconds(3);
constexpr size_t kFlightBytes = 1200;
constexpr size_t kHeaderBytes = 120;  // At most, of a CRYPTO frame's packet.

std::vector<std::string> ReceiveAll(DatagramSocket& socket, Endpoint* last_peer,
                                    std::vector<Endpoint>* peers) {
  std::vector<std::string> texts;
  DatagramResult result;
  do {
    result = socket.Receive([&](absl::Span<const Datagram> batch) {
      for (const Datagram& datagram : batch) {
        texts.emplace_back(AsText(datagram.bytes));
        if (peers != nullptr) peers->push_back(datagram.peer);
        if (last_peer != nullptr) *last_peer = datagram.peer;
      }
    });
  } while (result.state != IoState::kWouldBlock);
  return texts;
}

// The hello in as many datagrams as it needs, in order.
std::vector<std::string> OrderedFlight(const std::string& message, QuicInitialHeader header) {
  std::vector<std::string> datagrams;
  const size_t room = kFlightBytes - kHeaderBytes - header.token.size();
  for (size_t at = 0; at < message.size(); at += room) {
    datagrams.push_back(testing::QuicInitialDatagram(
        header, testing::QuicCryptoFrame(at, message.substr(at, room))));
    ++header.packet_number;
  }
  return datagrams;
}

}  // namespace

std::string QuicShortPacket(absl::string_view destination_id, absl::string_view payload) {
  return absl::StrCat("\x40", destination_id, payload);
}

QuicTestBackend::QuicTestBackend(testing::MemoryDatagrams& network, const std::string& endpoint,
                                 char letter)
    : endpoint(*Endpoint::Parse(endpoint)), letter(letter), socket_(*network.Bind(this->endpoint)) {
  socket_->SetHandler(this);
}

void QuicTestBackend::OnReadable() {
  std::vector<Endpoint> senders;
  const std::vector<std::string> datagrams = ReceiveAll(*socket_, nullptr, &senders);
  for (size_t i = 0; i < datagrams.size(); ++i) {
    last_peer_ = senders[i];
    if (!absl::c_linear_search(peers, last_peer_)) peers.push_back(last_peer_);
    received.push_back(datagrams[i]);
    last_id = IdOf(last_peer_);
    if (!is_silent) Answer(datagrams[i]);
  }
}

void QuicTestBackend::Send(const std::string& bytes) {
  const Datagram datagram{AsBytes(bytes), last_peer_, {}};
  socket_->Send({&datagram, 1});
}

std::string QuicTestBackend::IdOf(const Endpoint& peer) {
  return absl::StrFormat("%c%07x", letter, absl::HashOf(peer.ToString()) & 0xfffffff);
}

void QuicTestBackend::Answer(const std::string& datagram) {
  QuicPacket packet;
  ASSERT_TRUE(ReadQuicPacket(AsBytes(datagram), packet));
  const bool is_short = packet.type == QuicPacketType::kShortHeader;
  // A client whose address changed still uses the ID that it got.
  std::string& client_id =
      client_ids_[is_short ? datagram.substr(1, kTestBackendIdBytes) : last_id];
  QuicInitialHeader header;
  header.version = packet.version;
  header.source_id = last_id;
  if (!is_short) client_id = std::string(AsText(packet.source_id));
  header.destination_id = client_id;
  header.key_id = std::string(AsText(packet.destination_id));
  header.from_server = true;
  switch (packet.type) {
    case QuicPacketType::kInitial:
      if (sends_version_negotiation && packet.version != kQuicV1) {
        header.source_id = header.key_id;
        return Send(testing::QuicVersionNegotiation(header));
      }
      if (sends_retry && packet.token.empty()) {
        header.source_id = absl::StrCat("R", last_id);
        header.token = "token";
        return Send(testing::QuicRetry(header, header.key_id));
      }
      return Send(testing::QuicInitialDatagram(header, testing::QuicCryptoFrame(0, "server")));
    case QuicPacketType::kHandshake:
      return Send(QuicOpaquePacket(QuicPacketType::kHandshake, header, 100));
    case QuicPacketType::kShortHeader:
      return Send(QuicShortPacket(client_id, absl::StrCat(datagram.substr(1 + kTestBackendIdBytes),
                                                          " ", std::string(1, letter))));
    default:
      return;
  }
}

QuicTestClient::QuicTestClient(testing::SimulatedLoop& loop, std::unique_ptr<DatagramSocket> socket,
                               Options options)
    : loop_(loop), socket_(std::move(socket)), options_(std::move(options)) {
  socket_->SetHandler(this);
}

QuicTestClient::~QuicTestClient() = default;

void QuicTestClient::Move(std::unique_ptr<DatagramSocket> socket) {
  socket_ = std::move(socket);
  socket_->SetHandler(this);
}

void QuicTestClient::Send(const std::string& datagram) {
  const Datagram one{AsBytes(datagram), {}, {}};
  socket_->Send({&one, 1});
}

std::vector<std::string> QuicTestClient::Flight() const {
  const testing::HelloBuilder hello = options_.post_quantum
                                          ? testing::QuicPostQuantumHello(options_.name)
                                          : testing::QuicHello(options_.name);
  const std::string message = hello.Message();
  if (options_.shuffle_seed == 0) return OrderedFlight(message, options_.header);
  return testing::ShuffledQuicFlight(message, options_.header, options_.shuffle_seed).datagrams;
}

void QuicTestClient::Start() { SendStep(); }

void QuicTestClient::SendStep() {
  QuicInitialHeader header = options_.header;
  switch (step_) {
    case Step::kHello:
      for (const std::string& datagram : Flight()) Send(datagram);
      break;
    case Step::kHandshake:
      header.destination_id = backend_id_;
      Send(QuicOpaquePacket(QuicPacketType::kHandshake, header, 60));
      break;
    case Step::kRequest:
      Send(QuicShortPacket(backend_id_, options_.request));
      break;
    case Step::kDone:
      return;
  }
  if (repeats_ >= options_.repeats) return;
  const absl::Duration delay = std::min(options_.repeat * std::exp2(repeats_++), kLongestRepeat);
  repeat_ = loop_.RunAfter(delay, [this] { SendStep(); });
}

void QuicTestClient::OnReadable() {
  for (const std::string& datagram : ReceiveAll(*socket_, nullptr, nullptr)) {
    received_.push_back(datagram);
    Take(datagram);
  }
}

void QuicTestClient::Take(const std::string& datagram) {
  QuicPacket packet;
  ASSERT_TRUE(ReadQuicPacket(AsBytes(datagram), packet));
  const Step before = step_;
  if (packet.type == QuicPacketType::kRetry && options_.header.token.empty()) {
    options_.header.destination_id = std::string(AsText(packet.source_id));
    options_.header.key_id = options_.header.destination_id;
    options_.header.token = std::string(AsText(packet.token));
    repeats_ = 0;
    return SendStep();
  }
  if (packet.type == QuicPacketType::kVersionNegotiation && options_.header.version != kQuicV1) {
    options_.header.version = kQuicV1;
    options_.header.destination_id = "another1";
    options_.header.key_id = "another1";
    repeats_ = 0;
    return SendStep();
  }
  if (packet.type == QuicPacketType::kInitial && step_ == Step::kHello) {
    backend_id_ = std::string(AsText(packet.source_id));
    step_ = Step::kHandshake;
  } else if (packet.type == QuicPacketType::kHandshake && step_ == Step::kHandshake) {
    step_ = Step::kRequest;
  } else if (packet.type == QuicPacketType::kShortHeader && step_ == Step::kRequest) {
    answer_ = datagram;
    step_ = Step::kDone;
    repeat_.reset();
  }
  if (step_ == before || step_ == Step::kDone) return;
  repeats_ = 0;
  SendStep();
}

std::string QuicTestClient::letters() const {
  std::set<char> letters;
  for (const std::string& datagram : received_) {
    QuicPacket packet;
    if (!ReadQuicPacket(AsBytes(datagram), packet)) continue;
    if (packet.type == QuicPacketType::kShortHeader) letters.insert(datagram.back());
    if (packet.type == QuicPacketType::kInitial || packet.type == QuicPacketType::kHandshake) {
      letters.insert(AsText(packet.source_id)[0]);
    }
  }
  return std::string(letters.begin(), letters.end());
}

}  // namespace trestle
