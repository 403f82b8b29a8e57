#include "examples/support/backend_names.h"

#include <utility>

#include "absl/flags/flag.h"
#include "absl/memory/memory.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "examples/support/log.h"
#include "examples/support/program.h"
#include "trestle/proxy/route_text.h"

ABSL_FLAG(std::string, dns_servers, "",
          "IP or IP:PORT of DNS servers for names of backends, comma-separated; default those of "
          "/etc/resolv.conf. Names are also in /etc/hosts");
ABSL_FLAG(absl::Duration, dns_wait, absl::Seconds(5),
          "how long a start, and a reload with new names, waits for the first answers about names "
          "of backends; after it, names without an answer have no address");

namespace trestle::examples {
namespace {

constexpr uint16_t kDnsPort = 53;
constexpr size_t kMaxShown = 8;
constexpr absl::Duration kLongestWait = absl::Minutes(10);

absl::StatusOr<Endpoint> ParseServer(absl::string_view text) {
  absl::StatusOr<Endpoint> server = Endpoint::ParseIp(text);
  if (!server.ok()) {
    const bool v6 = absl::StrContains(text, ':') && !absl::StrContains(text, '[');
    server = Endpoint::ParseIp(v6 ? absl::StrCat("[", text, "]:", kDnsPort)
                                  : absl::StrCat(text, ":", kDnsPort));
  }
  if (server.ok() && server->CheckDialable().ok()) return server;
  return FlagError("dns_servers",
                   absl::StrCat("has \"", text, "\"; write IP or IP:PORT, comma-separated"));
}

absl::StatusOr<std::vector<Endpoint>> ServersFromFlag() {
  std::vector<Endpoint> servers;
  for (const absl::string_view item :
       absl::StrSplit(absl::GetFlag(FLAGS_dns_servers), ',', absl::SkipEmpty())) {
    const absl::StatusOr<Endpoint> server = ParseServer(item);
    if (!server.ok()) return server.status();
    servers.push_back(*server);
  }
  return servers;
}

}  // namespace

absl::StatusOr<std::unique_ptr<BackendNames>> BackendNames::FromFlags(EpollLoop& loop, bool quiet) {
  absl::StatusOr<std::vector<Endpoint>> servers = ServersFromFlag();
  if (!servers.ok()) return servers.status();
  const absl::Duration wait = absl::GetFlag(FLAGS_dns_wait);
  if (wait < absl::ZeroDuration() || wait > kLongestWait) {
    return FlagError("dns_wait",
                     absl::StrCat("must be from 0 to ", absl::FormatDuration(kLongestWait)));
  }
  return absl::WrapUnique(new BackendNames(loop, *std::move(servers), wait, quiet));
}

BackendNames::BackendNames(EpollLoop& loop, std::vector<Endpoint> servers, absl::Duration wait,
                           bool quiet)
    : loop_(loop), servers_(std::move(servers)), wait_(wait), quiet_(quiet) {}

absl::StatusOr<Backends> BackendNames::Parse(absl::string_view flag, absl::string_view value) {
  if (value.empty()) return FlagError(flag, "is required, as IP:PORT, unix:PATH or HOST:PORT");
  absl::StatusOr<Backends> backends = ParseBackends(value);
  if (!backends.ok()) {
    return FlagError(flag, absl::StrCat("is wrong: ", Sentence(backends.status())));
  }
  if (absl::Status followed = Follow(*backends); !followed.ok()) return followed;
  return backends;
}

absl::Status BackendNames::Follow(Backends& backends) {
  if (backends.names.empty()) return absl::OkStatus();
  if (names_ == nullptr) {
    if (absl::Status started = StartResolver(); !started.ok()) return started;
  }
  return names_->Follow(backends);
}

absl::Status BackendNames::StartResolver() {
  CaresResolverOptions options;
  options.servers = servers_;
  absl::StatusOr<std::unique_ptr<CaresResolver>> resolver =
      CaresResolver::Create(loop_, std::move(options));
  if (!resolver.ok()) return resolver.status();
  resolver_ = *std::move(resolver);
  ResolvedBackendsOptions names;
  names.may_use = [this](const Endpoint& endpoint) { return !refused_ || !refused_(endpoint); };
  NameObserver* const observer = this;
  names_ = std::make_unique<ResolvedBackends>(loop_, *resolver_, std::move(names), observer);
  return absl::OkStatus();
}

void BackendNames::OnNameChanged(const NameChange& change) {
  ++changes_;
  if (!quiet_) LogLine(absl::StrCat("backend name ", change.ToString()));
  if (on_change_) on_change_();
}

void BackendNames::WaitForAnswers() {
  bool over = false;
  WhenAnswered([&over] { over = true; });
  while (!over) loop_.RunTurn(wait_);
  if (quiet_) return;
  for (const NameStatus& name : names()) {
    if (!name.endpoints.empty()) continue;
    const std::string why = name.error.has_value() ? name.error->detail
                                                   : absl::StrCat("DNS gave no answer within ",
                                                                  absl::FormatDuration(wait_));
    LogWarning(absl::StrCat("the backend name ", name.target.ToString(), " has no address: ", why,
                            "; connections for it fail until DNS has one"));
  }
}

void BackendNames::WhenAnswered(absl::AnyInvocable<void()> done) {
  if (names_ == nullptr) return done();
  when_answered_ = std::move(done);
  limit_ = loop_.RunAfter(wait_, [this] { EndWait(); });
  names_->WhenAnswered([this] { EndWait(); });
}

void BackendNames::EndWait() {
  limit_.reset();
  names_->WhenAnswered(nullptr);
  if (when_answered_) std::exchange(when_answered_, nullptr)();
}

std::vector<NameStatus> BackendNames::names() const {
  return names_ == nullptr ? std::vector<NameStatus>() : names_->names();
}

std::vector<std::string> BackendNames::Missing() const {
  std::vector<std::string> missing;
  for (const NameStatus& name : names()) {
    if (missing.size() == kMaxShown) break;
    if (!name.endpoints.empty()) continue;
    missing.push_back(absl::StrCat(name.target.ToString(), " (", EnumName(name.condition), ")"));
  }
  return missing;
}

}  // namespace trestle::examples
