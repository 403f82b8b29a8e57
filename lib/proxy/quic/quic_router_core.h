// QuicPassthroughRouter::Core: the flows of one front socket, from their first datagram to their
// report. Private to the router of QUIC.
#ifndef TRESTLE_LIB_PROXY_QUIC_QUIC_ROUTER_CORE_H_
#define TRESTLE_LIB_PROXY_QUIC_QUIC_ROUTER_CORE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "lib/proxy/quic/quic_flow.h"
#include "lib/proxy/quic/quic_flow_table.h"
#include "lib/proxy/routing.h"
#include "trestle/base/client_budget.h"
#include "trestle/base/error.h"
#include "trestle/base/monotonic_time.h"
#include "trestle/io/datagram_socket.h"
#include "trestle/io/scheduler.h"
#include "trestle/proxy/backend_chooser.h"
#include "trestle/proxy/observer.h"
#include "trestle/proxy/quic_passthrough_router.h"
#include "trestle/wire/quic_packet.h"

namespace trestle {

/// Makes the error of a flow.
inline Error QuicFlowError(ErrorCode code, Leg leg, Phase phase, std::string detail) {
  Error error;
  error.code = code;
  error.leg = leg;
  error.phase = phase;
  error.detail = std::move(detail);
  return error;
}

/// Returns a duration as reports keep it.
inline uint32_t MicrosBetween(MonotonicTime begin, MonotonicTime end) {
  return static_cast<uint32_t>(
      std::min<int64_t>(absl::ToInt64Microseconds(end - begin), UINT32_MAX));
}

class QuicPassthroughRouter::Core final : public DatagramHandler, public QuicFlowOwner {
 public:
  /// The options are checked.
  Core(Scheduler& scheduler, std::unique_ptr<DatagramSocket> front, DatagramDialer& dialer,
       QuicPassthroughRouterOptions options, ConnectionObserver* observer);
  ~Core();

  absl::Status ReplaceRoutes(std::shared_ptr<const RouteTable> routes);
  void Drain(absl::Duration timeout, absl::AnyInvocable<void()> done);

  const QuicFlowTable& table() const { return table_; }
  size_t held_bytes() const { return held_bytes_; }
  const DatagramSocket& front() const { return *front_; }

 private:
  void OnReadable() override;  // The front socket.
  void OnBackReadable(QuicFlow& flow) override;

  // Datagrams of clients.
  void TakeFromClients(absl::Span<const Datagram> batch);
  void TakeFromClient(const Datagram& datagram);
  void Forward(QuicFlow& flow, const Datagram& datagram, const QuicPacket& packet);
  void FlushRun();

  // New flows.
  QuicFlow* Admit(const QuicPath& path, const Datagram& datagram);
  void Begin(const QuicPath& path, const Datagram& datagram, const QuicPacket& packet);
  QuicFlow* FollowRebinding(const QuicPath& path, const Datagram& datagram,
                            const QuicPacket& packet);
  bool TakeToken(const Endpoint& client);
  bool MakeRoom();
  QuicFlow* OldestUnproven() const;
  void Evict(QuicFlow& flow, Limit limit);

  // From the hello to the backend's first answer.
  void Read(QuicFlow& flow, ByteView datagram);
  void RefuseHello(QuicFlow& flow);
  void Refuse(QuicFlow& flow, const Error& error);
  void Route(QuicFlow& flow);
  void DialNext(QuicFlow& flow);
  bool OpenBack(QuicFlow& flow, const BackendChooser::Candidate& candidate);
  void Replay(QuicFlow& flow);
  void ReleaseHeld(QuicFlow& flow);

  // Datagrams of backends.
  void TakeFromBackend(QuicFlow& flow, absl::Span<const Datagram> batch);
  void Learn(QuicFlow& flow, ByteView datagram);
  void OnFirstAnswer(QuicFlow& flow);
  void FailBack(QuicFlow& flow, const absl::Status& status);
  bool Prove(QuicFlow& flow);
  void ServeHungry();

  // Ends.
  void Report(QuicFlow& flow, const std::optional<Error>& error);
  void End(QuicFlow& flow, const std::optional<Error>& error);
  void Discard(QuicFlow& flow);
  void CloseBack(QuicFlow& flow);
  void CutAll();
  void Drop(DatagramDrop why, size_t datagrams = 1);
  MonotonicTime GiveUpAt(QuicQueue queue) const;
  void ArmSweep();
  void Sweep();
  std::optional<Error> WhySilent(const QuicFlow& flow) const;

  Scheduler& scheduler_;
  DatagramDialer& dialer_;
  const QuicPassthroughRouterOptions options_;
  ConnectionObserver* const observer_;
  const std::unique_ptr<DatagramSocket> front_;
  Routing routing_;
  BackendChooser chooser_;
  ClientBudget budget_;
  TokenBucket crowd_;  // Of clients that the budget has no room for.
  QuicFlowTable table_;
  MonotonicTime now_;  // Of the batch.
  size_t held_bytes_ = 0;
  uint64_t flows_made_ = 0;

  QuicFlow* run_flow_ = nullptr;  // The flow of `run_`.
  std::vector<Datagram> run_;     // Datagrams in a row that go to one backend.
  std::vector<Datagram> answers_;
  std::vector<QuicFlow*> hungry_;                  // Flows with `waits_for_turn`.
  std::vector<std::unique_ptr<QuicFlow>> doomed_;  // Ended in this turn.
  Timer front_again_;
  Timer hungry_again_;
  Timer burial_;
  Timer sweep_;
  MonotonicTime sweep_at_ = MonotonicTime::InfiniteFuture();

  bool draining_ = false;
  absl::AnyInvocable<void()> drained_;
  Timer drain_limit_;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PROXY_QUIC_QUIC_ROUTER_CORE_H_
