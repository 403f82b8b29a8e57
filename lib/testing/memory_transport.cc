#include "trestle/testing/memory_transport.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <random>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/testing/check.h"
#include "trestle/base/error.h"

namespace trestle::testing {
namespace {

absl::Status Broken(ErrorCode code, std::string detail) {
  return MakeError(code, Phase::kRelay, std::move(detail));
}

Endpoint TestNetEndpoint(uint16_t port) {
  const std::array<uint8_t, 4> address = {192, 0, 2, 1};
  return Endpoint(ByteView(address.data(), address.size()), port);
}

struct Segment {
  MonotonicTime arrives;
  std::string bytes;
  size_t taken = 0;
};

enum class Life : uint8_t {
  kOpen,
  kCut,      // ShutdownWrite(kTruncated) is done: reads fail.
  kAborted,  // Silent.
  kDestroyed,
};

// One end of a connection, and the bytes in flight to that end.
struct Side {
  MemoryLink link;
  std::mt19937_64 random;
  std::deque<Segment> inbound;
  size_t inbound_bytes = 0;
  uint64_t passed_bytes = 0;
  std::optional<MonotonicTime> fin_at;
  std::optional<MonotonicTime> reset_at;

  Endpoint endpoint;
  Life life = Life::kOpen;
  bool write_ended = false;
  bool cutting = false;  // ShutdownWrite(kTruncated) waits for the bytes to arrive.
  TransportHandler* handler = nullptr;
  bool read_owed = false;
  bool write_owed = false;
  bool read_posted = false;
  bool write_posted = false;
  Timer wake;
  absl::Status status;

  bool StallsNow() const { return link.stall_after_bytes == passed_bytes; }
  bool HasLinkEnd() const { return link.end_after_bytes == passed_bytes; }
  bool silent() const { return life == Life::kAborted || life == Life::kDestroyed; }
  bool ResetArrived(MonotonicTime now) const { return reset_at.has_value() && *reset_at <= now; }
  bool FinArrived(MonotonicTime now) const {
    return fin_at.has_value() && *fin_at <= now && (!reset_at.has_value() || *fin_at <= *reset_at);
  }
  bool BytesArrived(MonotonicTime now) const {
    return !inbound.empty() && inbound.front().arrives <= now &&
           (!reset_at.has_value() || inbound.front().arrives <= *reset_at);
  }
  bool AllArrived(MonotonicTime now) const {
    return inbound.empty() || inbound.back().arrives <= now;
  }
  void DropInbound() {
    inbound.clear();
    inbound_bytes = 0;
  }
};

// Both ends of a connection. The transports share it; it exists until both are destroyed.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Scheduler& loop, const MemoryLink& a_to_b, const MemoryLink& b_to_a, Endpoint a,
             Endpoint b)
      : loop_(loop) {
    Prepare(sides_[0], b_to_a, a);
    Prepare(sides_[1], a_to_b, b);
    if (a_to_b.reset_after_bytes == 0u || b_to_a.reset_after_bytes == 0u)
      ResetBoth(loop.MonotonicNow());
    for (Side& side : sides_) {
      if (side.HasLinkEnd()) side.fin_at = loop.MonotonicNow();
    }
  }

  Side& side(int end) { return sides_[end]; }

  IoResult Read(int end, MutableByteView out);
  IoResult Write(int end, ByteView data);
  IoResult ShutdownWrite(int end, StreamEnd how);
  void Abort(int end);
  void Close(int end);

 private:
  static void Prepare(Side& side, const MemoryLink& inbound, const Endpoint& endpoint) {
    side.link = inbound;
    side.random.seed(inbound.seed);
    side.endpoint = endpoint;
  }

  Side& peer(int end) { return sides_[1 - end]; }
  size_t Room(int end);
  bool CanRead(int end, MonotonicTime now);
  bool CanWrite(int end, MonotonicTime now);
  void ResetBoth(MonotonicTime when);
  void ResetPeer(int end, MonotonicTime when);
  IoResult Fail(Side& side);
  IoResult FinishCut(int end, MonotonicTime now);

  // Posts the callbacks that are due to the loop, and arms a timer for later ones.
  void Settle(int end);
  void ArmWake(int end, MonotonicTime now);
  void DeliverReadable(int end);
  void DeliverWritable(int end);

  Scheduler& loop_;
  std::array<Side, 2> sides_;
};

// Returns how many bytes `end` may write now.
size_t Connection::Room(int end) {
  const Side& to = peer(end);
  size_t room = to.link.capacity_bytes - std::min(to.link.capacity_bytes, to.inbound_bytes);
  if (to.link.reset_after_bytes.has_value()) {
    room = std::min<uint64_t>(room, *to.link.reset_after_bytes - to.passed_bytes);
  }
  if (to.link.stall_after_bytes.has_value()) {
    room = std::min<uint64_t>(room, *to.link.stall_after_bytes - to.passed_bytes);
  }
  if (to.link.end_after_bytes.has_value() && !to.HasLinkEnd()) {
    room = std::min<uint64_t>(room, *to.link.end_after_bytes - to.passed_bytes);
  }
  return room;
}

bool Connection::CanRead(int end, MonotonicTime now) {
  const Side& side = sides_[end];
  return side.life == Life::kCut || side.BytesArrived(now) || side.FinArrived(now) ||
         side.ResetArrived(now);
}

bool Connection::CanWrite(int end, MonotonicTime now) {
  const Side& side = sides_[end];
  if (side.life == Life::kCut || side.ResetArrived(now)) return true;
  if (side.cutting) return peer(end).AllArrived(now);
  return Room(end) > 0 || peer(end).life != Life::kOpen;
}

void Connection::ResetBoth(MonotonicTime when) {
  for (Side& side : sides_) {
    if (!side.reset_at.has_value() || when < *side.reset_at) side.reset_at = when;
  }
}

void Connection::ResetPeer(int end, MonotonicTime when) {
  Side& to = peer(end);
  if (to.StallsNow()) return;
  if (!to.reset_at.has_value() || when < *to.reset_at) to.reset_at = when;
}

IoResult Connection::Fail(Side& side) {
  if (side.status.ok()) {
    side.status = Broken(ErrorCode::kTruncated, "the peer reset the connection");
  }
  return {0, IoState::kFailed};
}

IoResult Connection::Read(int end, MutableByteView out) {
  Side& side = sides_[end];
  CHECK(!side.silent() && "Read after Abort");
  CHECK(!out.empty() && "Read into nothing");
  const MonotonicTime now = loop_.MonotonicNow();
  if (side.life == Life::kCut) return {0, IoState::kFailed};
  if (!side.BytesArrived(now)) {
    if (side.FinArrived(now)) return {0, IoState::kEndOfStream};
    if (side.ResetArrived(now)) return Fail(side);
    side.read_owed = true;
    Settle(end);
    return {0, IoState::kWouldBlock};
  }
  size_t limit = std::min(out.size(), side.inbound_bytes);
  if (side.link.chunk_bytes > 0) limit = std::min(limit, side.link.chunk_bytes);
  if (side.link.random_chunks) limit = 1 + side.random() % limit;
  size_t done = 0;
  while (done < limit && side.BytesArrived(now)) {
    Segment& segment = side.inbound.front();
    const size_t part = std::min(limit - done, segment.bytes.size() - segment.taken);
    std::memcpy(out.data() + done, segment.bytes.data() + segment.taken, part);
    done += part;
    segment.taken += part;
    if (segment.taken == segment.bytes.size()) side.inbound.pop_front();
  }
  side.inbound_bytes -= done;
  Settle(1 - end);
  return {done, IoState::kOk};
}

IoResult Connection::Write(int end, ByteView data) {
  Side& side = sides_[end];
  Side& to = peer(end);
  CHECK(!side.silent() && "Write after Abort");
  CHECK(!side.write_ended && "Write after ShutdownWrite");
  CHECK(!data.empty() && "Write of nothing");
  const MonotonicTime now = loop_.MonotonicNow();
  if (side.ResetArrived(now)) return Fail(side);
  if (to.life != Life::kOpen) {
    // The bytes travel to a closed socket, and a RST travels back.
    if (!side.reset_at.has_value()) side.reset_at = now + to.link.latency + side.link.latency;
    Settle(end);
    return {data.size(), IoState::kOk};
  }
  if (to.HasLinkEnd()) return {data.size(), IoState::kOk};
  const size_t bytes = std::min(data.size(), Room(end));
  if (bytes == 0) {
    side.write_owed = true;
    Settle(end);
    return {0, IoState::kWouldBlock};
  }
  const MonotonicTime arrives = now + to.link.latency;
  if (to.inbound.empty() || to.inbound.back().arrives != arrives) {
    to.inbound.push_back({arrives, {}});
  }
  to.inbound.back().bytes.append(AsText(data).data(), bytes);
  to.inbound_bytes += bytes;
  to.passed_bytes += bytes;
  if (to.link.reset_after_bytes == to.passed_bytes) {
    ResetBoth(arrives);
    Settle(end);
  }
  if (to.HasLinkEnd()) to.fin_at = arrives;
  Settle(1 - end);
  return {bytes, IoState::kOk};
}

IoResult Connection::ShutdownWrite(int end, StreamEnd how) {
  Side& side = sides_[end];
  Side& to = peer(end);
  CHECK(!side.silent() && "ShutdownWrite after Abort");
  if (side.life == Life::kCut) return {0, IoState::kOk};
  const MonotonicTime now = loop_.MonotonicNow();
  if (side.ResetArrived(now)) return Fail(side);
  const bool first_call = !side.write_ended;
  side.write_ended = true;
  if (how == StreamEnd::kTruncated) return FinishCut(end, now);
  if (first_call && !to.StallsNow() && !to.HasLinkEnd()) {
    to.fin_at = now + to.link.latency;
    Settle(1 - end);
  }
  return {0, IoState::kOk};
}

IoResult Connection::FinishCut(int end, MonotonicTime now) {
  Side& side = sides_[end];
  side.cutting = !peer(end).AllArrived(now);
  if (side.cutting) {
    side.write_owed = true;
    Settle(end);
    return {0, IoState::kWouldBlock};
  }
  side.life = Life::kCut;
  side.status = Broken(ErrorCode::kCancelled, "this side cut the connection");
  side.DropInbound();
  ResetPeer(end, now + peer(end).link.latency);
  Settle(0);
  Settle(1);
  return {0, IoState::kOk};
}

void Connection::Abort(int end) {
  Side& side = sides_[end];
  if (side.silent()) return;
  const bool was_cut = side.life == Life::kCut;
  side.life = Life::kAborted;
  side.wake.reset();
  side.DropInbound();
  if (was_cut) return;
  peer(end).DropInbound();
  ResetPeer(end, loop_.MonotonicNow() + peer(end).link.latency);
  Settle(1 - end);
}

void Connection::Close(int end) {
  Side& side = sides_[end];
  const MonotonicTime now = loop_.MonotonicNow();
  if (side.life == Life::kOpen && side.BytesArrived(now)) Abort(end);
  const bool was_open = side.life == Life::kOpen;
  side.life = Life::kDestroyed;
  side.handler = nullptr;
  side.wake.reset();
  if (!was_open) return;
  Side& to = peer(end);
  if (!side.write_ended && !to.StallsNow() && !to.HasLinkEnd()) {
    to.fin_at = now + to.link.latency;
  }
  // Bytes still in flight to this end will arrive at a closed socket.
  if (!side.inbound.empty()) ResetPeer(end, side.inbound.back().arrives + to.link.latency);
  side.DropInbound();
  Settle(1 - end);
}

void Connection::Settle(int end) {
  Side& side = sides_[end];
  if (side.silent()) return;
  const MonotonicTime now = loop_.MonotonicNow();
  if (side.read_owed && !side.read_posted && CanRead(end, now)) {
    side.read_posted = true;
    loop_.PostFromAnyThread([self = shared_from_this(), end] { self->DeliverReadable(end); });
  }
  if (side.write_owed && !side.write_posted && CanWrite(end, now)) {
    side.write_posted = true;
    loop_.PostFromAnyThread([self = shared_from_this(), end] { self->DeliverWritable(end); });
  }
  ArmWake(end, now);
}

void Connection::ArmWake(int end, MonotonicTime now) {
  Side& side = sides_[end];
  side.wake.reset();
  if (!side.read_owed && !side.write_owed) return;
  MonotonicTime next = MonotonicTime::InfiniteFuture();
  const auto consider = [&](MonotonicTime when) {
    if (when > now) next = std::min(next, when);
  };
  if (!side.inbound.empty()) consider(side.inbound.front().arrives);
  if (side.fin_at.has_value()) consider(*side.fin_at);
  if (side.reset_at.has_value()) consider(*side.reset_at);
  if (side.cutting && !peer(end).inbound.empty()) consider(peer(end).inbound.back().arrives);
  if (next == MonotonicTime::InfiniteFuture()) return;
  side.wake = loop_.RunAfter(next - now, [weak = weak_from_this(), end] {
    if (const std::shared_ptr<Connection> self = weak.lock()) self->Settle(end);
  });
}

void Connection::DeliverReadable(int end) {
  Side& side = sides_[end];
  side.read_posted = false;
  if (side.silent() || !side.read_owed) return;
  // Another call may have read all bytes since: the callback stays pending then.
  if (!CanRead(end, loop_.MonotonicNow())) return Settle(end);
  side.read_owed = false;
  if (side.handler != nullptr) side.handler->OnReadable();
}

void Connection::DeliverWritable(int end) {
  Side& side = sides_[end];
  side.write_posted = false;
  if (side.silent() || !side.write_owed) return;
  if (!CanWrite(end, loop_.MonotonicNow())) return Settle(end);
  side.write_owed = false;
  if (side.handler != nullptr) side.handler->OnWritable();
}

class MemoryTransport final : public Transport {
 public:
  MemoryTransport(std::shared_ptr<Connection> connection, int end)
      : connection_(std::move(connection)), end_(end) {}
  ~MemoryTransport() override { connection_->Close(end_); }

  IoResult Read(MutableByteView out) override { return connection_->Read(end_, out); }
  IoResult Write(ByteView data) override { return connection_->Write(end_, data); }
  IoResult ShutdownWrite(StreamEnd end) override { return connection_->ShutdownWrite(end_, end); }
  void Abort() override { connection_->Abort(end_); }
  void SetHandler(TransportHandler* handler) override { connection_->side(end_).handler = handler; }
  absl::Status status() const override { return connection_->side(end_).status; }
  TransportInfo info() const override {
    TransportInfo info;
    info.local = connection_->side(end_).endpoint;
    info.peer = connection_->side(1 - end_).endpoint;
    return info;
  }

 private:
  const std::shared_ptr<Connection> connection_;
  const int end_;
};

std::pair<std::unique_ptr<Transport>, std::unique_ptr<Transport>> NewPairBetween(
    Scheduler& loop, const MemoryLink& a_to_b, const MemoryLink& b_to_a, const Endpoint& a,
    const Endpoint& b) {
  auto connection = std::make_shared<Connection>(loop, a_to_b, b_to_a, a, b);
  return {std::make_unique<MemoryTransport>(connection, 0),
          std::make_unique<MemoryTransport>(connection, 1)};
}

class MemoryDial final : public Dial {
 public:
  explicit MemoryDial(Timer timer) : timer_(std::move(timer)) {}

 private:
  const Timer timer_;
};

}  // namespace

std::pair<std::unique_ptr<Transport>, std::unique_ptr<Transport>> NewMemoryPair(
    Scheduler& loop, const MemoryLink& a_to_b, const MemoryLink& b_to_a) {
  return NewPairBetween(loop, a_to_b, b_to_a, TestNetEndpoint(1), TestNetEndpoint(2));
}

struct MemoryDialer::Target {
  Acceptor acceptor;  // Null: refuses with `status`.
  absl::Status status;
  absl::Duration delay;
  MemoryLink to_listener;
  MemoryLink to_dialer;
};

void MemoryDialer::Listen(const Endpoint& endpoint, Acceptor acceptor, absl::Duration delay,
                          const MemoryLink& to_listener, const MemoryLink& to_dialer) {
  targets_[endpoint] = std::make_shared<Target>(
      Target{std::move(acceptor), absl::OkStatus(), delay, to_listener, to_dialer});
}

void MemoryDialer::Refuse(const Endpoint& endpoint, absl::Status status, absl::Duration delay) {
  targets_[endpoint] = std::make_shared<Target>(Target{nullptr, std::move(status), delay, {}, {}});
}

std::unique_ptr<Dial> MemoryDialer::Connect(const Endpoint& endpoint, Callback done) {
  ++dials_;
  std::shared_ptr<Target> target;
  if (const auto found = targets_.find(endpoint); found != targets_.end()) {
    target = found->second;
  } else {
    target = std::make_shared<Target>();
    target->status = MakeError(ErrorCode::kTransport, Phase::kDial,
                               absl::StrCat(endpoint.ToString(), " refused the connection"));
  }
  if (target->delay == absl::InfiniteDuration()) return std::make_unique<MemoryDial>(nullptr);
  const Endpoint local = TestNetEndpoint(static_cast<uint16_t>(10000 + dials_ % 50000));
  return std::make_unique<MemoryDial>(loop_.RunAfter(
      target->delay, [&loop = loop_, target, endpoint, local, done = std::move(done)]() mutable {
        if (!target->acceptor) return done(target->status);
        auto pair = NewPairBetween(loop, target->to_listener, target->to_dialer, local, endpoint);
        loop.PostFromAnyThread(
            [target, far = std::move(pair.second)]() mutable { target->acceptor(std::move(far)); });
        done(std::move(pair.first));
      }));
}

}  // namespace trestle::testing
