#include "integrations/asio/asio_dialer.h"

#include <asio.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "integrations/asio/asio_endpoint.h"
#include "integrations/asio/asio_transport.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

absl::Status DialError(const Endpoint& endpoint, const asio::error_code& error) {
  return MakeError(ErrorCode::kTransport, Phase::kDial,
                   absl::StrCat("cannot connect to ", endpoint.ToString(), ": ", error.message()));
}

// Shared with the handler in Asio's queue, which may run after the dial is destroyed.
struct Attempt {
  Attempt(AsioScheduler& scheduler, const Endpoint& endpoint, Dialer::Callback done)
      : scheduler(scheduler),
        endpoint(endpoint),
        done(std::move(done)),
        socket(scheduler.executor()) {}

  void Finish(const asio::error_code& error) {
    if (!done) return;
    Dialer::Callback call = std::exchange(done, nullptr);  // It may destroy the dial.
    if (error) return call(DialError(endpoint, error));
    asio::error_code ignored;
    // By chance, a socket that dials a free port of its own machine gets that port itself.
    if (socket.local_endpoint(ignored) == socket.remote_endpoint(ignored)) {
      socket.close(ignored);
      return call(DialError(endpoint, asio::error::connection_refused));
    }
    call(std::make_unique<AsioTransport>(scheduler, std::move(socket)));
  }

  AsioScheduler& scheduler;
  const Endpoint endpoint;
  Dialer::Callback done;
  AsioTransport::Socket socket;
};

class AsioDial final : public Dial {
 public:
  explicit AsioDial(std::shared_ptr<Attempt> attempt) : attempt_(std::move(attempt)) {}

  ~AsioDial() override {
    attempt_->done = nullptr;
    asio::error_code ignored;
    attempt_->socket.close(ignored);
  }

 private:
  const std::shared_ptr<Attempt> attempt_;
};

}  // namespace

std::unique_ptr<Dial> AsioDialer::Connect(const Endpoint& endpoint, Callback done) {
  const auto attempt = std::make_shared<Attempt>(scheduler_, endpoint, std::move(done));
  if (endpoint.family() == Endpoint::Family::kNone) {
    asio::post(scheduler_.executor(),
               [attempt] { attempt->Finish(asio::error::address_family_not_supported); });
  } else {
    attempt->socket.async_connect(
        ToAsio(endpoint), [attempt](const asio::error_code& error) { attempt->Finish(error); });
  }
  return std::make_unique<AsioDial>(attempt);
}

}  // namespace trestle
