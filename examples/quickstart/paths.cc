#include "examples/quickstart/paths.h"

#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "integrations/http/gateway_routes.h"
#include "trestle/pki/certificate_info.h"

namespace trestle::examples {

// One request of the client, from the pool's connection to the end of its response.
class Paths::Call final : public HttpExchange, public BackendWaiter {
 public:
  Call(Paths& paths, HttpRequest request, PathRequest& result)
      : paths_(paths), request_(std::move(request)), result_(result) {
    request_body.End();
  }

  void OnConnection(BackendConnection& connection) override {
    result_.client_version = connection.version();
    result_.reused = connection.reused();
    back_ = &connection.Start(*this, request_);
  }
  void OnNoConnection(const absl::Status& why) override { paths_.OnAnswered(why); }

  void OnResponse(HttpResponse response) override { status_ = response.status; }
  void OnResponseBody() override {
    const size_t bytes = response_body.size();
    absl::StrAppend(&result_.body, response_body.view());
    response_body.Consume(bytes);
    if (!response_body.ended()) back_->OnResponseTaken(bytes);
  }
  void OnBackDone() override {
    OnResponseBody();
    paths_.OnAnswered(status_ == 200 ? absl::OkStatus()
                                     : absl::UnavailableError(absl::StrCat("status ", status_)));
  }
  void OnBackFailed(BackFailure, const absl::Status& why) override { paths_.OnAnswered(why); }

  // The request has no body, and no front stream.
  void OnRequestBody() override {}
  void OnRequestRefused(HttpRefusal) override {}
  void OnRequestTaken(size_t) override {}
  void OnInformational(HttpResponse) override {}
  void OnResponseTaken(size_t) override {}
  void OnClientGone(const absl::Status&) override {}
  void OnResponseSent() override {}

 private:
  Paths& paths_;
  const HttpRequest request_;
  PathRequest& result_;
  BackStream* back_ = nullptr;
  int status_ = 0;
};

Paths::Paths(EpollLoop& loop, TcpDialer& dialer, std::string server_name,
             std::shared_ptr<const ClientTlsConfig> trust, std::vector<PathRequest> requests)
    : loop_(loop),
      server_name_(std::move(server_name)),
      trust_(std::move(trust)),
      requests_(std::move(requests)),
      turns_(loop),
      pool_(loop, dialer, turns_, limits_, BackendPoolLimits()) {}

Paths::~Paths() = default;

absl::StatusOr<std::unique_ptr<Paths>> Paths::Start(
    EpollLoop& loop, TcpDialer& dialer, std::string server_name,
    std::shared_ptr<const ServerTlsConfig> front_tls, std::shared_ptr<const ClientTlsConfig> trust,
    std::vector<PathRequest> requests) {
  std::vector<std::string> routes;
  for (const PathRequest& request : requests) {
    routes.push_back(absl::StrCat(request.route, "=https://",
                                  request.backend->endpoint().ToString(), "@", request.back_name));
  }
  absl::StatusOr<std::vector<GatewayRoute>> parsed = ParseGatewayRoutes(absl::StrJoin(routes, ","));
  if (!parsed.ok()) return parsed.status();
  absl::StatusOr<std::shared_ptr<const GatewayRoutes>> table =
      GatewayRoutes::Create(*std::move(parsed));
  if (!table.ok()) return table.status();

  auto paths = absl::WrapUnique(
      new Paths(loop, dialer, std::move(server_name), std::move(trust), std::move(requests)));
  HttpGatewayOptions options;
  options.routes = *std::move(table);
  options.back_tls = paths->trust_;
  auto gateway = HttpGateway::Create(loop, dialer, std::move(options), paths.get());
  if (!gateway.ok()) return gateway.status();
  paths->gateway_ = *std::move(gateway);
  TlsTerminatorOptions terminator_options;
  terminator_options.front_tls = std::move(front_tls);
  terminator_options.handler = paths->gateway_.get();
  auto terminator = TlsTerminator::Create(loop, dialer, std::move(terminator_options));
  if (!terminator.ok()) return terminator.status();
  paths->terminator_ = *std::move(terminator);
  auto listener =
      TcpListener::Create(loop, *Endpoint::Parse("127.0.0.1:0"),
                          [block = paths->terminator_.get()](std::unique_ptr<Transport> client) {
                            block->Serve(std::move(client));
                          });
  if (!listener.ok()) return listener.status();
  paths->listener_ = *std::move(listener);
  return paths;
}

void Paths::Run(absl::AnyInvocable<void()> done) {
  done_ = std::move(done);
  RunNext();
}

void Paths::RunNext() {
  if (next_ == requests_.size()) return done_();
  answered_ = reported_ = false;
  HttpRequest request;
  request.method = "GET";
  request.authority = absl::StrCat(server_name_, ":", endpoint().port());
  request.host = server_name_;
  request.target = requests_[next_].target;
  BackendTarget target;
  target.endpoint = endpoint();
  target.scheme = BackendScheme::kHttps;
  target.server_name = server_name_;
  target.tls = trust_;
  const TurnQueue::Turn turn(turns_);
  call_ = std::make_unique<Call>(*this, std::move(request), requests_[next_]);
  pool_.Get(target, *call_);
}

void Paths::OnAnswered(absl::Status status) {
  requests_[next_].status = std::move(status);
  answered_ = true;
  FinishRequest();
}

void Paths::OnRequest(const HttpRequestReport& report) {
  if (next_ == requests_.size()) return;  // A manual test.
  requests_[next_].report = report;
  reported_ = true;
  FinishRequest();
}

// The client has its response and the gateway its report: check everything, then continue.
void Paths::FinishRequest() {
  if (!answered_ || !reported_) return;
  PathRequest& request = requests_[next_];
  request.back_tls = request.backend->last_tls();
  const auto expect = [&](bool good, absl::string_view what) {
    if (!good) request.failures.push_back(absl::StrCat("gateway, ", request.target, ": ", what));
  };
  expect(request.status.ok(), absl::StrCat("the request failed: ", request.status.ToString()));
  expect(request.body == absl::StrCat("hello from ", request.backend->name(), "\n"),
         "the answer is not the backend's");
  expect(request.client_version == HttpVersion::kHttp2, "the client does not use HTTP/2");
  expect(request.reused == (next_ > 0), "the requests do not share one connection");
  expect(request.report.version == HttpVersion::kHttp2 && request.report.status == 200,
         "the gateway reports another request");
  expect(request.report.route == request.route, "the route is not the one for the path");
  expect(request.back_tls.has_value() &&
             CertificateName(request.back_tls->local_chain.front()) == request.back_name,
         "the back leg is not TLS with the backend of the path");
  ++next_;
  loop_.PostFromAnyThread([this] { RunNext(); });
}

}  // namespace trestle::examples
