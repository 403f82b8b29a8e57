#include "trestle/proxy/tls_bridge.h"

#include <utility>

#include "absl/algorithm/container.h"
#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "lib/proxy/eager_alpn.h"
#include "lib/proxy/option_checks.h"
#include "lib/proxy/tls_front_plan.h"
#include "lib/proxy/tls_leg.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

// What TLS servers without ALPN speak to a client of HTTP. HTTP/2 needs ALPN (RFC 9113 3.2).
constexpr absl::string_view kSpokenWithoutAlpn = "http/1.1";

// One client may have any number of addresses within one.
constexpr size_t kIpv6NetworkBytes = 8;

using ByBackend = absl::flat_hash_map<Endpoint, std::shared_ptr<const ClientTlsConfig>>;

}  // namespace

class TlsBridge::Plan final : public TlsFrontPlan {
 public:
  Plan(Scheduler& scheduler, TlsBridgeOptions options)
      : TlsFrontPlan(scheduler, std::move(options.front_tls), std::move(options.backend),
                     std::move(options.new_inspector), std::move(options.content)),
        back_tls_(std::move(options.back_tls)),
        back_tls_by_backend_(std::move(options.back_tls_by_backend)),
        back_sessions_(options.back_sessions),
        backend_name_(std::move(options.backend_name)),
        verify_name_(std::move(options.backend_verify_name)),
        copy_server_name_(options.copy_server_name),
        compute_name_(std::move(options.compute_backend_name)),
        tells_client_(options.connection.proxy_protocol_to_backend != ProxyProtocolOut::kNone),
        is_eager_(options.eager_alpn.enabled),
        eager_(options.eager_alpn) {}

  ProxyMode mode() const override { return ProxyMode::kBridge; }

  std::unique_ptr<LegOpener> NewFront(FrontContext context) override {
    HelloHook* const hook = is_eager_ ? &context.hook : nullptr;
    return NewTlsFront(std::move(context), hook);
  }

  std::vector<std::string> AlpnToOffer(const HelloToAnswer& hello) override {
    std::vector<std::string> common;
    for (const std::string& protocol : front_tls().options().alpn) {
      if (absl::c_linear_search(hello.alpn, protocol)) common.push_back(protocol);
    }
    return common;
  }

  std::optional<absl::StatusOr<HelloAnswer>> AnswerHello(const HelloToAnswer& hello,
                                                         const Candidate& backend,
                                                         BackRequest& request) override {
    if (hello.alpn.empty()) return HelloAnswer{};
    std::vector<std::string> common = std::exchange(request.alpn_to_offer, {});
    if (common.empty() && front_tls().options().alpn_mismatch == AlpnMismatch::kServeWithout) {
      return HelloAnswer{};
    }
    if (common.empty()) {
      return MakeError(ErrorCode::kAlpnMismatch, Leg::kFront, Phase::kHandshake,
                       "the client offers none of the application protocols served here");
    }
    const MonotonicTime now = scheduler().MonotonicNow();
    if (std::optional<std::string> known =
            eager_.Remembered(backend.endpoint, hello.server_name, common, now)) {
      return HelloAnswer{*std::move(known)};
    }
    if (!eager_.MayDial(request.report.front.peer, now)) return HelloAnswer{common.front()};
    request.alpn_to_offer = std::move(common);
    return std::nullopt;
  }

  void OnBackOpened(const BackRequest& request, const absl::Status& status) override {
    if (!is_eager_) return;
    if (status.ok() && !request.alpn_to_offer.empty()) {
      const LegReport& back = request.report.back;
      eager_.Remember(back.peer, request.report.server_name, request.alpn_to_offer, back.tls->alpn,
                      scheduler().MonotonicNow());
    }
    const std::optional<Error> error = GetError(status);
    if (!error.has_value()) return;
    const bool about_alpn =
        error->code == ErrorCode::kAlpnMismatch || error->code == ErrorCode::kPeerAlert;
    if (about_alpn) eager_.Forget();
  }

  absl::StatusOr<Choice> Choose(const ConnectionReport& report) override {
    if (copy_server_name_ && report.server_name.empty() && backend_name_.empty()) {
      return MakeError(ErrorCode::kNoRoute, Leg::kFront, Phase::kRoute,
                       "the client sent no server name, which the backend's is to be copied from");
    }
    return TlsFrontPlan::Choose(report);
  }

  std::string ShownToBackend(const BackRequest& request) override {
    const std::string& server_name = request.report.server_name;
    std::string shown;
    // Length-prefixed, because clients control the parts.
    const auto add = [&shown](absl::string_view part) {
      absl::StrAppend(&shown, part.size(), ":", part);
    };
    const bool tells_client = tells_client_ || static_cast<bool>(compute_name_);
    if (!request.backend_name.empty()) {
      add(request.backend_name);
    } else if (tells_client || (copy_server_name_ && !server_name.empty())) {
      add(server_name);
    }
    for (const std::string& protocol : request.alpn_to_offer) add(protocol);
    if (request.alpn_to_offer.empty() && !request.alpn().empty()) add(request.alpn());
    if (tells_client)
      add(AsText(request.report.front.peer.address().subspan(0, kIpv6NetworkBytes)));
    return shown;
  }

  absl::StatusOr<std::unique_ptr<LegOpener>> NewBack(const BackRequest& request,
                                                     const Candidate& backend) override {
    ClientTlsTarget target;
    target.server_name = NameFor(request, backend);
    // An invalid computed name must fail even with a valid verify name. Content routing sets both
    // names itself.
    if (!target.server_name.empty() && request.backend_name.empty()) {
      target.verify_name = verify_name_;
    }
    target.endpoint = backend.endpoint;
    if (backend.name != nullptr) target.host = backend.name->ToString();
    target.sessions = &back_sessions_;
    if (!request.alpn_to_offer.empty()) {
      target.alpn = request.alpn_to_offer;
      target.alpn_optional = true;
    } else if (!request.alpn().empty()) {
      target.alpn.emplace_back(request.alpn());
      target.alpn_optional = request.alpn() == kSpokenWithoutAlpn;
    }
    absl::StatusOr<std::unique_ptr<TlsEngine>> engine =
        TlsEngine::NewClient(BackTlsFor(backend), target, scheduler(), Leg::kBack);
    if (!engine.ok()) return engine.status();
    return std::make_unique<TlsLeg>(scheduler(), *std::move(engine));
  }

  void ReplaceBackTls(std::shared_ptr<const ClientTlsConfig> back_tls) {
    // Sessions of another policy are never offered again.
    if (back_tls->policy() != back_tls_->policy()) back_sessions_.Clear();
    back_tls_ = std::move(back_tls);
  }

  void ReplaceBackTlsByBackend(ByBackend by_backend) {
    back_sessions_.Clear();
    back_tls_by_backend_ = std::move(by_backend);
  }

  const ClientSessionCache& back_sessions() const { return back_sessions_; }

 private:
  // No answer of DNS selects a config.
  const std::shared_ptr<const ClientTlsConfig>& BackTlsFor(const Candidate& backend) const {
    if (backend.name != nullptr) return back_tls_;
    const auto own = back_tls_by_backend_.find(backend.endpoint);
    return own == back_tls_by_backend_.end() ? back_tls_ : own->second;
  }

  std::string NameFor(const BackRequest& request, const Candidate& backend) {
    if (!request.backend_name.empty()) return request.backend_name;
    const std::string& server_name = request.report.server_name;
    const std::string own = backend.name != nullptr ? backend.name->certificate_name() : "";
    if (compute_name_) {
      return compute_name_(
          {server_name, request.alpn(), request.report.front.peer, backend.endpoint, own});
    }
    if (copy_server_name_ && !server_name.empty()) return server_name;
    return backend_name_.empty() ? own : backend_name_;
  }

  std::shared_ptr<const ClientTlsConfig> back_tls_;
  ByBackend back_tls_by_backend_;
  ClientSessionCache back_sessions_;
  const std::string backend_name_;
  const std::string verify_name_;
  const bool copy_server_name_;
  BackendNamer compute_name_;
  const bool tells_client_;  // Sends the client's address in a PROXY header.
  const bool is_eager_;
  EagerAlpn eager_;
};

namespace {

bool HasNull(const ByBackend& by_backend) {
  return absl::c_any_of(by_backend, [](const auto& entry) { return entry.second == nullptr; });
}

// Rejects invalid names at set-up instead of at the first connection.
absl::Status CheckNames(Scheduler& scheduler, const TlsBridgeOptions& options) {
  const bool computed = static_cast<bool>(options.compute_backend_name);
  if (computed && (options.copy_server_name || !options.backend_name.empty())) {
    return ConfigurationError("the backend's name is computed: it can't also be fixed or copied");
  }
  const bool fixed = !computed && !(options.copy_server_name && options.backend_name.empty());
  ClientTlsTarget target;
  target.server_name = fixed ? options.backend_name : "checked.later";
  const Backends& backend = options.backend;
  if (target.server_name.empty() && backend.endpoints.empty() && !backend.names.empty()) {
    target.server_name = backend.names.front().certificate_name();
  }
  if (!target.server_name.empty()) target.verify_name = options.backend_verify_name;
  return TlsEngine::NewClient(options.back_tls, target, scheduler, Leg::kBack).status();
}

}  // namespace

absl::StatusOr<std::unique_ptr<TlsBridge>> TlsBridge::Create(Scheduler& scheduler, Dialer& dialer,
                                                             TlsBridgeOptions options,
                                                             ConnectionObserver* observer) {
  if (options.front_tls == nullptr) return ConfigurationError("the bridge needs front_tls");
  if (options.back_tls == nullptr) return ConfigurationError("the bridge needs back_tls");
  if (absl::Status s = CheckOwnBackend(options.backend, options.content); !s.ok()) return s;
  if (options.eager_alpn.window <= absl::ZeroDuration()) {
    return ConfigurationError("the window of eager_alpn must be more than zero");
  }
  if (absl::Status status = CheckContentRouting(options.content); !status.ok()) return status;
  if (absl::Status status = CheckConnectionOptions(options.connection); !status.ok()) return status;
  if (!options.dangerous_unread_http2) {
    absl::Status status = CheckUnreadHttp2(options.front_tls->options(), options.connection);
    if (!status.ok()) return status;
  }
  if (options.eager_alpn.enabled && options.front_tls->options().alpn.empty()) {
    return ConfigurationError("eager_alpn needs application protocols in front_tls");
  }
  if (options.eager_alpn.enabled && options.content.new_reader) {
    return ConfigurationError(
        "eager_alpn has chosen the backend before there is any content to route by: leave out one");
  }
  if (HasNull(options.back_tls_by_backend)) {
    return ConfigurationError("a backend in back_tls_by_backend has no config");
  }
  if (absl::Status status = CheckNames(scheduler, options); !status.ok()) return status;
  const ConnectionOptions connection = options.connection;
  auto plan = std::make_unique<Plan>(scheduler, std::move(options));
  Plan* const own_plan = plan.get();
  return absl::WrapUnique(
      new TlsBridge(scheduler, dialer, connection, observer, std::move(plan), own_plan));
}

TlsBridge::TlsBridge(Scheduler& scheduler, Dialer& dialer, const ConnectionOptions& options,
                     ConnectionObserver* observer, std::unique_ptr<ConnectionPlan> base_plan,
                     Plan* plan)
    : ProxyBlock(scheduler, dialer, options, observer, std::move(base_plan)), plan_(plan) {}

void TlsBridge::ReplaceBackTls(std::shared_ptr<const ClientTlsConfig> back_tls) {
  if (back_tls != nullptr) plan_->ReplaceBackTls(std::move(back_tls));
}

void TlsBridge::ReplaceBackTlsByBackend(ByBackend by_backend) {
  if (!HasNull(by_backend)) plan_->ReplaceBackTlsByBackend(std::move(by_backend));
}

const ClientSessionCache& TlsBridge::back_sessions() const { return plan_->back_sessions(); }

}  // namespace trestle
