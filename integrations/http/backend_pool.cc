#include "integrations/http/backend_pool.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "integrations/http/http1_client.h"
#include "integrations/http/http2_client.h"
#include "integrations/http/http_wire.h"
#include "trestle/base/error.h"
#include "trestle/tls/tls_engine.h"
#include "trestle/tls/tls_stream.h"

namespace trestle {
namespace {

constexpr absl::Duration kSweepInterval = absl::Seconds(1);

std::string KeyOf(const BackendTarget& target) {
  std::string key = absl::StrCat(EnumName(target.scheme), " ", target.endpoint.ToString());
  if (target.scheme == BackendScheme::kHttps) {
    absl::StrAppend(&key, " ", target.server_name, " ", target.host, " ", target.verify_name, " ",
                    target.http1_only ? "http/1.1 " : "", target.tls->policy());
  }
  return key;
}

}  // namespace

absl::string_view EnumName(BackendScheme scheme) {
  switch (scheme) {
    case BackendScheme::kHttp:
      return "http";
    case BackendScheme::kHttps:
      return "https";
    case BackendScheme::kH2c:
      return "h2c";
  }
  return "";
}

// The connections of one target, and the requests that wait for one.
class BackendPool::Group {
 public:
  Group(BackendPool& pool, BackendTarget target) : pool_(pool), target_(std::move(target)) {}

  void Get(BackendWaiter& waiter);
  bool Forget(BackendWaiter& waiter);
  void Serve();
  void OnOpened(Connection& connection);
  void OnOpenFailed(Connection& connection, const absl::Status& why);
  void Remove(Connection& connection);
  void Sweep(MonotonicTime now);

  bool unused() const { return connections_.empty() && waiting_.empty(); }
  size_t connections() const { return connections_.size(); }
  size_t waiting() const { return waiting_.size(); }
  BackendTargetStats stats() const;
  const BackendTarget& target() const { return target_; }

 private:
  Connection* FindRoom();
  void OpenMore();
  void Drop(Connection& connection);

  BackendPool& pool_;
  const BackendTarget target_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::deque<BackendWaiter*> waiting_;
  bool known_ = false;         // A connection was open.
  bool speaks_http2_ = false;  // The last connection was HTTP/2.
};

class BackendPool::Connection final : public Buried,
                                      public BackendConnection,
                                      public HttpWireOwner {
 public:
  Connection(BackendPool& pool, Group& group) : pool_(pool), group_(group) {}

  void Open();
  bool open() const { return codec_ != nullptr; }
  size_t room() const { return open() && !over_ ? codec_->capacity() : 0; }
  bool idle() const { return open() && codec_->streams() == 0; }
  MonotonicTime idle_since() const { return idle_since_; }
  bool speaks_http2() const { return open() && codec_->version() == HttpVersion::kHttp2; }

  /// Returns whether an idle connection is unusable, after a look at what the peer sent.
  bool IsStale() { return idle() && !speaks_http2() && !wire_->IsSilent(); }

  bool IsExpired(MonotonicTime now) const;
  bool IsOld(MonotonicTime now) const {
    return open() && !over_ && now - opened_ >= pool_.pool_limits_.max_age;
  }
  bool IsStalled(MonotonicTime now) const {
    return open() && !over_ && wire_->StalledFor(now) >= pool_.pool_limits_.stalled_time;
  }
  void Close() { codec_->Drain(); }
  void Abort();
  void Cut();

  BackStream& Start(HttpExchange& exchange, const HttpRequest& request) override;
  HttpVersion version() const override { return codec_->version(); }
  bool reused() const override { return requests_ > 0; }

 private:
  void OnDialed(absl::StatusOr<std::unique_ptr<Transport>> transport);
  void StartTls(std::unique_ptr<Transport> transport);
  void OnHandshake(absl::Status status);
  void Begin(std::unique_ptr<Transport> transport, bool http2);
  void Limit(Phase phase);
  void Fail(const absl::Status& why);

  void OnWireActivity() override {
    if (codec_->streams() == 0) idle_since_ = pool_.scheduler_.MonotonicNow();
    if (room() > 0) group_.Serve();
  }
  void OnWireOver(const absl::Status&) override {
    over_ = true;
    group_.Remove(*this);
  }

  BackendPool& pool_;
  Group& group_;
  Timer limit_;
  std::unique_ptr<Dial> dial_;
  std::unique_ptr<TlsStream> handshaking_;
  std::unique_ptr<HttpWire> wire_;
  Http1Client* http1_ = nullptr;
  std::unique_ptr<ClientCodec> codec_;  // After wire_, which it calls.
  uint64_t requests_ = 0;
  MonotonicTime opened_;
  MonotonicTime idle_since_;
  bool over_ = false;
};

void BackendPool::Connection::Open() {
  Limit(Phase::kDial);
  dial_ = pool_.dialer_.Connect(group_.target().endpoint,
                                [this](absl::StatusOr<std::unique_ptr<Transport>> transport) {
                                  const TurnQueue::Turn turn(pool_.turns_);
                                  OnDialed(std::move(transport));
                                });
}

void BackendPool::Connection::Limit(Phase phase) {
  limit_ = pool_.scheduler_.RunAfter(pool_.pool_limits_.open_timeout, [this, phase] {
    const TurnQueue::Turn turn(pool_.turns_);
    Fail(MakeError(ErrorCode::kTimeout, Leg::kBack, phase,
                   "opening a connection to the backend took longer than its limit"));
  });
}

void BackendPool::Connection::OnDialed(absl::StatusOr<std::unique_ptr<Transport>> transport) {
  dial_.reset();
  if (!transport.ok()) return Fail(AtLeg(transport.status(), Leg::kBack, Phase::kDial));
  if (group_.target().scheme == BackendScheme::kHttps) return StartTls(*std::move(transport));
  Begin(*std::move(transport), group_.target().scheme == BackendScheme::kH2c);
}

void BackendPool::Connection::StartTls(std::unique_ptr<Transport> transport) {
  const BackendTarget& target = group_.target();
  ClientTlsTarget tls;
  tls.server_name = target.server_name;
  tls.endpoint = target.endpoint;
  tls.host = target.host;
  tls.verify_name = target.verify_name;
  tls.sessions = &pool_.sessions_;
  tls.alpn_optional = true;
  if (!target.http1_only) tls.alpn.push_back("h2");
  tls.alpn.push_back("http/1.1");
  absl::StatusOr<std::unique_ptr<TlsEngine>> engine =
      TlsEngine::NewClient(target.tls, tls, pool_.scheduler_, Leg::kBack);
  if (!engine.ok()) return Fail(engine.status());
  Limit(Phase::kHandshake);
  handshaking_ =
      std::make_unique<TlsStream>(*std::move(engine), std::move(transport), pool_.scheduler_);
  handshaking_->Handshake([this](absl::Status status) {
    const TurnQueue::Turn turn(pool_.turns_);
    OnHandshake(std::move(status));
  });
}

void BackendPool::Connection::OnHandshake(absl::Status status) {
  if (!status.ok()) return Fail(AtLeg(status, Leg::kBack, Phase::kHandshake));
  const bool http2 = handshaking_->tls_info().alpn == "h2";
  Begin(std::move(handshaking_), http2);
}

void BackendPool::Connection::Begin(std::unique_ptr<Transport> transport, bool http2) {
  limit_.reset();
  opened_ = idle_since_ = pool_.scheduler_.MonotonicNow();
  const bool tls = group_.target().scheme == BackendScheme::kHttps;
  wire_ = std::make_unique<HttpWire>(pool_.turns_, pool_.scheduler_, std::move(transport), *this,
                                     /*linger=*/false);
  if (http2) {
    codec_ = std::make_unique<Http2Client>(pool_.limits_, *wire_, tls ? "https" : "http");
  } else {
    auto http1 = std::make_unique<Http1Client>(pool_.limits_, *wire_);
    http1_ = http1.get();
    codec_ = std::move(http1);
  }
  wire_->Start(*codec_);
  group_.OnOpened(*this);
}

void BackendPool::Connection::Fail(const absl::Status& why) {
  limit_.reset();
  dial_.reset();
  over_ = true;
  group_.OnOpenFailed(*this, why);
}

bool BackendPool::Connection::IsExpired(MonotonicTime now) const {
  if (!idle() || over_) return false;
  constexpr absl::Duration kMargin = absl::Seconds(1);  // The backend's clock began earlier.
  const absl::Duration theirs =
      http1_ != nullptr ? http1_->kept_for() - kMargin : absl::InfiniteDuration();
  return now - idle_since_ >= std::min(pool_.pool_limits_.idle_time, theirs);
}

BackStream& BackendPool::Connection::Start(HttpExchange& exchange, const HttpRequest& request) {
  if (requests_++ > 0) ++pool_.reused_;
  return codec_->Start(exchange, request);
}

void BackendPool::Connection::Abort() {
  over_ = true;
  if (wire_ != nullptr) wire_->Abort();
  if (codec_ != nullptr) codec_->OnLost(absl::CancelledError("the pool is gone"));
}

// An HTTP/2 stream that was cancelled is over only once its RST_STREAM is sent.
void BackendPool::Connection::Cut() {
  over_ = true;
  wire_->Abort();
  codec_->OnLost(MakeError(ErrorCode::kTimeout, Leg::kBack, Phase::kRelay,
                           "the backend accepted no byte of its connection in time"));
  group_.Remove(*this);
}

void BackendPool::Group::Get(BackendWaiter& waiter) {
  if (waiting_.size() >= pool_.pool_limits_.waiting) {
    return waiter.OnNoConnection(MakeError(ErrorCode::kOverLimit, Leg::kBack, Phase::kDial,
                                           "too many requests wait for a connection"));
  }
  waiting_.push_back(&waiter);
  Serve();
}

bool BackendPool::Group::Forget(BackendWaiter& waiter) {
  const auto found = std::find(waiting_.begin(), waiting_.end(), &waiter);
  if (found == waiting_.end()) return false;
  waiting_.erase(found);
  return true;
}

void BackendPool::Group::Serve() {
  while (!waiting_.empty()) {
    Connection* const connection = FindRoom();
    if (connection == nullptr) break;
    BackendWaiter* const waiter = waiting_.front();
    waiting_.pop_front();
    waiter->OnConnection(*connection);
  }
  OpenMore();
}

// The connection used last comes first, so that the others become idle.
BackendPool::Connection* BackendPool::Group::FindRoom() {
  Connection* best = nullptr;
  for (const std::unique_ptr<Connection>& connection : connections_) {
    if (connection->room() == 0) continue;
    if (best == nullptr || connection->idle_since() > best->idle_since()) best = connection.get();
  }
  if (best == nullptr) return nullptr;
  if (!best->IsStale()) return best;
  // It has no room any more, and is deleted at the end of the turn.
  best->Close();
  return FindRoom();
}

void BackendPool::Group::OpenMore() {
  size_t opening = 0;
  for (const std::unique_ptr<Connection>& connection : connections_) {
    opening += connection->open() ? 0 : 1;
  }
  // A connection that may become HTTP/2 can serve all waiting requests.
  const bool may_be_http2 = target_.scheme == BackendScheme::kHttps && !target_.http1_only;
  const bool shared =
      target_.scheme == BackendScheme::kH2c || (may_be_http2 && (!known_ || speaks_http2_));
  const size_t wanted = shared ? std::min<size_t>(waiting_.size(), 1) : waiting_.size();
  while (opening < wanted && connections_.size() < pool_.pool_limits_.connections) {
    ++opening;
    ++pool_.opened_;
    connections_.push_back(std::make_unique<Connection>(pool_, *this));
    connections_.back()->Open();
  }
  pool_.ArmSweep();
}

void BackendPool::Group::OnOpened(Connection& connection) {
  // Otherwise it would be left at once for another one, and so on.
  if (connection.IsStale()) {
    return OnOpenFailed(connection,
                        MakeError(ErrorCode::kTransport, Leg::kBack, Phase::kDial,
                                  "the backend ended a new connection, or sent bytes on it, "
                                  "before it got a request"));
  }
  known_ = true;
  speaks_http2_ = connection.speaks_http2();
  Serve();
}

void BackendPool::Group::OnOpenFailed(Connection& connection, const absl::Status& why) {
  Drop(connection);
  size_t opening = 0;
  for (const std::unique_ptr<Connection>& other : connections_) opening += other->open() ? 0 : 1;
  // Each failure belongs to one request; without any connection, to all of them.
  const size_t failed = connections_.empty() ? waiting_.size() : 1;
  std::vector<BackendWaiter*> failing;
  while (!waiting_.empty() && waiting_.size() > opening && failing.size() < failed) {
    failing.push_back(waiting_.front());
    waiting_.pop_front();
  }
  for (BackendWaiter* const waiter : failing) waiter->OnNoConnection(why);
}

void BackendPool::Group::Remove(Connection& connection) {
  Drop(connection);
  if (!waiting_.empty()) OpenMore();
}

void BackendPool::Group::Drop(Connection& connection) {
  const auto found =
      std::find_if(connections_.begin(), connections_.end(),
                   [&](const std::unique_ptr<Connection>& c) { return c.get() == &connection; });
  if (found == connections_.end()) return;
  std::unique_ptr<Connection> dead = std::move(*found);
  connections_.erase(found);
  pool_.turns_.Bury(std::move(dead));
}

BackendTargetStats BackendPool::Group::stats() const {
  const auto idle = std::count_if(connections_.begin(), connections_.end(),
                                  [](const std::unique_ptr<Connection>& c) { return c->idle(); });
  return {target_.scheme,      target_.endpoint,          target_.server_name,
          connections_.size(), static_cast<size_t>(idle), waiting_.size()};
}

void BackendPool::Group::Sweep(MonotonicTime now) {
  std::vector<Connection*> stalled;
  for (const std::unique_ptr<Connection>& connection : connections_) {
    if (connection->IsStalled(now)) stalled.push_back(connection.get());
  }
  for (Connection* const connection : stalled) connection->Cut();
  for (const std::unique_ptr<Connection>& connection : connections_) {
    if (connection->IsExpired(now) || connection->IsOld(now)) connection->Close();
  }
}

BackendPool::BackendPool(Scheduler& scheduler, Dialer& dialer, TurnQueue& turns,
                         const HttpLimits& limits, const BackendPoolLimits& pool_limits)
    : scheduler_(scheduler),
      dialer_(dialer),
      turns_(turns),
      limits_(limits),
      pool_limits_(pool_limits),
      sessions_(pool_limits.sessions) {}

BackendPool::~BackendPool() = default;

void BackendPool::Get(const BackendTarget& target, BackendWaiter& waiter) {
  std::unique_ptr<Group>& group = groups_[KeyOf(target)];
  if (group == nullptr) group = std::make_unique<Group>(*this, target);
  group->Get(waiter);
}

void BackendPool::Forget(BackendWaiter& waiter) {
  for (const auto& [key, group] : groups_) {
    if (group->Forget(waiter)) return;
  }
}

BackendPoolStats BackendPool::stats() const {
  BackendPoolStats stats;
  for (const auto& [key, group] : groups_) {
    stats.connections += group->connections();
    stats.waiting += group->waiting();
  }
  stats.opened = opened_;
  stats.reused = reused_;
  return stats;
}

std::vector<BackendTargetStats> BackendPool::targets() const {
  std::vector<BackendTargetStats> targets;
  for (const auto& [key, group] : groups_) {
    if (!group->unused()) targets.push_back(group->stats());
  }
  return targets;
}

void BackendPool::ArmSweep() {
  if (sweep_ != nullptr) return;
  sweep_ = scheduler_.RunAfter(kSweepInterval, [this] {
    const TurnQueue::Turn turn(turns_);
    sweep_.reset();
    Sweep();
  });
}

// Groups of targets without routes are deleted with their last connection.
void BackendPool::Sweep() {
  const MonotonicTime now = scheduler_.MonotonicNow();
  bool any = false;
  for (auto group = groups_.begin(); group != groups_.end();) {
    group->second->Sweep(now);
    const bool unused = group->second->unused();
    any = any || !unused;
    if (unused) {
      groups_.erase(group++);
    } else {
      ++group;
    }
  }
  if (any) ArmSweep();
}

}  // namespace trestle
