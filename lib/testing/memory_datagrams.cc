#include "trestle/testing/memory_datagrams.h"

#include <algorithm>
#include <array>
#include <deque>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "lib/testing/check.h"
#include "trestle/base/error.h"

namespace trestle::testing {
namespace {

constexpr size_t kBatch = 16;

struct Arrived {
  std::string bytes;
  Endpoint peer;
  Endpoint local;
};

// The part of a socket that datagrams on their way refer to.
struct Box {
  Endpoint address;
  Endpoint connected;  // kNone if it receives from all.
  std::deque<Arrived> waiting;
  absl::Status pending_error;
  DatagramHandler* handler = nullptr;
  bool callback_owed = true;
  bool callback_posted = false;
};

Endpoint AnyAddress(const Endpoint& endpoint) {
  const std::array<uint8_t, 16> zeros = {};
  return Endpoint(ByteView(zeros.data(), endpoint.address().size()), endpoint.port());
}

}  // namespace

class MemoryDatagrams::Network : public std::enable_shared_from_this<Network> {
 public:
  explicit Network(SimulatedLoop& loop) : loop_(loop) {}

  std::shared_ptr<Box> Open(const Endpoint& address, const Endpoint& connected) {
    auto box = std::make_shared<Box>();
    box->address = address;
    box->connected = connected;
    const auto key = std::pair(address, connected);
    return boxes_.emplace(key, box).second ? box : nullptr;
  }

  void Close(const Box& box) { boxes_.erase({box.address, box.connected}); }

  Endpoint FreshAddress() {
    const uint32_t serial = next_address_++;
    const uint32_t host = serial / 65535;
    const std::array<uint8_t, 4> address = {198, static_cast<uint8_t>(18 + (host >> 16 & 1)),
                                            static_cast<uint8_t>(host >> 8),
                                            static_cast<uint8_t>(host)};
    return Endpoint(ByteView(address.data(), address.size()),
                    static_cast<uint16_t>(1 + serial % 65535));
  }

  void Send(const std::shared_ptr<Box>& from, const Datagram& datagram) {
    ++sent;
    const Endpoint& to = from->connected != Endpoint() ? from->connected : datagram.peer;
    const DatagramFaults& faults = FaultsTo(to);
    if (Chance(faults.loss)) return;
    const bool chosen = from->address.IsUnspecified() && datagram.local != Endpoint();
    const Endpoint& source = chosen ? datagram.local : from->address;
    const int copies = Chance(faults.duplication) ? 2 : 1;
    for (int i = 0; i < copies; ++i) {
      Arrived arrived{std::string(AsText(datagram.bytes)), source, to};
      Carry(faults, from, std::move(arrived));
    }
  }

  // The queue was empty: the handler hears of the next arrival.
  void Owe(const std::shared_ptr<Box>& box) {
    box->callback_owed = true;
    if (!box->waiting.empty() || !box->pending_error.ok()) Call(box);
  }

  DatagramFaults faults;
  absl::flat_hash_map<Endpoint, DatagramFaults> faults_to;
  bool refuse_connects = false;
  uint64_t sent = 0;
  uint64_t unreachable = 0;
  size_t sockets() const { return boxes_.size(); }

 private:
  const DatagramFaults& FaultsTo(const Endpoint& to) const {
    const auto found = faults_to.find(to);
    return found == faults_to.end() ? faults : found->second;
  }

  bool Chance(double part) {
    return part > 0 && std::uniform_real_distribution<double>(0, 1)(loop_.random()) < part;
  }

  absl::Duration Latency(const DatagramFaults& faults) {
    if (faults.jitter <= absl::ZeroDuration()) return faults.delay;
    return faults.delay +
           faults.jitter * std::uniform_real_distribution<double>(0, 1)(loop_.random());
  }

  // Posted calls keep their order, timers of the same time do not.
  void Carry(const DatagramFaults& faults, const std::shared_ptr<Box>& from, Arrived arrived) {
    const absl::Duration latency = Latency(faults);
    auto arrive = [network = weak_from_this(), sender = std::weak_ptr<Box>(from),
                   arrived = std::move(arrived)]() mutable {
      const std::shared_ptr<Network> alive = network.lock();
      if (alive != nullptr) alive->Deliver(sender.lock(), std::move(arrived));
    };
    if (latency <= absl::ZeroDuration()) return loop_.PostFromAnyThread(std::move(arrive));
    const uint64_t id = ++timers_made_;
    timers_[id] = loop_.RunAfter(latency, [this, id, arrive = std::move(arrive)]() mutable {
      arrive();
      timers_.erase(id);
    });
  }

  void Deliver(const std::shared_ptr<Box>& sender, Arrived arrived) {
    const std::shared_ptr<Box> box = Find(arrived.local, arrived.peer);
    if (box == nullptr) {
      ++unreachable;
      if (sender == nullptr || sender->connected == Endpoint()) return;
      sender->pending_error = MakeError(ErrorCode::kTransport, Phase::kDial,
                                        absl::StrCat(arrived.local.ToString(), " refused"));
      return Call(sender);
    }
    if (box->waiting.size() >= kQueue) return;
    box->waiting.push_back(std::move(arrived));
    Call(box);
  }

  // A connected socket comes first, then one of the address, then one of all addresses.
  std::shared_ptr<Box> Find(const Endpoint& local, const Endpoint& peer) const {
    for (const auto& key : {std::pair(local, peer), std::pair(local, Endpoint()),
                            std::pair(AnyAddress(local), Endpoint())}) {
      const auto found = boxes_.find(key);
      if (found != boxes_.end()) return found->second;
    }
    return nullptr;
  }

  void Call(const std::shared_ptr<Box>& box) {
    if (!box->callback_owed || box->callback_posted) return;
    box->callback_posted = true;
    loop_.PostFromAnyThread([weak = std::weak_ptr<Box>(box)] {
      const std::shared_ptr<Box> alive = weak.lock();
      if (alive == nullptr) return;
      alive->callback_posted = false;
      if (alive->handler == nullptr) return;
      alive->callback_owed = false;
      alive->handler->OnReadable();
    });
  }

  SimulatedLoop& loop_;
  absl::flat_hash_map<std::pair<Endpoint, Endpoint>, std::shared_ptr<Box>> boxes_;
  absl::flat_hash_map<uint64_t, Timer> timers_;
  uint64_t timers_made_ = 0;
  uint32_t next_address_ = 0;
};

class MemoryDatagrams::Socket final : public DatagramSocket {
 public:
  Socket(std::shared_ptr<Network> network, std::shared_ptr<Box> box)
      : network_(std::move(network)), box_(std::move(box)) {}

  ~Socket() override { network_->Close(*box_); }

  DatagramResult Receive(absl::FunctionRef<void(absl::Span<const Datagram>)> take) override {
    CHECK(!receiving_);
    if (!box_->pending_error.ok()) return {0, Fail()};
    std::deque<Arrived> batch;
    std::vector<Datagram> datagrams;
    while (batch.size() < kBatch && !box_->waiting.empty()) {
      batch.push_back(std::move(box_->waiting.front()));
      box_->waiting.pop_front();
      const Arrived& arrived = batch.back();
      const bool connected = box_->connected != Endpoint();
      datagrams.push_back(
          {AsBytes(arrived.bytes), connected ? Endpoint() : arrived.peer, arrived.local});
    }
    receiving_ = true;
    if (!datagrams.empty()) take(datagrams);
    receiving_ = false;
    if (batch.size() == kBatch) return {kBatch, IoState::kOk};
    network_->Owe(box_);
    return {batch.size(), IoState::kWouldBlock};
  }

  DatagramResult Send(absl::Span<const Datagram> batch) override {
    if (!box_->pending_error.ok()) return {0, Fail()};
    for (const Datagram& datagram : batch) network_->Send(box_, datagram);
    return {batch.size(), IoState::kOk};
  }

  void SetHandler(DatagramHandler* handler) override {
    box_->handler = handler;
    if (handler != nullptr) network_->Owe(box_);
  }

  absl::Status status() const override { return status_; }
  Endpoint local_endpoint() const override { return box_->address; }

 private:
  IoState Fail() {
    status_ = std::exchange(box_->pending_error, absl::OkStatus());
    return IoState::kFailed;
  }

  const std::shared_ptr<Network> network_;
  const std::shared_ptr<Box> box_;
  absl::Status status_;
  bool receiving_ = false;
};

MemoryDatagrams::MemoryDatagrams(SimulatedLoop& loop) : network_(std::make_shared<Network>(loop)) {}

MemoryDatagrams::~MemoryDatagrams() = default;

absl::StatusOr<std::unique_ptr<DatagramSocket>> MemoryDatagrams::Bind(const Endpoint& local) {
  std::shared_ptr<Box> box = network_->Open(local, Endpoint());
  if (box == nullptr) return ConfigurationError(absl::StrCat(local.ToString(), " is in use"));
  return std::make_unique<Socket>(network_, std::move(box));
}

absl::StatusOr<std::unique_ptr<DatagramSocket>> MemoryDatagrams::Connect(const Endpoint& peer) {
  if (network_->refuse_connects) {
    return MakeError(ErrorCode::kOverLimit, Phase::kDial, "no descriptor is left");
  }
  std::shared_ptr<Box> box = network_->Open(network_->FreshAddress(), peer);
  CHECK(box != nullptr);
  return std::make_unique<Socket>(network_, std::move(box));
}

void MemoryDatagrams::SetFaults(const DatagramFaults& faults) { network_->faults = faults; }

void MemoryDatagrams::SetFaultsTo(const Endpoint& peer, const DatagramFaults& faults) {
  network_->faults_to[peer] = faults;
}

void MemoryDatagrams::RefuseConnects(bool refuse) { network_->refuse_connects = refuse; }

size_t MemoryDatagrams::sockets() const { return network_->sockets(); }
uint64_t MemoryDatagrams::sent() const { return network_->sent; }
uint64_t MemoryDatagrams::unreachable() const { return network_->unreachable; }

}  // namespace trestle::testing
