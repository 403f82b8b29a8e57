#include "examples/quickstart/wiretap.h"

#include <algorithm>
#include <utility>

#include "absl/memory/memory.h"
#include "trestle/io/inspector.h"
#include "trestle/io/relay.h"

namespace trestle::examples {
namespace {

constexpr size_t kMaxHeardBytes = 64 * 1024;

}  // namespace

class Wiretap::Recorder final : public Inspector {
 public:
  explicit Recorder(std::string& heard) : heard_(heard) {}

  Verdict Inspect(Direction direction, ByteView pending, bool) override {
    if (pending.empty()) return Verdict::Hold();
    if (direction == Direction::kToBackend) {
      const absl::string_view text = AsText(pending);
      heard_.append(text.data(), std::min(text.size(), kMaxHeardBytes - heard_.size()));
    }
    return Verdict::Forward(pending.size());
  }

 private:
  std::string& heard_;
};

// One connection. Trestle's Relay joins any two transports, here two TCP sockets.
class Wiretap::Line {
 public:
  Line(Wiretap& tap, uint64_t id, std::unique_ptr<Transport> front)
      : tap_(tap), id_(id), recorder_(tap.heard_), front_(std::move(front)) {
    dial_ = tap.dialer_.Connect(tap.backend_, [this](auto back) { OnDialed(std::move(back)); });
  }

 private:
  void OnDialed(absl::StatusOr<std::unique_ptr<Transport>> back) {
    if (!back.ok()) return tap_.HangUp(id_);
    back_ = *std::move(back);
    relay_ = std::make_unique<Relay>(tap_.loop_, *front_, *back_, &recorder_, RelayOptions());
    relay_->Start([this](absl::Status) { tap_.HangUp(id_); });
  }

  Wiretap& tap_;
  const uint64_t id_;
  Recorder recorder_;
  std::unique_ptr<Transport> front_;
  std::unique_ptr<Transport> back_;
  std::unique_ptr<Dial> dial_;
  std::unique_ptr<Relay> relay_;
};

Wiretap::Wiretap(EpollLoop& loop, Dialer& dialer, const Endpoint& backend)
    : loop_(loop), dialer_(dialer), backend_(backend) {}

Wiretap::~Wiretap() = default;

absl::StatusOr<std::unique_ptr<Wiretap>> Wiretap::Start(EpollLoop& loop, Dialer& dialer,
                                                        const Endpoint& backend) {
  auto tap = absl::WrapUnique(new Wiretap(loop, dialer, backend));
  auto listener = TcpListener::Create(loop, *Endpoint::Parse("127.0.0.1:0"),
                                      [tap = tap.get()](std::unique_ptr<Transport> connection) {
                                        tap->Accept(std::move(connection));
                                      });
  if (!listener.ok()) return listener.status();
  tap->listener_ = *std::move(listener);
  return tap;
}

void Wiretap::Accept(std::unique_ptr<Transport> connection) {
  const uint64_t id = ++last_id_;
  lines_.emplace(id, std::make_unique<Line>(*this, id, std::move(connection)));
}

void Wiretap::HangUp(uint64_t id) { lines_.erase(id); }

}  // namespace trestle::examples
