#include "tests/simulation/sim_dialer.h"

#include <utility>

#include "trestle/base/bytes.h"
#include "trestle/base/error.h"

namespace trestle::simulation {
namespace {

// A transport whose local port is the number of its dial.
class NumberedTransport final : public Transport {
 public:
  NumberedTransport(std::unique_ptr<Transport> inner, TransportInfo info)
      : inner_(std::move(inner)), info_(info) {}

  IoResult Read(MutableByteView out) override { return inner_->Read(out); }
  IoResult Write(ByteView data) override { return inner_->Write(data); }
  IoResult WriteBeforeEnd(ByteView data) override { return inner_->WriteBeforeEnd(data); }
  IoResult ShutdownWrite(StreamEnd end) override { return inner_->ShutdownWrite(end); }
  void Abort() override { inner_->Abort(); }
  void SetHandler(TransportHandler* handler) override { inner_->SetHandler(handler); }
  absl::Status status() const override { return inner_->status(); }
  TransportInfo info() const override { return info_; }

 private:
  const std::unique_ptr<Transport> inner_;
  const TransportInfo info_;
};

}  // namespace

class SimDialer::Attempt final : public Dial {
 public:
  Timer timer;
};

SimDialer::SimDialer(Scheduler& loop, const std::vector<DialPlan>& plans, Acceptor acceptor)
    : loop_(loop), plans_(plans), acceptor_(std::move(acceptor)) {}

std::unique_ptr<Dial> SimDialer::Connect(const Endpoint& endpoint, Callback done) {
  const size_t dial = dials_++;
  const DialPlan& plan = this->plan(dial);
  auto attempt = std::make_unique<Attempt>();
  if (plan.result == DialPlan::Result::kSilence) return attempt;
  attempt->timer = loop_.RunAfter(plan.delay, [this, dial, &plan, endpoint,
                                               done = std::move(done)]() mutable {
    if (plan.result == DialPlan::Result::kRefuse) {
      return done(MakeError(ErrorCode::kTransport, Phase::kDial, "the connection was refused"));
    }
    auto [proxy, backend] = testing::NewMemoryPair(loop_, plan.in, plan.end.out);
    acceptor_(dial, endpoint, std::move(backend));
    TransportInfo info;
    info.local = Endpoint(ByteView({192, 0, 2, 250}), static_cast<uint16_t>(dial));
    info.peer = endpoint;
    done(std::unique_ptr<Transport>(std::make_unique<NumberedTransport>(std::move(proxy), info)));
  });
  return attempt;
}

}  // namespace trestle::simulation
