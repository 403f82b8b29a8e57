#include "integrations/http/front_connection.h"

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "integrations/http/gateway_core.h"
#include "integrations/http/http1_server.h"
#include "integrations/http/http2_server.h"
#include "trestle/base/endpoint.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

bool Covers(const CertificateInfo& certificate, const std::string& host) {
  if (absl::c_linear_search(certificate.ip_names, host)) return true;
  return absl::c_any_of(certificate.dns_names, [&](const std::string& name) {
    const absl::StatusOr<NamePattern> pattern = NamePattern::Parse(name);
    return pattern.ok() && pattern->Matches(host);
  });
}

}  // namespace

FrontConnection::FrontConnection(GatewayCore& core, Accepted connection)
    : core_(core),
      slot_(std::move(connection.slot)),
      last_activity_(core.scheduler.MonotonicNow()) {
  report_.id = connection.reported_as;
  report_.accepted = core.scheduler.Now();
  report_.front.peer = connection.origin.peer;
  report_.front.local = connection.origin.local;
  report_.front.via = connection.origin.via;
  report_.front.tls = connection.tls;
  if (connection.tls != nullptr) report_.server_name = connection.tls->server_name;
  rewriter_.emplace(core.options.forwarding, report_);
  // A block that lends its leg gives the client time to read the end itself.
  const bool lent = connection.reported_as != 0;
  wire_ = std::make_unique<HttpWire>(core.turns, core.scheduler, std::move(connection.transport),
                                     *this, /*linger=*/!lent);
  const HttpLimits& limits = core.options.limits;
  if (connection.tls != nullptr && connection.tls->alpn == "h2") {
    codec_ = std::make_unique<Http2Server>(limits, *this, *wire_);
  } else {
    codec_ = std::make_unique<Http1Server>(limits, *this, *wire_);
  }
}

void FrontConnection::Start() {
  wire_->Start(*codec_);
  Limit(std::min(core_.options.timeouts.idle, core_.options.timeouts.head));
  if (core_.draining) Drain();
}

void FrontConnection::Cut() {
  wire_->Abort();
  codec_->OnLost(absl::CancelledError("the gateway is gone"));
}

bool FrontConnection::trusted() const {
  return core_.options.forwarding.append_from.Contains(report_.front.peer);
}

bool FrontConnection::MayAskFor(const std::string& host) const {
  const GatewayHosts hosts = core_.options.hosts;
  if (report_.front.tls == nullptr || hosts == GatewayHosts::kAny) return true;
  const std::string& server_name = report_.server_name;
  // A client without a server name has connected to an address.
  if (server_name.empty() ? Endpoint::ParseIp(absl::StrCat(host, ":1")).ok()
                          : host == server_name) {
    return true;
  }
  const ChainInfo& chain = report_.front.tls->local_chain;
  return hosts == GatewayHosts::kCertificate && !chain.empty() && Covers(chain.front(), host);
}

HttpExchange* FrontConnection::OnRequest(FrontStream& stream, HttpRequest request) {
  auto exchange = std::make_unique<RequestExchange>(core_, *this, stream);
  RequestExchange* const begun = exchange.get();
  core_.exchanges.emplace(begun, std::move(exchange));
  begun->Begin(std::move(request));
  return begun;
}

HttpExchange* FrontConnection::OnRefused(FrontStream& stream, HttpRequest request,
                                         HttpRefusal refusal) {
  auto exchange = std::make_unique<RequestExchange>(core_, *this, stream);
  RequestExchange* const begun = exchange.get();
  core_.exchanges.emplace(begun, std::move(exchange));
  begun->BeginRefused(std::move(request), std::move(refusal));
  return begun;
}

void FrontConnection::OnWireActivity() {
  last_activity_ = core_.scheduler.MonotonicNow();
  if (!codec_->in_head()) {
    head_began_.reset();
  } else if (!head_began_.has_value()) {
    head_began_ = last_activity_;
    Limit(core_.options.timeouts.head);
  }
}

void FrontConnection::Limit(absl::Duration delay) {
  limit_ = core_.scheduler.RunAfter(delay, [this] {
    const TurnQueue::Turn turn(core_.turns);
    OnLimit();
  });
}

// Requests in progress have their own limits.
void FrontConnection::OnLimit() {
  const HttpTimeouts& timeouts = core_.options.timeouts;
  const MonotonicTime now = core_.scheduler.MonotonicNow();
  if (head_began_.has_value() && codec_->in_head()) {
    const absl::Duration left = timeouts.head - (now - *head_began_);
    if (left > absl::ZeroDuration()) return Limit(left);
    head_began_.reset();
    codec_->TimeOutHead();
    return Limit(timeouts.idle);
  }
  if (!codec_->idle()) return Limit(timeouts.idle);
  const absl::Duration left = timeouts.idle - (now - last_activity_);
  if (left > absl::ZeroDuration() && !ending_) return Limit(left);
  if (std::exchange(ending_, true)) {
    Cut();
    return OnWireOver(absl::OkStatus());
  }
  codec_->Drain();
  Limit(timeouts.head);
}

void FrontConnection::OnWireOver(const absl::Status&) {
  limit_.reset();
  const auto found = core_.connections.find(this);
  if (found == core_.connections.end()) return;
  core_.turns.Bury(std::move(found->second));
  core_.connections.erase(found);
}

}  // namespace trestle
