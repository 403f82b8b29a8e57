#include "examples/support/spiffe_agent.h"

#include <unistd.h>

#include <utility>

#include "absl/flags/flag.h"
#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "examples/support/log.h"
#include "examples/support/program.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/error.h"
#include "trestle/pki/spiffe_id.h"

ABSL_FLAG(std::string, spiffe_agent, "",
          "unix:PATH of a SPIFFE agent's Workload API. Its SVID is the certificate for clients, "
          "unless there is --cert or --certs_dir, and for backends with --spiffe_backends. It is "
          "renewed while the proxy runs (docs/spiffe.md)");
ABSL_FLAG(std::string, spiffe_id, "",
          "the SVID to take, if the agent has several for this process, as in "
          "spiffe://example.org/edge. Default: the first");
ABSL_FLAG(std::string, spiffe_clients, "",
          "accepts only clients whose SVID has one of these IDs, comma-separated; "
          "spiffe://DOMAIN/PATH/* is a prefix. The bundle of each trust domain verifies its own. "
          "Instead of --client_ca");
ABSL_FLAG(std::string, spiffe_backends, "",
          "accepts only backends whose SVID has one of these IDs, likewise, and presents the own "
          "SVID to them. Instead of --backend_ca and of the name in the certificate");
ABSL_FLAG(absl::Duration, spiffe_wait, absl::Seconds(30),
          "how long a start waits for the first SVID; then it fails");

namespace trestle::examples {
namespace {

constexpr absl::Duration kLongestWait = absl::Minutes(10);

absl::StatusOr<std::vector<std::string>> Patterns(absl::string_view flag,
                                                  const std::string& value) {
  std::vector<std::string> patterns = absl::StrSplit(value, ',', absl::SkipEmpty());
  for (const std::string& pattern : patterns) {
    if (absl::Status checked = CheckSpiffePattern(pattern); !checked.ok()) {
      return FlagError(flag, absl::StrCat("is wrong: ", Sentence(checked)));
    }
  }
  return patterns;
}

}  // namespace

bool SpiffeVerifiesClients() { return !absl::GetFlag(FLAGS_spiffe_clients).empty(); }

bool SpiffeVerifiesBackends() { return !absl::GetFlag(FLAGS_spiffe_backends).empty(); }

absl::Status RefuseSpiffe(absl::string_view why) {
  for (const auto& [flag, value] :
       {std::pair<const char*, std::string>("spiffe_agent", absl::GetFlag(FLAGS_spiffe_agent)),
        {"spiffe_id", absl::GetFlag(FLAGS_spiffe_id)},
        {"spiffe_clients", absl::GetFlag(FLAGS_spiffe_clients)},
        {"spiffe_backends", absl::GetFlag(FLAGS_spiffe_backends)}}) {
    if (!value.empty()) return FlagError(flag, why);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<SpiffeAgent>> SpiffeAgent::FromFlags(EpollLoop& loop) {
  if (absl::GetFlag(FLAGS_spiffe_agent).empty()) {
    if (absl::Status alone = RefuseSpiffe("needs --spiffe_agent"); !alone.ok()) return alone;
    return nullptr;
  }
  auto agent = absl::WrapUnique(new SpiffeAgent(loop));
  auto clients = Patterns("spiffe_clients", absl::GetFlag(FLAGS_spiffe_clients));
  if (!clients.ok()) return clients.status();
  agent->clients_ = *std::move(clients);
  auto backends = Patterns("spiffe_backends", absl::GetFlag(FLAGS_spiffe_backends));
  if (!backends.ok()) return backends.status();
  agent->backends_ = *std::move(backends);
  if (absl::Status started = agent->Start(loop); !started.ok()) return started;
  return agent;
}

absl::Status SpiffeAgent::Start(EpollLoop& loop) {
  const absl::Duration wait = absl::GetFlag(FLAGS_spiffe_wait);
  if (wait <= absl::ZeroDuration() || wait > kLongestWait) {
    return FlagError("spiffe_wait", absl::StrCat("must be above 0 and at most ",
                                                 absl::FormatDuration(kLongestWait)));
  }
  const absl::StatusOr<Endpoint> socket =
      EndpointFromFlag("spiffe_agent", absl::GetFlag(FLAGS_spiffe_agent));
  if (!socket.ok()) return socket.status();
  SpiffeSourceOptions options;
  options.agent = *socket;
  options.id = absl::GetFlag(FLAGS_spiffe_id);
  if (!options.id.empty()) {
    const absl::Status id = SpiffeId::Parse(options.id).status();
    if (!id.ok()) return FlagError("spiffe_id", absl::StrCat("is wrong: ", Sentence(id)));
  }
  options.seed = static_cast<uint64_t>(getpid());
  auto source = SpiffeSource::Start(
      loop, dialer_, std::move(options),
      [this](SpiffeSource::Event event, const absl::Status& status) { OnEvent(event, status); });
  if (!source.ok()) {
    return FlagError("spiffe_agent", absl::StrCat("is wrong: ", Sentence(source.status())));
  }
  source_ = *std::move(source);
  bool over = false;
  const Timer limit = loop.RunAfter(wait, [&over] { over = true; });
  while (source_->context() == nullptr && !over) loop.RunTurn(wait);
  if (source_->context() != nullptr) return absl::OkStatus();
  const std::optional<Error> error = GetError(last_);
  return MakeError(error.has_value() ? error->code : ErrorCode::kTimeout, Phase::kSetUp,
                   absl::StrCat("no SVID within --spiffe_wait=", absl::FormatDuration(wait),
                                error.has_value() ? absl::StrCat(": ", error->detail) : ""));
}

const std::shared_ptr<const X509Context>& SpiffeAgent::Use() {
  used_ = source_->status().updates;
  return source_->context();
}

void SpiffeAgent::OnUpdate(std::function<void()> call) {
  on_update_ = std::move(call);
  if (used_ != source_->status().updates) on_update_();
}

void SpiffeAgent::OnEvent(SpiffeSource::Event event, const absl::Status& status) {
  if (event == SpiffeSource::Event::kUpdated) {
    const SpiffeStatus now = source_->status();
    LogLine(
        absl::StrCat("SPIFFE: ", now.id, ", valid until ",
                     absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", now.not_after, absl::UTCTimeZone()),
                     "; bundles of ", absl::StrJoin(now.trust_domains, ", ")));
    logged_fault_.clear();
    if (on_update_) on_update_();
    return;
  }
  last_ = status;
  std::string fault = Sentence(status);
  if (fault == logged_fault_) return;
  LogWarning(absl::StrCat(
      "SPIFFE: ", fault,
      event == SpiffeSource::Event::kRefused ? "; what it sent before stays in use" : ""));
  logged_fault_ = std::move(fault);
}

std::vector<Finding> SpiffeAgent::Findings() const {
  const SpiffeStatus now = source_->status();
  if (!now.late) return {};
  return {
      {Severity::kWarning, "svid_late",
       absl::StrCat("the SPIFFE agent has not renewed ", now.id, ", which ends at ",
                    absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", now.not_after, absl::UTCTimeZone())),
       "look at the agent's log, and whether it reaches its server"}};
}

}  // namespace trestle::examples
