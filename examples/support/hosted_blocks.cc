#include "examples/support/hosted_blocks.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include "absl/flags/flag.h"
#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "examples/support/log.h"
#include "trestle/base/error.h"
#include "trestle/linux/file.h"
#include "trestle/proxy/route_text.h"
#include "trestle/proxy/sni_passthrough_router.h"
#include "trestle/proxy/tls_bridge.h"
#include "trestle/proxy/tls_terminator.h"
#include "trestle/tls/certificate_store.h"
#include "trestle/tls/client_tls_config.h"
#include "trestle/tls/credential.h"

ABSL_FLAG(std::string, cert, "", "PEM file with the certificate chain for clients");
ABSL_FLAG(std::string, key, "", "PEM file with its private key");
ABSL_FLAG(std::string, offload, "", "NAME=ADDRESS,...: backends that receive clear text");
ABSL_FLAG(std::string, bridge, "",
          "NAME=ADDRESS,...: backends that get a TLS session of their own");
ABSL_FLAG(std::string, pass, "", "NAME=ADDRESS,...: backends that end clients' TLS themselves");
ABSL_FLAG(std::string, backend_ca, "", "PEM file with the CAs of the backends in --bridge");

namespace trestle::examples {
namespace {

absl::StatusOr<std::shared_ptr<const Credential>> LoadCredential() {
  const absl::StatusOr<std::string> chain = ReadFile(absl::GetFlag(FLAGS_cert));
  if (!chain.ok()) return chain.status();
  const absl::StatusOr<std::string> key = ReadFile(absl::GetFlag(FLAGS_key));
  if (!key.ok()) return key.status();
  return Credential::FromPem(*chain, *key);
}

absl::StatusOr<std::shared_ptr<const ClientTlsConfig>> LoadBackTls() {
  absl::StatusOr<std::string> ca = ReadFile(absl::GetFlag(FLAGS_backend_ca));
  if (!ca.ok()) return ca.status();
  ClientTlsOptions options;
  options.ca_pem = *std::move(ca);
  return ClientTlsConfig::Create(options);
}

}  // namespace

absl::StatusOr<std::unique_ptr<HostedBlocks>> HostedBlocks::FromFlags(Scheduler& scheduler,
                                                                      Dialer& dialer,
                                                                      BackendNames* names) {
  auto blocks = absl::WrapUnique(new HostedBlocks(scheduler, dialer, names));
  const absl::Status made = blocks->MakeBlocks();
  if (!made.ok()) return made;
  return blocks;
}

absl::Status HostedBlocks::MakeBlocks() {
  if (absl::Status made = MakeFrontTls(); !made.ok()) return made;
  if (absl::Status added = AddTerminators(); !added.ok()) return added;
  if (absl::Status added = AddBridges(); !added.ok()) return added;
  return AddRouter();
}

absl::StatusOr<std::vector<Route>> HostedBlocks::RoutesFrom(const std::string& flag_value) const {
  absl::StatusOr<std::vector<Route>> routes = ParseRouteList(flag_value);
  if (!routes.ok() || names_ == nullptr) return routes;
  for (Route& route : *routes) {
    absl::Status followed = names_->Follow(std::get<Backends>(route.target));
    if (!followed.ok()) return followed;
  }
  return routes;
}

absl::Status HostedBlocks::MakeFrontTls() {
  auto credential = LoadCredential();
  if (!credential.ok()) return credential.status();
  auto store = CertificateStore::Create({*std::move(credential)}, scheduler_.Now());
  if (!store.ok()) return store.status();
  certificates_ = *std::move(store);
  ServerTlsOptions options;
  options.certificates = certificates_;
  auto front_tls = ServerTlsConfig::Create(options);
  if (!front_tls.ok()) return front_tls.status();
  front_tls_ = *std::move(front_tls);
  return absl::OkStatus();
}

void HostedBlocks::Reload() {
  auto credential = LoadCredential();
  const absl::Status status = credential.ok()
                                  ? certificates_->Replace({*credential}, scheduler_.Now())
                                  : credential.status();
  LogLine(status.ok() ? "reloaded" : absl::StrCat("reload failed: ", status.message()));
}

absl::Status HostedBlocks::AddTerminators() {
  const absl::StatusOr<std::vector<Route>> routes = RoutesFrom(absl::GetFlag(FLAGS_offload));
  if (!routes.ok()) return routes.status();
  for (const Route& route : *routes) {
    TlsTerminatorOptions options;
    options.front_tls = front_tls_;
    options.backend = std::get<Backends>(route.target);
    auto block = TlsTerminator::Create(scheduler_, dialer_, std::move(options), this);
    if (!block.ok()) return block.status();
    routes_.push_back({route.pattern, block->get()});
    blocks_.push_back(*std::move(block));
  }
  return absl::OkStatus();
}

absl::Status HostedBlocks::AddBridges() {
  const absl::StatusOr<std::vector<Route>> routes = RoutesFrom(absl::GetFlag(FLAGS_bridge));
  if (!routes.ok() || routes->empty()) return routes.status();
  const auto back_tls = LoadBackTls();
  if (!back_tls.ok()) return back_tls.status();
  for (const Route& route : *routes) {
    TlsBridgeOptions options;
    options.front_tls = front_tls_;
    options.back_tls = *back_tls;
    options.backend = std::get<Backends>(route.target);
    options.backend_name = route.pattern;
    auto block = TlsBridge::Create(scheduler_, dialer_, std::move(options), this);
    if (!block.ok()) return block.status();
    routes_.push_back({route.pattern, block->get()});
    blocks_.push_back(*std::move(block));
  }
  return absl::OkStatus();
}

absl::Status HostedBlocks::AddRouter() {
  const absl::StatusOr<std::vector<Route>> pass = RoutesFrom(absl::GetFlag(FLAGS_pass));
  if (!pass.ok()) return pass.status();
  routes_.insert(routes_.end(), pass->begin(), pass->end());
  auto table = RouteTable::Create(routes_);
  if (!table.ok()) return table.status();
  SniPassthroughRouterOptions options;
  options.routes = *std::move(table);
  auto router = SniPassthroughRouter::Create(scheduler_, dialer_, std::move(options), this);
  if (!router.ok()) return router.status();
  blocks_.push_back(*std::move(router));
  return absl::OkStatus();
}

void HostedBlocks::OnClosed(const ConnectionReport& report) {
  if (report.handed_over) return;
  ++ended_;
  LogLine(absl::StrCat("mode=", EnumName(report.mode), " sni=", report.server_name, " spliced=",
                       report.front.bytes_spliced, " status=\"", ErrorText(report.error), "\""));
}

// The router drains first, because it hands connections over to the others.
void HostedBlocks::Drain(absl::Duration timeout, absl::AnyInvocable<void()> done) {
  drained_ = std::move(done);
  const MonotonicTime deadline = scheduler_.MonotonicNow() + timeout;
  blocks_.back()->Drain(timeout, [this, deadline] { DrainOthers(deadline); });
}

void HostedBlocks::DrainOthers(MonotonicTime deadline) {
  to_drain_ = blocks_.size();
  const absl::Duration timeout =
      std::max(deadline - scheduler_.MonotonicNow(), absl::ZeroDuration());
  for (const std::unique_ptr<ProxyBlock>& block : blocks_) {
    block->Drain(timeout, [this] {
      if (--to_drain_ == 0) drained_();
    });
  }
}

}  // namespace trestle::examples
