#include "examples/support/redirect_part.h"

#include <string>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "examples/support/log.h"
#include "examples/support/program.h"

ABSL_FLAG(std::string, redirect_listen, "",
          "address (IP:PORT) of another listener, in clear text, that leads every request to the "
          "same host and path with https");
ABSL_FLAG(int, redirect_port, 0, "the port that --redirect_listen leads to; 0: that of --listen");

namespace trestle::examples {
namespace {

constexpr absl::Duration kBetweenChecks = absl::Milliseconds(50);
constexpr int kHttpsPort = 443;

absl::StatusOr<std::shared_ptr<const GatewayRoutes>> RoutesTo(int port) {
  GatewayRoute all;
  all.redirect =
      GatewayRedirect{port == kHttpsPort ? std::string("https://{host}{target}")
                                         : absl::StrCat("https://{host}:", port, "{target}")};
  return GatewayRoutes::Create({all});
}

}  // namespace

absl::StatusOr<WorkerPartFactory> RedirectPart::FactoryFromFlags(
    std::shared_ptr<ConnectionLimiter> limiter, HttpObserver* observer) {
  const std::string listen = absl::GetFlag(FLAGS_redirect_listen);
  const int port = absl::GetFlag(FLAGS_redirect_port);
  if (port < 0 || port > 65535) return FlagError("redirect_port", "must be from 0 to 65535");
  if (listen.empty() && port != 0) {
    return FlagError("redirect_port", "has no use without --redirect_listen");
  }
  if (listen.empty()) return nullptr;
  const absl::StatusOr<Endpoint> endpoint = Endpoint::ParseIp(listen);
  if (!endpoint.ok()) {
    return FlagError("redirect_listen", absl::StrCat("is wrong: ", Sentence(endpoint.status())));
  }
  RedirectOptions options;
  options.listen = *endpoint;
  options.https_port = port;
  options.limiter = std::move(limiter);
  return [options, observer](
             EpollLoop& loop, const WorkerAddress& address,
             ConnectionObserver*) mutable -> absl::StatusOr<std::unique_ptr<WorkerPart>> {
    options.port_use = address.port_use;
    if (options.https_port == 0) options.https_port = address.endpoint.port();
    auto part = std::make_unique<RedirectPart>(loop, options.limiter);
    if (absl::Status started = part->Start(options, observer); !started.ok()) {
      return FlagError("redirect_listen", absl::StrCat("fails: ", Sentence(started)));
    }
    // The first one may have chosen the port; the others join it.
    options.listen = part->local_endpoint();
    if (address.is_first) LogLine(absl::StrCat("redirecting on ", options.listen.ToString()));
    return part;
  };
}

absl::Status RedirectPart::Start(const RedirectOptions& options, HttpObserver* observer) {
  absl::StatusOr<std::shared_ptr<const GatewayRoutes>> routes = RoutesTo(options.https_port);
  if (!routes.ok()) return routes.status();
  HttpGatewayOptions gateway_options;
  gateway_options.routes = *std::move(routes);
  absl::StatusOr<std::unique_ptr<HttpGateway>> gateway =
      HttpGateway::Create(loop_, dialer_, std::move(gateway_options), observer);
  if (!gateway.ok()) return gateway.status();
  gateway_ = *std::move(gateway);
  TcpListenerOptions listener_options;
  listener_options.port_use = options.port_use;
  absl::StatusOr<std::unique_ptr<TcpListener>> listener = TcpListener::Create(
      loop_, options.listen,
      [this](std::unique_ptr<Transport> transport) { Serve(std::move(transport)); },
      listener_options);
  if (!listener.ok()) return listener.status();
  listener_ = *std::move(listener);
  return absl::OkStatus();
}

void RedirectPart::Serve(std::unique_ptr<Transport> transport) {
  Accepted accepted(std::move(transport));
  if (limiter_ != nullptr) {
    accepted.slot = ConnectionSlot::Take(limiter_);
    if (accepted.slot.limiter() == nullptr) return accepted.transport->Abort();
  }
  gateway_->Serve(std::move(accepted));
}

void RedirectPart::Drain(absl::Duration timeout, absl::AnyInvocable<void()> done) {
  deadline_ = loop_.MonotonicNow() + timeout;
  drained_ = std::move(done);
  listener_->Retire([this] {
    listener_.reset();
    gateway_->BeginDrain();
    AwaitEnd();
  });
}

void RedirectPart::AwaitEnd() {
  if (gateway_->open_connections() == 0 || loop_.MonotonicNow() >= deadline_) {
    return std::exchange(drained_, nullptr)();
  }
  check_ = loop_.RunAfter(kBetweenChecks, [this] { AwaitEnd(); });
}

}  // namespace trestle::examples
