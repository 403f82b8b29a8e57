#include "examples/support/tls_legs.h"

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "examples/support/log.h"
#include "examples/support/pem_files.h"
#include "examples/support/program.h"
#include "examples/support/public_roots.h"
#include "examples/support/spiffe_agent.h"
#include "trestle/pki/finding.h"
#include "trestle/proxy/backends.h"
#include "trestle/proxy/tls_bridge.h"
#include "trestle/tls/certificate_store.h"
#include "trestle/tls/client_tls_config.h"
#include "trestle/tls/credential.h"
#include "trestle/tls/tls_reload.h"

namespace trestle::examples {
namespace {

void WarnOfBackTls(const BackTls& back) {
  for (const Finding& finding : back.Findings())
    LogWarning(absl::StrCat("--backend_cert: ", TextOf(finding)));
}

// The reload function of ServeTls.
class Reloader {
 public:
  Reloader(ProxyHost& host, FrontTls& front, BackTls* back, size_t bridges, AlsoReloaded more)
      : host_(host),
        front_(front),
        back_(back),
        bridges_(bridges),
        more_(std::move(more)),
        reload_(Targets(), front.reload_options()) {}

  // Uses the files for new connections, all or none. Open connections continue, and so do sessions
  // that the new rules allow.
  absl::StatusOr<std::string> Reload() {
    absl::StatusOr<ReloadSources> sources = front_.Read();
    if (!sources.ok()) return sources.status();
    if (back_ != nullptr) {
      if (absl::Status read = back_->Read(*sources); !read.ok()) return read;
    }
    std::string line = DescribeCredentials(sources->certificates);
    absl::StatusOr<PreparedReload> prepared = reload_.Prepare(*std::move(sources), absl::Now());
    if (!prepared.ok()) return prepared.status();
    for (const Finding& finding : prepared->findings()) {
      LogWarning(TextOf(finding));
    }
    if (more_.load) {
      if (absl::Status loaded = more_.load(); !loaded.ok()) return loaded;
    }
    reload_.Commit(*std::move(prepared));
    const std::shared_ptr<const CertificateSet> used = front_.certificates()->current();
    absl::StrAppend(&line, DescribePending(*used));
    if (more_.use) absl::StrAppend(&line, "; ", more_.use());
    front_.LogNews();
    if (back_ != nullptr) WarnOfBackTls(*back_);
    host_.DrainOlderCertificates(used->generation());
    return line;
  }

 private:
  ReloadTargets Targets() {
    ReloadTargets targets = front_.targets();
    if (back_ == nullptr) return targets;
    targets.use_back_tls = [this](const std::shared_ptr<const ClientTlsConfig>& back_tls) {
      back_->Use(back_tls);
      host_.ForEachThread([&](Blocks& blocks) {
        for (size_t i = 0; i < bridges_; ++i) {
          static_cast<TlsBridge&>(*blocks[i]).ReplaceBackTls(back_tls);
        }
      });
    };
    return targets;
  }

  static std::string DescribeCredentials(
      absl::Span<const std::shared_ptr<const Credential>> credentials) {
    std::string line = DescribeCredential(*credentials.front());
    if (credentials.size() > 1) {
      absl::StrAppend(&line, ", and ", credentials.size() - 1, " more certificates");
    }
    return line;
  }

  static std::string DescribePending(const CertificateSet& certificates) {
    std::string text;
    for (const CertificateSet::Pending& pending : certificates.pending()) {
      absl::StrAppend(&text, ", for ", pending.name, " from ",
                      absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", pending.from, absl::UTCTimeZone()));
    }
    return text;
  }

  ProxyHost& host_;
  FrontTls& front_;
  BackTls* const back_;  // Null without bridges.
  const size_t bridges_;
  AlsoReloaded more_;
  TlsReload reload_;
};

// Returns the legs of one route, for each name that its backends' certificates must have.
std::vector<RouteLegs> BridgeLegs(const BackRoute& route, const BackNames& own) {
  const std::string& name = route.backend_name.empty() ? own.backend_name : route.backend_name;
  if (!name.empty() || own.by_client || route.backends.names.empty()) {
    return {LegsTo(route.host, ProxyMode::kBridge, route.backends, name)};
  }
  std::map<std::string, RouteLegs> by_name;
  for (const NamedTarget& target : route.backends.names) {
    RouteLegs& legs = by_name[target.certificate_name()];
    legs.names.push_back(target.ToString());
  }
  for (const GroupedBackend& backend : BackendsNow(route.backends)) {
    const std::string own_name =
        backend.name == nullptr ? std::string() : backend.name->certificate_name();
    by_name[own_name].backends.push_back(backend.endpoint);
  }
  std::vector<RouteLegs> all;
  for (auto& [back_name, legs] : by_name) {
    legs.name = route.host;
    legs.mode = ProxyMode::kBridge;
    legs.back_name = back_name;
    all.push_back(std::move(legs));
  }
  return all;
}

// Adds the certificate that `back` presents to backends.
void WatchBack(const BackTls& back, Watched& watched) {
  watched.back_tls = back.config();
  const std::shared_ptr<const Credential>& presented = back.config()->options().credential;
  if (presented != nullptr) watched.targets.own_clients = {presented};
}

}  // namespace

void ServeTls(ProxyHost& host, FrontTls& front, BackTls* back, size_t bridges, AlsoReloaded more) {
  std::vector<std::string> files = front.files();
  files.insert(files.end(), more.files.begin(), more.files.end());
  if (back != nullptr) {
    WarnOfBackTls(*back);
    for (std::string& file : BackTls::files()) files.push_back(std::move(file));
  }
  if (more.prepare) host.BeforeReload(std::exchange(more.prepare, nullptr));
  host.OnReload([reloader = std::make_unique<Reloader>(
                     host, front, back, bridges, std::move(more))] { return reloader->Reload(); },
                files);
  host.AddPart(front.main_loop_part());
  if (front.spiffe() != nullptr) front.spiffe()->OnUpdate([&host] { host.RequestReload(); });
}

void WatchFront(const FrontTls& front, Watched& watched) {
  watched.targets.own = {front.certificates()};
  watched.ticket_keys = front.config()->options().ticket_keys;
  watched.client_cas = front.client_cas();
  watched.findings = front.Findings();
  watched.spiffe = front.spiffe();
  watched.has_ticket_keys = [&front] { return front.has_ticket_keys(); };
}

std::vector<RouteLegs> LegsOf(absl::Span<const BackRoute> routes, ProxyMode mode) {
  std::vector<RouteLegs> legs;
  for (const BackRoute& route : routes) {
    legs.push_back(LegsTo(route.host, mode, route.backends, route.backend_name));
  }
  return legs;
}

absl::Status CheckBackNames(absl::Span<const BackRoute> routes, absl::string_view flag_value) {
  if (!flag_value.empty() || SpiffeVerifiesBackends()) return absl::OkStatus();
  for (const BackRoute& route : routes) {
    if (!route.backend_name.empty() || route.backends.endpoints.empty()) continue;
    return FlagError("backend_name", absl::StrCat("is required: the backend ",
                                                  route.backends.endpoints.front().ToString(),
                                                  " is an address, which has no name to verify"));
  }
  return absl::OkStatus();
}

absl::Status WatchBridges(absl::Span<const BackRoute> routes, ProxyProtocolOut proxy_header,
                          const BackNames& own, const BackTls& back, Watched& watched) {
  const auto probe = ProbeConfigFor(*back.config());
  if (!probe.ok()) return probe.status();
  WatchBack(back, watched);
  std::vector<std::pair<RouteLegs, std::string>> all;
  for (const BackRoute& route : routes) {
    const bool has_own_name = route.backend_name.empty();
    for (RouteLegs& legs : BridgeLegs(route, own)) {
      all.emplace_back(std::move(legs), has_own_name ? own.verify_name : route.verify_name);
    }
  }
  for (const auto& [legs, verify_name] : all) {
    RouteLegs& shown = watched.routes.emplace_back(legs);
    // A name that depends on the client cannot be probed.
    if (shown.back_name.empty()) continue;
    watched.targets.seen.push_back(shown.back_name);
    for (const Endpoint& endpoint : shown.backends) {
      MonitorTargets::Probed& probed = watched.targets.probed.emplace_back();
      probed.name = shown.back_name;
      probed.config = *probe;
      probed.target.endpoint = endpoint;
      probed.target.server_name = shown.back_name;
      probed.target.proxy_header = proxy_header;
      probed.target.verify_name = verify_name;
    }
  }
  return absl::OkStatus();
}

}  // namespace trestle::examples
