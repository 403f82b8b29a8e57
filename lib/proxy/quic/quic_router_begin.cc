// How flows begin: which are let in, their hello and its route, and their backend.
#include <utility>
#include <variant>

#include "lib/proxy/quic/quic_flow_report.h"
#include "lib/proxy/quic/quic_router_core.h"
#include "trestle/wire/quic_hello.h"

namespace trestle {
namespace {

constexpr size_t kMinFirstIdBytes = 8;  // RFC 9000 7.2.

// Beside the datagrams, for each flow whose hello is not complete.
constexpr size_t kReaderBytes = 2048;

// Returns whether loss or repetitions can cause a fault of a valid hello.
bool IsOfTheNetwork(QuicHelloFault fault) {
  return fault == QuicHelloFault::kTimeout || fault == QuicHelloFault::kTooManyDatagrams ||
         fault == QuicHelloFault::kTooManyBytes;
}

bool MayBegin(const Datagram& datagram, const QuicPacket& packet) {
  if (datagram.bytes.size() < kQuicMinInitialDatagramBytes) return false;
  return packet.destination_id.size() >= kMinFirstIdBytes || !packet.token.empty();
}

}  // namespace

// ---- New flows -------------------------------------------------------------------------------

void QuicPassthroughRouter::Core::Begin(const QuicPath& path, const Datagram& datagram,
                                        const QuicPacket& packet) {
  if (packet.type == QuicPacketType::kUnknownVersion) return Drop(DatagramDrop::kUnknownVersion);
  if (packet.type != QuicPacketType::kInitial && packet.type != QuicPacketType::kZeroRtt) {
    return Drop(DatagramDrop::kNoFlow);
  }
  if (packet.type == QuicPacketType::kInitial && !MayBegin(datagram, packet)) {
    return Drop(DatagramDrop::kBadInitial);
  }
  QuicFlow* const flow = Admit(path, datagram);
  if (flow == nullptr) return;
  flow->pending = std::make_unique<QuicFlow::Pending>(options_.hello);
  flow->version = packet.version;
  flow->client_id = QuicIdNumber(packet.source_id);
  flow->first_id = QuicIdNumber(packet.destination_id);
  flow->from_client = datagram.bytes.size();
  Read(*flow, datagram.bytes);
}

// Adds a flow if the limits allow it.
QuicFlow* QuicPassthroughRouter::Core::Admit(const QuicPath& path, const Datagram& datagram) {
  FlushRun();  // Making room may end its flow.
  std::optional<DatagramDrop> why;
  if (draining_) {
    why = DatagramDrop::kDraining;
  } else if (table_.PathIsFull(path)) {
    why = DatagramDrop::kTooManyFlows;
  } else if (!TakeToken(datagram.peer)) {
    why = DatagramDrop::kTooManyNewFlows;
  } else if (!MakeRoom()) {
    why = DatagramDrop::kTooManyFlows;
  }
  if (why.has_value()) {
    Drop(*why);
    return nullptr;
  }
  QuicFlow& flow = table_.Add(*this, path, now_);
  flow.id = ++flows_made_;
  return &flow;
}

// The backend sees a new address too, so that it validates the path. It sends little to an address
// that is not validated, which may be forged.
QuicFlow* QuicPassthroughRouter::Core::FollowRebinding(const QuicPath& path,
                                                       const Datagram& datagram,
                                                       const QuicPacket& packet) {
  const size_t id_bytes = options_.backend_id_bytes;
  QuicFlow* known = nullptr;
  if (id_bytes > 0 && packet.bytes.size() > id_bytes) {
    known = table_.FindByBackendId(packet.bytes.subspan(1, id_bytes));
  }
  if (known == nullptr || known->stage != QuicFlowStage::kProven) {
    Drop(DatagramDrop::kNoFlow);
    return nullptr;
  }
  QuicFlow* const flow = Admit(path, datagram);  // A proven flow makes no room.
  if (flow == nullptr) return nullptr;
  flow->story = Copy(known->story);
  flow->version = known->version;
  flow->client_id = known->client_id;
  flow->first_id = known->first_id;
  flow->backend_id = known->backend_id;
  if (!OpenBack(*flow, {known->backend.ToEndpoint()})) return nullptr;
  table_.IndexBackendId(*flow);
  return flow;
}

bool QuicPassthroughRouter::Core::TakeToken(const Endpoint& client) {
  if (options_.flows.new_flows_per_second_per_client == 0) return true;
  TokenBucket* bucket = budget_.BucketOf(client, now_);
  if (bucket == nullptr) bucket = &crowd_;
  if (!bucket->Has(now_)) return false;
  bucket->Take();
  return true;
}

bool QuicPassthroughRouter::Core::MakeRoom() {
  const QuicFlowLimits& limits = options_.flows;
  while (held_bytes_ >= limits.held_bytes && table_.size(QuicQueue::kReading) > 0) {
    Evict(*table_.Oldest(QuicQueue::kReading), Limit::kHeldDatagrams);
  }
  while (table_.size() >= limits.flows ||
         table_.size() - table_.size(QuicQueue::kProven) >= limits.unproven_flows) {
    QuicFlow* const oldest = OldestUnproven();
    if (oldest == nullptr) return false;
    Evict(*oldest, Limit::kFlows);
  }
  return true;
}

QuicFlow* QuicPassthroughRouter::Core::OldestUnproven() const {
  QuicFlow* const reading = table_.Oldest(QuicQueue::kReading);
  QuicFlow* const unproven = table_.Oldest(QuicQueue::kUnproven);
  if (reading == nullptr || unproven == nullptr) return reading != nullptr ? reading : unproven;
  return reading->last_active < unproven->last_active ? reading : unproven;
}

void QuicPassthroughRouter::Core::Evict(QuicFlow& flow, Limit limit) {
  Error error = QuicFlowError(ErrorCode::kOverLimit, Leg::kFront, Phase::kHandshake,
                              "the oldest flow without a proven client made room for a new one");
  error.limit = limit;
  End(flow, error);
}

// ---- From the hello to the backend's first answer --------------------------------------------

void QuicPassthroughRouter::Core::Read(QuicFlow& flow, ByteView datagram) {
  QuicFlow::Pending& pending = *flow.pending;
  const size_t kept = pending.reader.datagrams();
  const QuicHelloState state = pending.reader.Feed(datagram, now_);
  size_t more = kept == 0 ? kReaderBytes : 0;
  if (pending.reader.datagrams() > kept) more += datagram.size();
  pending.held_bytes += more;
  held_bytes_ += more;
  flow.last_active = now_;
  if (state == QuicHelloState::kDone) return Route(flow);
  if (state != QuicHelloState::kNeedMore) return RefuseHello(flow);
}

void QuicPassthroughRouter::Core::RefuseHello(QuicFlow& flow) {
  const QuicHelloReader& reader = flow.pending->reader;
  // No Initial was decrypted, so that there never was a flow.
  const bool began =
      reader.state() == QuicHelloState::kRefused && reader.fault() > QuicHelloFault::kNotDecrypted;
  // What a bad network causes; the client may begin anew.
  if (began && IsOfTheNetwork(reader.fault())) return End(flow, ToError(reader.error()));
  if (began) return Refuse(flow, *ToError(reader.error()));
  Drop(DatagramDrop::kBadInitial);
  Discard(flow);
}

// The flow remains for a while, so that the client's repetitions are neither read nor reported.
void QuicPassthroughRouter::Core::Refuse(QuicFlow& flow, const Error& error) {
  ReleaseHeld(flow);
  Report(flow, error);
  table_.SetStage(flow, QuicFlowStage::kRefused);
  if (draining_) End(flow, std::nullopt);
}

void QuicPassthroughRouter::Core::Route(QuicFlow& flow) {
  flow.hello_us = MicrosBetween(flow.started, now_);
  QuicFlowStory story = TellStory(flow.pending->reader, options_.ja4_sha256);
  const std::optional<RouteTable::Match> match = routing_.Find(story.server_name, story.hello.alpn);
  if (match.has_value()) story.route = std::string(match->pattern);
  flow.story = Pack(story);
  if (!match.has_value()) return Refuse(flow, Routing::NoRoute(story.server_name));
  const auto* const backends = std::get_if<Backends>(match->target);
  if (backends == nullptr) {
    return Refuse(flow,
                  QuicFlowError(ErrorCode::kNoRoute, Leg::kFront, Phase::kRoute,
                                "the route leads to a handler of streams, which takes no QUIC"));
  }
  flow.pending->candidates = chooser_.Order(*backends, flow.path.client.ToEndpoint(), {}, now_);
  if (flow.pending->candidates.empty()) return Refuse(flow, *ToError(NoBackendError(*backends)));
  DialNext(flow);
}

void QuicPassthroughRouter::Core::DialNext(QuicFlow& flow) {
  QuicFlow::Pending& pending = *flow.pending;
  const BackendChooser::Candidate backend = pending.candidates[pending.tried++];
  if (OpenBack(flow, backend)) Replay(flow);
}

// Ends the flow and returns false if the system has no socket.
bool QuicPassthroughRouter::Core::OpenBack(QuicFlow& flow,
                                           const BackendChooser::Candidate& candidate) {
  const Endpoint& backend = candidate.endpoint;
  flow.backend = CompactEndpoint(backend);
  absl::StatusOr<std::unique_ptr<DatagramSocket>> back = dialer_.Connect(backend);
  QuicFlow* const oldest = table_.Oldest(QuicQueue::kUnproven);
  if (!back.ok() && oldest != nullptr && oldest != &flow) {
    Evict(*oldest, Limit::kFlows);  // It gives up its descriptor.
    back = dialer_.Connect(backend);
  }
  if (!back.ok()) {
    End(flow, ToError(AtLeg(back.status(), Leg::kBack, Phase::kDial)));
    return false;
  }
  chooser_.Opened(candidate);
  chooser_.Try({backend}, {}, now_);
  flow.back = *std::move(back);
  flow.back->SetHandler(&flow);
  table_.SetStage(flow, QuicFlowStage::kWaiting);
  return true;
}

void QuicPassthroughRouter::Core::Replay(QuicFlow& flow) {
  const QuicHelloReader& reader = flow.pending->reader;
  std::vector<Datagram> held;
  for (size_t i = 0; i < reader.datagrams(); ++i) held.push_back({reader.datagram(i), {}, {}});
  const DatagramResult result = flow.back->Send(held);
  for (size_t i = 0; i < result.datagrams; ++i) flow.to_backend += held[i].bytes.size();
  if (result.state == IoState::kFailed) return FailBack(flow, flow.back->status());
  const bool another = flow.pending->tried < flow.pending->candidates.size();
  // Flows whose hello is not complete need the memory more.
  if (!another || held_bytes_ > options_.flows.held_bytes / 2) ReleaseHeld(flow);
}

void QuicPassthroughRouter::Core::ReleaseHeld(QuicFlow& flow) {
  if (flow.pending == nullptr) return;
  held_bytes_ -= flow.pending->held_bytes;
  flow.pending.reset();
}

}  // namespace trestle
