#include "integrations/prometheus/admin_server.h"

#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace trestle {

absl::StatusOr<std::unique_ptr<AdminServer>> AdminServer::Start(const Endpoint& listen,
                                                                const ProxyMetrics& metrics,
                                                                PageServerOptions options) {
  auto server = absl::WrapUnique(new AdminServer(metrics));
  options.urgent_paths = {kHealthPath, kReadyPath};
  auto pages = PageServer::Start(
      listen, [server = server.get()](absl::string_view path) { return server->PageAt(path); },
      std::move(options));
  if (!pages.ok()) return pages.status();
  server->pages_ = *std::move(pages);
  return server;
}

void AdminServer::SetRoutes(std::vector<RouteLegs> routes) {
  absl::MutexLock lock(&mutex_);
  routes_ = std::move(routes);
}

void AdminServer::SetPools(std::vector<PoolLegs> pools) {
  absl::MutexLock lock(&mutex_);
  pools_ = std::move(pools);
}

void AdminServer::SetFindings(std::vector<Finding> findings) {
  absl::MutexLock lock(&mutex_);
  findings_ = std::move(findings);
}

void AdminServer::SetHealth(std::vector<HealthStatus> backends) {
  absl::MutexLock lock(&mutex_);
  health_ = std::move(backends);
}

void AdminServer::SetNames(std::vector<NameStatus> names) {
  absl::MutexLock lock(&mutex_);
  names_ = std::move(names);
}

void AdminServer::SetSpiffe(SpiffeStatus status) {
  absl::MutexLock lock(&mutex_);
  spiffe_ = std::move(status);
}

void AdminServer::SetNotReady(std::string why) {
  absl::MutexLock lock(&mutex_);
  not_ready_ = std::move(why);
}

Page AdminServer::ReadyPage() const {
  if (draining_) return {503, Page().type, "draining\n"};
  absl::MutexLock lock(&mutex_);
  if (not_ready_.empty()) return {200, Page().type, "ready\n"};
  return {503, Page().type, absl::StrCat("not ready: ", not_ready_, "\n")};
}

LegsView AdminServer::View() const {
  LegsView view;
  view.certificates = metrics_.certificates();
  view.ech = metrics_.ech_counts();
  absl::MutexLock lock(&mutex_);
  view.routes = routes_;
  view.pools = pools_;
  view.findings = findings_;
  view.health = health_;
  view.names = names_;
  view.spiffe = spiffe_;
  return view;
}

Page AdminServer::PageAt(absl::string_view path) const {
  Page page;
  if (path == "/metrics") {
    page.type = "text/plain; version=0.0.4; charset=utf-8";
    page.body = metrics_.Text(absl::Now());
  } else if (path == kHealthPath) {
    page.status = draining_ ? 503 : 200;
    page.body = draining_ ? "draining\n" : "ok\n";
  } else if (path == kReadyPath) {
    return ReadyPage();
  } else if (path == "/legs") {
    page.type = "application/json";
    page.body = LegsJson(View(), absl::Now());
  } else if (path == "/") {
    page.type = "text/html; charset=utf-8";
    page.body = LegsPage(View(), absl::Now());
  } else {
    page.status = 404;
    page.body = "there are /, /legs, /metrics, /healthz and /readyz\n";
  }
  return page;
}

}  // namespace trestle
