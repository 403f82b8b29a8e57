#include "examples/support/backend_checks.h"

#include <unistd.h>

#include <filesystem>
#include <system_error>
#include <utility>
#include <variant>

#include "absl/flags/flag.h"
#include "absl/memory/memory.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "examples/support/check_flag.h"
#include "examples/support/log.h"
#include "examples/support/program.h"
#include "trestle/linux/ca_files.h"
#include "trestle/linux/file.h"
#include "trestle/wire/server_name.h"

ABSL_FLAG(
    std::string, health_check, "none",
    "checks backends all the time, and keeps connections away from those that are down: none, "
    "tcp (they accept connections), tls (verified as for connections; in clear text: tcp) or "
    "http (they answer GET with --health_status, over TLS where connections use it)");
ABSL_FLAG(std::string, health_path, "/", "with --health_check=http: the path to ask for");
ABSL_FLAG(std::string, health_host, "",
          "with --health_check=http: the host to ask for; default the backend's name or address");
ABSL_FLAG(std::string, health_status, "200-299",
          "with --health_check=http: the status, or the range of statuses, that is good");
ABSL_FLAG(std::vector<std::string>, health_names, {},
          "with --health_check=tls and http: PATTERN=NAME, comma-separated: the server name that "
          "checks of a route without a single name send and verify, such as "
          "*.apps.example=www.apps.example; the pattern default is for the default route and for "
          "--copy_server_name");
ABSL_FLAG(absl::Duration, health_interval, trestle::HealthCheckerOptions().interval,
          "time between two health checks of a backend, a tenth more or less by chance");
ABSL_FLAG(absl::Duration, health_timeout, trestle::HealthCheckerOptions().timeout,
          "time limit of a health check");
ABSL_FLAG(uint32_t, health_fall, trestle::HealthCheckerOptions().fall,
          "consecutive failures after which a backend is down; its first check decides alone");
ABSL_FLAG(uint32_t, health_rise, trestle::HealthCheckerOptions().rise,
          "consecutive successes after which a backend is up again");
ABSL_FLAG(std::string, health_all_down, "try",
          "if all backends of a route are down or ejected: try (all of them) or fail (connections "
          "at once)");

ABSL_FLAG(
    absl::Duration, slow_start, absl::ZeroDuration(),
    "how long a backend that was down, ejected or drained has a smaller share of connections, "
    "which grows from a tenth; 0: it has all of it at once");
ABSL_FLAG(std::string, drain_file, "",
          "file with the addresses of backends that get no new connections, one on each line; read "
          "again when it changes, and may be missing");

namespace trestle::examples {
namespace {

// The pattern of the default route in --health_names, as in routes.
constexpr char kDefaultRoute[] = "default";

constexpr size_t kMaxDrainFileBytes = 1 << 20;

// The number of backends that have a state although nothing is checked or drained.
constexpr size_t kMostIdle = 10'000;

// Reads the lines of a drain file; "#" begins a comment.
absl::StatusOr<std::vector<Endpoint>> ParseDrainFile(absl::string_view text) {
  std::vector<Endpoint> endpoints;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    const absl::StatusOr<Endpoint> endpoint = Endpoint::Parse(line);
    if (!endpoint.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", number, ": ", Sentence(endpoint.status())));
    }
    endpoints.push_back(*endpoint);
  }
  return endpoints;
}

absl::StatusOr<HealthCheckKind> KindFromFlag(absl::string_view text) {
  for (const HealthCheckKind kind : {HealthCheckKind::kNone, HealthCheckKind::kTcp,
                                     HealthCheckKind::kTls, HealthCheckKind::kHttp}) {
    if (text == EnumName(kind)) return kind;
  }
  return FlagError("health_check",
                   absl::StrCat("has \"", text, "\"; write none, tcp, tls or http"));
}

absl::Status ReadStatuses(HealthCheck& check) {
  const std::string text = absl::GetFlag(FLAGS_health_status);
  const std::pair<std::string, std::string> ends = absl::StrSplit(text, absl::MaxSplits('-', 1));
  const std::string& last = absl::StrContains(text, '-') ? ends.second : ends.first;
  if (absl::SimpleAtoi(ends.first, &check.lowest_status) &&
      absl::SimpleAtoi(last, &check.highest_status)) {
    return absl::OkStatus();
  }
  return FlagError("health_status", absl::StrCat("has \"", text, "\"; write 200 or 200-299"));
}

absl::StatusOr<HealthCheckerOptions> ScheduleFromFlags() {
  HealthCheckerOptions options;
  options.interval = absl::GetFlag(FLAGS_health_interval);
  options.timeout = absl::GetFlag(FLAGS_health_timeout);
  const std::pair<const char*, absl::Duration> times[] = {{"health_interval", options.interval},
                                                          {"health_timeout", options.timeout}};
  for (const auto& [flag, time] : times) {
    if (time < absl::Milliseconds(10) || time > absl::Hours(24)) {
      return FlagError(flag, "must be from 10ms to 24h");
    }
  }
  options.fall = absl::GetFlag(FLAGS_health_fall);
  options.rise = absl::GetFlag(FLAGS_health_rise);
  if (options.fall == 0) return FlagError("health_fall", "must be at least 1");
  if (options.rise == 0) return FlagError("health_rise", "must be at least 1");
  options.slow_start = absl::GetFlag(FLAGS_slow_start);
  if (options.slow_start < absl::ZeroDuration() || options.slow_start > absl::Hours(24)) {
    return FlagError("slow_start", "must be from 0 to 24h");
  }
  options.seed = static_cast<uint64_t>(getpid());
  return options;
}

absl::StatusOr<std::map<std::string, std::string>> NamesFromFlag() {
  std::map<std::string, std::string> names;
  for (const std::string& item : absl::GetFlag(FLAGS_health_names)) {
    const std::pair<std::string, std::string> parts = absl::StrSplit(item, absl::MaxSplits('=', 1));
    const absl::StatusOr<std::string> name = NormalizeServerName(parts.second);
    if (parts.first.empty() || !name.ok()) {
      return FlagError("health_names", absl::StrCat("has \"", item, "\"; write PATTERN=NAME"));
    }
    names[absl::AsciiStrToLower(parts.first)] = *name;
  }
  return names;
}

absl::StatusOr<AllDown> AllDownFromFlag() {
  const std::string text = absl::GetFlag(FLAGS_health_all_down);
  if (text == "try") return AllDown::kTryAll;
  if (text == "fail") return AllDown::kFail;
  return FlagError("health_all_down", absl::StrCat("has \"", text, "\"; write try or fail"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<BackendChecks>> BackendChecks::FromFlags(
    EpollLoop& loop, BackendNames& names, ProxyProtocolOut proxy_header) {
  const std::string text = absl::GetFlag(FLAGS_health_check);
  const absl::StatusOr<HealthCheckKind> kind = KindFromFlag(text);
  if (!kind.ok()) return kind.status();
  HealthCheck wanted;
  wanted.kind = HealthCheckKind::kHttp;  // To check all that it needs.
  wanted.path = absl::GetFlag(FLAGS_health_path);
  wanted.host = absl::GetFlag(FLAGS_health_host);
  wanted.proxy_header = proxy_header;
  if (absl::Status read = ReadStatuses(wanted); !read.ok()) return read;
  if (absl::Status bad = CheckHealthCheck(wanted); !bad.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the flags --health_… are wrong: ", Sentence(bad)));
  }
  wanted.kind = *kind;
  absl::StatusOr<HealthCheckerOptions> options = ScheduleFromFlags();
  if (!options.ok()) return options.status();
  const absl::StatusOr<AllDown> all_down = AllDownFromFlag();
  if (!all_down.ok()) return all_down.status();
  auto checks = absl::WrapUnique(new BackendChecks(loop, names, std::move(wanted), *all_down));
  absl::StatusOr<std::map<std::string, std::string>> health_names = NamesFromFlag();
  if (!health_names.ok()) return health_names.status();
  checks->health_names_ = *std::move(health_names);
  if (CheckOnly()) return checks;
  HealthObserver* const observer = checks.get();
  checks->checker_ = std::make_unique<HealthChecker>(loop, checks->dialer_, *options, observer);
  if (absl::Status watched = checks->WatchDrainFile(loop); !watched.ok()) return watched;
  absl::StatusOr<std::unique_ptr<DrainCalls>> calls = DrainCalls::FromFlag(*checks->checker_);
  if (!calls.ok()) return calls.status();
  checks->calls_ = *std::move(calls);
  names.OnChange([checker = checks->checker_.get()] { checker->Refresh(); });
  return checks;
}

absl::Status BackendChecks::WatchDrainFile(EpollLoop& loop) {
  const std::string path = absl::GetFlag(FLAGS_drain_file);
  if (path.empty()) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<FileWatcher>> watcher = FileWatcher::Create(
      loop, {path}, [this, path](absl::Span<const std::string>) { ReadDrainFile(path); });
  if (!watcher.ok()) return watcher.status();
  drain_file_ = *std::move(watcher);
  ReadDrainFile(path);
  return absl::OkStatus();
}

void BackendChecks::ReadDrainFile(const std::string& path) {
  std::vector<Endpoint> endpoints;
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored)) {
    const absl::StatusOr<std::string> text = ReadFile(path, kMaxDrainFileBytes);
    absl::StatusOr<std::vector<Endpoint>> read = text.ok() ? ParseDrainFile(*text) : text.status();
    if (!read.ok()) {
      return LogWarning(
          absl::StrCat("the drain file ", path,
                       " is wrong, what it said before goes on: ", Sentence(read.status())));
    }
    endpoints = *std::move(read);
  }
  const size_t count = endpoints.size();
  checker_->SetDraining("drain file", endpoints);
  LogLine(absl::StrCat("drain file: ", count, count == 1 ? " backend" : " backends"));
}

// The checker limits each dial.
BackendChecks::BackendChecks(EpollLoop& loop, BackendNames& names, HealthCheck wanted,
                             AllDown all_down)
    : names_(names),
      dialer_(loop, {absl::InfiniteDuration(), absl::ZeroDuration()}),
      wanted_(std::move(wanted)),
      all_down_(all_down) {}

absl::Status BackendChecks::UsePassCas(const std::string& ca_path) {
  if (checker_ == nullptr || ca_path.empty()) return absl::OkStatus();
  absl::StatusOr<std::string> ca = ReadCaCertificates(ca_path);
  if (!ca.ok()) return ca.status();
  ClientTlsOptions options;
  options.ca_pem = *std::move(ca);
  absl::StatusOr<std::shared_ptr<const ClientTlsConfig>> config =
      ClientTlsConfig::Create(std::move(options));
  if (!config.ok()) return CannotUse(ca_path, config.status());
  pass_tls_ = *std::move(config);
  return absl::OkStatus();
}

void BackendChecks::OnHealthChanged(const HealthChange& change) {
  LogLine(absl::StrCat("backend ", change.ToString()));
}

absl::StatusOr<Backends> BackendChecks::Parse(absl::string_view flag, absl::string_view value,
                                              const CheckedLeg& leg) {
  absl::StatusOr<Backends> backends = names_.Parse(flag, value);
  if (!backends.ok()) return backends;
  if (absl::Status followed = Follow(*backends, leg); !followed.ok()) return followed;
  return backends;
}

absl::Status BackendChecks::Follow(Backends& backends, const CheckedLeg& leg) {
  if (absl::Status followed = names_.Follow(backends); !followed.ok()) return followed;
  backends.all_down = all_down_;
  if (checker_ == nullptr || backends.empty()) return absl::OkStatus();
  const bool idle =
      wanted_.kind == HealthCheckKind::kNone && drain_file_ == nullptr && calls_ == nullptr;
  if (idle && checker_->size() >= kMostIdle) return absl::OkStatus();
  return checker_->Watch(backends, CheckFor(leg));
}

absl::Status BackendChecks::Follow(absl::Span<Route> routes, ProxyMode mode) {
  for (Route& route : routes) {
    Backends* const backends = std::get_if<Backends>(&route.target);
    if (backends == nullptr) continue;
    if (absl::Status followed = Follow(*backends, {mode, route.pattern}); !followed.ok()) {
      return followed;
    }
  }
  return absl::OkStatus();
}

std::vector<HealthStatus> BackendChecks::backends() const {
  return checker_ == nullptr ? std::vector<HealthStatus>() : checker_->backends();
}

// Legs that are opened in the same way have one check: each backend has one state for them, and is
// checked once.
std::shared_ptr<const HealthCheck> BackendChecks::CheckFor(const CheckedLeg& leg) {
  const bool bridge = leg.mode == ProxyMode::kBridge;
  const bool pass = leg.mode == ProxyMode::kPassthrough;
  const std::string name = NameFor(leg);
  const bool tls = ChecksTls(leg, name);
  const std::string same =
      absl::StrCat(EnumName(leg.mode), " ", tls ? name : "", " ", bridge ? leg.name : "", " ",
                   bridge ? leg.verify_name : "", " ", leg.by_client, " ", leg.http2);
  std::shared_ptr<const HealthCheck>& check = checks_[same];
  if (check != nullptr) return check;
  auto made = std::make_shared<HealthCheck>();
  const bool plain_http = wanted_.kind == HealthCheckKind::kHttp && !bridge && !pass;
  const bool none = wanted_.kind == HealthCheckKind::kNone;
  made->kind = none || tls || plain_http ? wanted_.kind : HealthCheckKind::kTcp;
  made->proxy_header = wanted_.proxy_header;
  made->path = wanted_.path;
  made->host = wanted_.host;
  made->http2 = leg.http2;
  made->lowest_status = wanted_.lowest_status;
  made->highest_status = wanted_.highest_status;
  if (tls) {
    made->server_name = name;
    made->tls = [this, bridge] { return bridge ? bridge_tls_() : pass_tls_; };
    made->verify_name = leg.verify_name;
  }
  check = std::move(made);
  return check;
}

// Returns the name to send, which is empty if it is that of each backend, or not known.
std::string BackendChecks::NameFor(const CheckedLeg& leg) const {
  const bool single = !leg.name.empty() && leg.name.front() != '*';
  const bool pass = leg.mode == ProxyMode::kPassthrough;
  if (single || !(pass || leg.by_client)) return leg.name;
  const auto known = health_names_.find(leg.name.empty() ? std::string(kDefaultRoute)
                                                         : absl::AsciiStrToLower(leg.name));
  return known == health_names_.end() ? "" : known->second;
}

// Returns whether checks can go as far as a handshake; warns of what is missing.
bool BackendChecks::ChecksTls(const CheckedLeg& leg, const std::string& name) {
  const bool wanted =
      wanted_.kind == HealthCheckKind::kTls || wanted_.kind == HealthCheckKind::kHttp;
  if (!wanted || leg.mode == ProxyMode::kOffload) return false;
  const bool pass = leg.mode == ProxyMode::kPassthrough;
  if (pass && pass_tls_ == nullptr) {
    WarnOnce("backends that connections pass to: --probe_ca has the CAs of their certificates");
    return false;
  }
  if (!name.empty() || (!pass && !leg.by_client)) return true;
  const std::string pattern = leg.name.empty() ? std::string(kDefaultRoute) : leg.name;
  WarnOnce(absl::StrCat("backends of ", pattern, ": --health_names=", pattern,
                        "=NAME has the name to ask for"));
  return false;
}

void BackendChecks::WarnOnce(const std::string& what) {
  constexpr size_t kMost = 8;
  if (warnings_.size() == kMost || !warnings_.insert(what).second) return;
  LogWarning(absl::StrCat("health checks go no further than TCP for ", what));
}

}  // namespace trestle::examples
