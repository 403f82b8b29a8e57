#include "lib/proxy/quic/quic_router_core.h"

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "lib/proxy/quic/quic_flow_report.h"
#include "trestle/wire/quic_hello.h"

namespace trestle {
namespace {

constexpr int kBatchesPerTurn = 8;       // Of one socket, before others have theirs.
constexpr uint64_t kAnswersPerByte = 3;  // To clients that are not proven: RFC 9000 8.1.
constexpr uint8_t kLongHeader = 0x80;

// Returns whether the failure is local, so that no backend is to blame.
bool IsOwnFailure(const Error& error) {
  return error.code == ErrorCode::kInternal || error.code == ErrorCode::kOverLimit ||
         error.code == ErrorCode::kConfiguration;
}

}  // namespace

QuicPassthroughRouter::Core::Core(Scheduler& scheduler, std::unique_ptr<DatagramSocket> front,
                                  DatagramDialer& dialer, QuicPassthroughRouterOptions options,
                                  ConnectionObserver* observer)
    : scheduler_(scheduler),
      dialer_(dialer),
      options_(std::move(options)),
      observer_(observer),
      front_(std::move(front)),
      routing_{options_.routes, options_.no_name, options_.unknown_name},
      budget_({options_.flows.new_flows_per_second_per_client, options_.flows.new_flows_burst,
               options_.flows.client_ipv4_bits, options_.flows.client_ipv6_bits}),
      crowd_(options_.flows.new_flows_per_second_per_client, options_.flows.new_flows_burst) {
  front_->SetHandler(this);
  // Datagrams may be waiting.
  front_again_ = scheduler_.RunAfter(absl::ZeroDuration(), [this] { OnReadable(); });
}

QuicPassthroughRouter::Core::~Core() {
  front_->SetHandler(nullptr);
  CutAll();
}

absl::Status QuicPassthroughRouter::Core::ReplaceRoutes(std::shared_ptr<const RouteTable> routes) {
  const Routing routing{std::move(routes), routing_.no_name, routing_.unknown_name};
  if (absl::Status status = routing.Check(); !status.ok()) return status;
  routing_ = routing;
  return absl::OkStatus();
}

// ---- Datagrams of clients --------------------------------------------------------------------

void QuicPassthroughRouter::Core::OnReadable() {
  front_again_.reset();
  now_ = scheduler_.MonotonicNow();
  for (int i = 0; i < kBatchesPerTurn; ++i) {
    const DatagramResult result =
        front_->Receive([this](absl::Span<const Datagram> batch) { TakeFromClients(batch); });
    if (result.state == IoState::kWouldBlock) return ArmSweep();
  }
  front_again_ = scheduler_.RunAfter(absl::ZeroDuration(), [this] { OnReadable(); });
  ArmSweep();
}

void QuicPassthroughRouter::Core::TakeFromClients(absl::Span<const Datagram> batch) {
  for (const Datagram& datagram : batch) TakeFromClient(datagram);
  FlushRun();
}

void QuicPassthroughRouter::Core::TakeFromClient(const Datagram& datagram) {
  QuicPacket packet;
  if (!ReadQuicPacket(datagram.bytes, packet)) return Drop(DatagramDrop::kMalformed);
  const QuicPath path = {CompactEndpoint(datagram.peer), CompactEndpoint(datagram.local)};
  QuicFlow* flow = table_.Find(path, packet);
  if (flow == nullptr && packet.type != QuicPacketType::kShortHeader) {
    return Begin(path, datagram, packet);
  }
  if (flow == nullptr) flow = FollowRebinding(path, datagram, packet);
  if (flow == nullptr) return;
  flow->from_client += datagram.bytes.size();
  switch (flow->stage) {
    case QuicFlowStage::kReading:
      return Read(*flow, datagram.bytes);
    case QuicFlowStage::kRefused:
      return Drop(DatagramDrop::kRefusedFlow);
    default:
      return Forward(*flow, datagram, packet);
  }
}

void QuicPassthroughRouter::Core::Forward(QuicFlow& flow, const Datagram& datagram,
                                          const QuicPacket& packet) {
  if (run_flow_ != &flow) FlushRun();
  if (flow.back == nullptr) return;  // Another flow's backend failed, and its next try took room.
  if (flow.stage == QuicFlowStage::kAnswered && flow.IsProof(packet) && !Prove(flow)) return;
  run_flow_ = &flow;
  run_.push_back(datagram);
}

void QuicPassthroughRouter::Core::FlushRun() {
  if (run_flow_ == nullptr) return;
  QuicFlow& flow = *std::exchange(run_flow_, nullptr);
  const DatagramResult result = flow.back->Send(run_);
  for (size_t i = 0; i < result.datagrams; ++i) flow.to_backend += run_[i].bytes.size();
  const size_t lost = run_.size() - result.datagrams;
  run_.clear();
  if (lost > 0) Drop(DatagramDrop::kSocketFull, lost);
  table_.Touch(flow, now_);
  if (result.state == IoState::kFailed) FailBack(flow, flow.back->status());
}

// ---- Datagrams of backends -------------------------------------------------------------------

void QuicPassthroughRouter::Core::OnBackReadable(QuicFlow& flow) {
  now_ = scheduler_.MonotonicNow();
  for (int i = 0; i < kBatchesPerTurn; ++i) {
    const DatagramResult result = flow.back->Receive(
        [this, &flow](absl::Span<const Datagram> batch) { TakeFromBackend(flow, batch); });
    if (result.state == IoState::kWouldBlock) return ArmSweep();
    if (result.state == IoState::kFailed) return FailBack(flow, flow.back->status());
  }
  if (!std::exchange(flow.waits_for_turn, true)) hungry_.push_back(&flow);
  hungry_again_ = scheduler_.RunAfter(absl::ZeroDuration(), [this] { ServeHungry(); });
  ArmSweep();
}

void QuicPassthroughRouter::Core::ServeHungry() {
  for (size_t served = hungry_.size(); served > 0 && !hungry_.empty(); --served) {
    QuicFlow& flow = *hungry_.front();
    hungry_.erase(hungry_.begin());
    flow.waits_for_turn = false;
    OnBackReadable(flow);
  }
}

void QuicPassthroughRouter::Core::TakeFromBackend(QuicFlow& flow,
                                                  absl::Span<const Datagram> batch) {
  const Endpoint client = flow.path.client.ToEndpoint();
  const Endpoint local = flow.path.local.ToEndpoint();
  if (flow.stage == QuicFlowStage::kWaiting) OnFirstAnswer(flow);
  uint64_t may_send = UINT64_MAX;
  if (flow.stage != QuicFlowStage::kProven) {
    may_send = kAnswersPerByte * flow.from_client - flow.to_client;
  }
  answers_.clear();
  for (const Datagram& datagram : batch) {
    const size_t bytes = datagram.bytes.size();
    flow.from_backend += bytes;
    if (bytes > 0 && (datagram.bytes[0] & kLongHeader) != 0) Learn(flow, datagram.bytes);
    if (bytes > may_send) {
      Drop(DatagramDrop::kUnprovenClient);
      continue;
    }
    may_send -= bytes;
    answers_.push_back({datagram.bytes, client, local});
  }
  const DatagramResult result = front_->Send(answers_);
  for (size_t i = 0; i < result.datagrams; ++i) flow.to_client += answers_[i].bytes.size();
  const size_t lost = answers_.size() - result.datagrams;
  if (lost > 0) Drop(DatagramDrop::kSocketFull, lost);
  table_.Touch(flow, now_);
}

void QuicPassthroughRouter::Core::Learn(QuicFlow& flow, ByteView datagram) {
  QuicPacket packet;
  if (!ReadQuicPacket(datagram, packet)) return;
  if (packet.type == QuicPacketType::kRetry) flow.retry_id = QuicIdNumber(packet.source_id);
  const bool names_backend =
      packet.type == QuicPacketType::kInitial || packet.type == QuicPacketType::kHandshake;
  if (!names_backend) return;
  if (flow.backend_id.known() && flow.backend_id.bytes() == packet.source_id) return;
  table_.UnindexBackendId(flow);
  flow.backend_id.Set(packet.source_id);
  const size_t id_bytes = options_.backend_id_bytes;
  if (id_bytes > 0 && packet.source_id.size() == id_bytes) table_.IndexBackendId(flow);
}

void QuicPassthroughRouter::Core::OnFirstAnswer(QuicFlow& flow) {
  chooser_.Succeeded({flow.backend.ToEndpoint()}, {}, now_);
  ReleaseHeld(flow);
  flow.answer_us = MicrosBetween(flow.started, now_) - flow.hello_us;
  table_.SetStage(flow, QuicFlowStage::kAnswered);
  if (observer_ != nullptr) observer_->OnEstablished(MakeFlowReport(flow, scheduler_));
}

void QuicPassthroughRouter::Core::FailBack(QuicFlow& flow, const absl::Status& status) {
  const bool waiting = flow.stage == QuicFlowStage::kWaiting;
  const Error error = *ToError(AtLeg(status, Leg::kBack, waiting ? Phase::kDial : Phase::kRelay));
  const Endpoint backend = flow.backend.ToEndpoint();
  // Not in the state that streams share: a backend may take no datagrams, and be well.
  if (waiting && !IsOwnFailure(error)) {
    chooser_.Failed({backend}, {}, status, options_.ejection, now_);
  }
  const bool another =
      waiting && flow.pending != nullptr && flow.pending->tried < flow.pending->candidates.size();
  if (!another) return End(flow, error);
  if (flow.failed_tries == nullptr) flow.failed_tries = std::make_unique<std::vector<FailedTry>>();
  flow.failed_tries->push_back({backend, error});
  CloseBack(flow);
  DialNext(flow);
}

// Returns false if the flow ended.
bool QuicPassthroughRouter::Core::Prove(QuicFlow& flow) {
  if (options_.limiter != nullptr) {
    if (!options_.limiter->OpenConnection()) {
      Error error = QuicFlowError(ErrorCode::kOverLimit, Leg::kFront, Phase::kHandshake,
                                  "too many connections are open");
      error.limit = Limit::kConnections;
      End(flow, error);
      return false;
    }
    flow.counted_by_limiter = true;
  }
  table_.SetStage(flow, QuicFlowStage::kProven);
  return true;
}

// ---- Ends ------------------------------------------------------------------------------------

void QuicPassthroughRouter::Core::Report(QuicFlow& flow, const std::optional<Error>& error) {
  if (observer_ == nullptr) return;
  ConnectionReport report = MakeFlowReport(flow, scheduler_);
  report.error = error;
  observer_->OnClosed(report);
}

// Reports the flow, unless that was done, and removes it.
void QuicPassthroughRouter::Core::End(QuicFlow& flow, const std::optional<Error>& error) {
  if (flow.stage != QuicFlowStage::kRefused) Report(flow, error);
  Discard(flow);
}

void QuicPassthroughRouter::Core::Discard(QuicFlow& flow) {
  if (run_flow_ == &flow) {
    run_flow_ = nullptr;
    run_.clear();
  }
  if (flow.waits_for_turn) hungry_.erase(absl::c_find(hungry_, &flow));
  ReleaseHeld(flow);
  CloseBack(flow);
  if (flow.counted_by_limiter) options_.limiter->CloseConnection();
  // The flow may be the one whose callback runs.
  doomed_.push_back(table_.Remove(flow));
  if (burial_ == nullptr) {
    burial_ = scheduler_.RunAfter(absl::ZeroDuration(), [this] {
      burial_.reset();
      doomed_.clear();
    });
  }
  if (drained_ && table_.size() == 0) {
    drain_limit_ = scheduler_.RunAfter(absl::ZeroDuration(), std::exchange(drained_, nullptr));
  }
}

void QuicPassthroughRouter::Core::CloseBack(QuicFlow& flow) {
  if (flow.back == nullptr) return;
  const Endpoint backend = flow.backend.ToEndpoint();
  if (flow.stage == QuicFlowStage::kWaiting) chooser_.Abandoned({backend}, {});
  chooser_.Closed(backend);
  flow.back.reset();
}

void QuicPassthroughRouter::Core::CutAll() {
  const Error error =
      QuicFlowError(ErrorCode::kCancelled, Leg::kFront, Phase::kDrain, "cut by shutdown");
  for (const QuicQueue queue : {QuicQueue::kReading, QuicQueue::kUnproven, QuicQueue::kProven}) {
    while (QuicFlow* const flow = table_.Oldest(queue)) End(*flow, error);
  }
}

void QuicPassthroughRouter::Core::Drain(absl::Duration timeout, absl::AnyInvocable<void()> done) {
  draining_ = true;
  drained_ = std::move(done);
  now_ = scheduler_.MonotonicNow();
  drain_limit_ = scheduler_.RunAfter(timeout, [this] { CutAll(); });
  if (table_.size() == 0) {
    drain_limit_ = scheduler_.RunAfter(absl::ZeroDuration(), std::exchange(drained_, nullptr));
  }
  sweep_at_ = MonotonicTime::InfiniteFuture();  // The limits of idle flows have changed.
  ArmSweep();
}

void QuicPassthroughRouter::Core::Drop(DatagramDrop why, size_t datagrams) {
  if (observer_ != nullptr) observer_->OnDatagramsDropped(why, datagrams);
}

// A queue is in the order of time, so that its first flow is the first to be given up.
MonotonicTime QuicPassthroughRouter::Core::GiveUpAt(QuicQueue queue) const {
  const QuicFlow* const oldest = table_.Oldest(queue);
  if (oldest == nullptr) return MonotonicTime::InfiniteFuture();
  const QuicFlowLimits& limits = options_.flows;
  switch (queue) {
    case QuicQueue::kReading:
      return oldest->started + options_.hello.time;
    case QuicQueue::kUnproven:
      return oldest->last_active + limits.unproven_timeout;
    case QuicQueue::kProven:
      return oldest->last_active + (draining_
                                        ? std::min(limits.drain_idle_timeout, limits.idle_timeout)
                                        : limits.idle_timeout);
  }
  return MonotonicTime::InfiniteFuture();
}

// A timer that comes too early costs little: flows that were active meanwhile moved back.
void QuicPassthroughRouter::Core::ArmSweep() {
  const MonotonicTime next =
      std::min({GiveUpAt(QuicQueue::kReading), GiveUpAt(QuicQueue::kUnproven),
                GiveUpAt(QuicQueue::kProven)});
  if (next >= sweep_at_) return;
  sweep_at_ = next;
  sweep_ = scheduler_.RunAfter(next - scheduler_.MonotonicNow(), [this] { Sweep(); });
}

void QuicPassthroughRouter::Core::Sweep() {
  sweep_at_ = MonotonicTime::InfiniteFuture();
  now_ = scheduler_.MonotonicNow();
  for (const QuicQueue queue : {QuicQueue::kReading, QuicQueue::kUnproven, QuicQueue::kProven}) {
    while (GiveUpAt(queue) <= now_) {
      QuicFlow& flow = *table_.Oldest(queue);
      End(flow, WhySilent(flow));
    }
  }
  ArmSweep();
}

std::optional<Error> QuicPassthroughRouter::Core::WhySilent(const QuicFlow& flow) const {
  switch (flow.stage) {
    case QuicFlowStage::kReading:
      return ToError(QuicHelloFaultError(QuicHelloFault::kTimeout));
    case QuicFlowStage::kWaiting:
      return QuicFlowError(ErrorCode::kTimeout, Leg::kBack, Phase::kDial,
                           absl::StrCat(flow.backend.ToEndpoint().ToString(), " did not answer"));
    case QuicFlowStage::kAnswered:
      return QuicFlowError(ErrorCode::kTimeout, Leg::kFront, Phase::kHandshake,
                           "the client did not answer the backend");
    case QuicFlowStage::kRefused:
    case QuicFlowStage::kProven:
      return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace trestle
