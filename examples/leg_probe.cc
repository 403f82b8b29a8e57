// Probes TLS servers as the front and back legs of a proxy. Reports the negotiated parameters, the
// state of the certificates, and when and why their verification will fail.

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/commandlineflag.h"
#include "absl/flags/flag.h"
#include "absl/flags/reflection.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "examples/leg_probe/leg_json.h"
#include "examples/leg_probe/leg_table.h"
#include "examples/leg_probe/legs.h"
#include "examples/support/backend_names.h"
#include "examples/support/expiry_flags.h"
#include "examples/support/help_text.h"
#include "examples/support/program.h"
#include "examples/support/public_roots.h"
#include "trestle/base/error.h"
#include "trestle/linux/epoll_loop.h"
#include "trestle/linux/file.h"
#include "trestle/linux/signal_watcher.h"
#include "trestle/linux/tcp_dialer.h"
#include "trestle/pki/chain_findings.h"
#include "trestle/tls/credential.h"
#include "trestle/watch/probe_findings.h"
#include "trestle/watch/probe_queue.h"

ABSL_FLAG(std::string, front, "",
          "IP:PORT,NAME of the proxy; more names after further commas; without a name, no SNI is "
          "sent and the certificate must match the address. HOST:PORT or a service "
          "(_https._tcp.api.internal) is each of its addresses, and the default of NAME");
ABSL_FLAG(std::string, back, "", "IP:PORT,NAME of the backend, as --front");
ABSL_FLAG(std::string, legs_file, "",
          "file with one route per line: [LABEL] front=IP:PORT,NAME back=IP:PORT,NAME. Each leg "
          "has its own settings after it (ca= crl= intermediates= cert= key= verify= alpn= "
          "key_type= starttls= proxy_header= ech_inner=)");
ABSL_FLAG(std::string, ca, "", "PEM file, or directory of PEM files, with the CAs to trust");
ABSL_FLAG(std::string, front_ca, "", "the same for front legs; default --ca");
ABSL_FLAG(std::string, back_ca, "", "the same for back legs; default --ca");
ABSL_FLAG(std::string, crl, "",
          "PEM file with revocation lists; each CA of a chain must then have one");
ABSL_FLAG(std::string, intermediates, "",
          "PEM file with intermediates, to distinguish a missing one from an unknown CA");
ABSL_FLAG(std::string, cert, "",
          "PEM file with a client certificate, for back legs that request one");
ABSL_FLAG(std::string, key, "", "PEM file with the private key of --cert");
ABSL_FLAG(std::string, verify, "",
          "name that back legs' certificates must match, if it is not the name sent");
ABSL_FLAG(std::string, alpn, "", "application protocols to offer, as in h2,http/1.1");
ABSL_FLAG(
    std::string, starttls, "none",
    "how TLS starts on back legs: none, smtp, imap, pop3, ftp, ldap, xmpp, postgres or mysql");
ABSL_FLAG(std::string, key_type, "any",
          "which of a server's certificates to check: any (the server's preference), ecdsa, rsa, "
          "or each: one probe for ECDSA and one for RSA, which must both be good");
ABSL_FLAG(std::string, proxy_header, "none", "none, v1 or v2: PROXY header to send on back legs");
ABSL_FLAG(bool, ech_inner, false,
          "also asks back legs whether they confirm inner hellos (RFC 9849 7.2), as backends of a "
          "router with --ech_keys_file must");
ABSL_FLAG(bool, json, false, "prints JSON (docs/leg_probe.md), with --watch one line per round");
ABSL_FLAG(bool, details, false, "prints full tables, also for more than three routes");
ABSL_FLAG(absl::Duration, watch, absl::ZeroDuration(),
          "repeats the probes at this interval until a signal");
ABSL_FLAG(int, concurrency, 64, "maximum number of concurrent probes");
ABSL_FLAG(absl::Duration, timeout, absl::Seconds(10), "time limit for each of dial and handshake");
ABSL_FLAG(std::string, color, "auto", "auto (on a terminal), always or never");

namespace trestle::examples {
namespace {

constexpr int kExitWarning = 1;
constexpr int kExitCritical = 2;
constexpr int kExitUsage = 3;

// Above this number of routes, each is printed on one line.
constexpr size_t kMaxTables = 3;
constexpr size_t kMaxFileBytes = 16 << 20;

constexpr char kUsage[] =
    "Probes both legs of TLS connections: the negotiated parameters, the state of the\n"
    "certificates, and when and why their verification will first fail.\n\n"
    "  leg_probe --front=127.0.0.1:8443,app.example --back=127.0.0.1:9443,api.internal.example \\\n"
    "      --front_ca=public.pem --back_ca=internal.pem\n\n"
    "Exit status: 0 no problem, 1 a failure is near, 2 a failure, or one very near "
    "(--critical_days),\n"
    "3 usage error.";

[[noreturn]] void FailUsage(absl::string_view what) {
  absl::FPrintF(stderr, "leg_probe: %s\n", what);
  std::exit(kExitUsage);
}

// Only flags of this program and of the code it shares with the proxies; Abseil has others.
bool IsOwn(const absl::CommandLineFlag& flag) {
  return absl::StrContains(flag.Filename(), "examples/");
}

// Abseil's own parser exits with status 1, which has another meaning here.
void ParseFlags(int argc, char** argv) {
  AnswerHelpAndVersion(argc, argv, kUsage);
  for (int i = 1; i < argc; ++i) {
    absl::string_view argument = argv[i];
    if (!absl::ConsumePrefix(&argument, "--")) {
      FailUsage(absl::StrCat("\"", argument, "\" is no flag; see --help for what there is"));
    }
    const size_t equals = argument.find('=');
    const absl::string_view name = argument.substr(0, equals);
    absl::CommandLineFlag* flag = absl::FindCommandLineFlag(name);
    if (flag == nullptr || !IsOwn(*flag)) {
      FailUsage(absl::StrCat("there is no flag --", name, "; see --help for what there is"));
    }
    std::string value = "true";
    if (equals != absl::string_view::npos) {
      value = std::string(argument.substr(equals + 1));
    } else if (!flag->IsOfType<bool>()) {
      FailUsage(absl::StrCat("--", name, " needs a value: --", name, "=…"));
    }
    std::string problem;
    if (!flag->ParseFrom(value, &problem)) FailUsage(absl::StrCat("--", name, ": ", problem));
  }
}

void ApplyFlag(absl::string_view name, const std::string& value, LegSettings& settings) {
  const absl::Status applied = ApplySetting(name, value, settings);
  if (!applied.ok()) FailUsage(absl::StrCat("--", Sentence(applied)));
}

LegSettings FrontSettings() {
  LegSettings settings;
  ApplyFlag("key_type", absl::GetFlag(FLAGS_key_type), settings);
  const std::string own = absl::GetFlag(FLAGS_front_ca);
  settings.ca = own.empty() ? absl::GetFlag(FLAGS_ca) : own;
  settings.crl = absl::GetFlag(FLAGS_crl);
  settings.intermediates = absl::GetFlag(FLAGS_intermediates);
  settings.alpn = absl::GetFlag(FLAGS_alpn);
  return settings;
}

LegSettings BackSettings() {
  LegSettings settings = FrontSettings();
  const std::string own = absl::GetFlag(FLAGS_back_ca);
  settings.ca = own.empty() ? absl::GetFlag(FLAGS_ca) : own;
  settings.cert = absl::GetFlag(FLAGS_cert);
  settings.key = absl::GetFlag(FLAGS_key);
  settings.verify_name = absl::GetFlag(FLAGS_verify);
  ApplyFlag("starttls", absl::GetFlag(FLAGS_starttls), settings);
  ApplyFlag("proxy_header", absl::GetFlag(FLAGS_proxy_header), settings);
  settings.ech_inner = absl::GetFlag(FLAGS_ech_inner);
  return settings;
}

std::vector<LegToProbe> LegsFromFlags() {
  const absl::Duration limit = absl::GetFlag(FLAGS_timeout);
  if (limit <= absl::ZeroDuration() || limit == absl::InfiniteDuration()) {
    FailUsage("--timeout must be above 0 and finite");
  }
  LegReader reader(FrontSettings(), BackSettings(), limit);
  const std::string front = absl::GetFlag(FLAGS_front);
  const std::string back = absl::GetFlag(FLAGS_back);
  const std::string file = absl::GetFlag(FLAGS_legs_file);
  if (!front.empty() || !back.empty()) {
    if (absl::Status s = reader.AddRoute("", front, back); !s.ok()) FailUsage(Sentence(s));
  }
  if (!file.empty()) {
    const absl::StatusOr<std::string> text = ReadFile(file, kMaxFileBytes);
    if (!text.ok()) FailUsage(Sentence(text.status()));
    if (absl::Status s = reader.AddFile(*text); !s.ok()) {
      FailUsage(absl::StrCat(file, ", ", Sentence(s)));
    }
  }
  std::vector<LegToProbe> legs = reader.Take();
  if (legs.empty()) FailUsage("there is nothing to probe: give --front, --back or --legs_file");
  return legs;
}

// Adds what servers may refuse in the certificate that the probe presents.
void AddClientFindings(const LegProbeConfig& config, absl::Time now,
                       std::vector<Finding>& findings) {
  const std::shared_ptr<const Credential>& credential = config.options().credential;
  const auto roots = PublicRoots();
  if (credential == nullptr || !roots.ok()) return;
  ChainFindingOptions options;
  options.use = ChainUse::kClient;
  options.public_roots = roots->get();
  for (Finding& finding : FindingsOfChain(credential->served(), options, now)) {
    findings.push_back(std::move(finding));
  }
  SortFindings(findings);
}

// Runs rounds of probes and prints what each found.
class Rounds {
 public:
  Rounds(EpollLoop& loop, Dialer& dialer, const BackendNames& names, std::vector<LegToProbe> legs,
         FindingOptions options)
      : loop_(loop),
        names_(names),
        configured_(std::move(legs)),
        prober_(loop, dialer, static_cast<size_t>(absl::GetFlag(FLAGS_concurrency))),
        interval_(absl::GetFlag(FLAGS_watch)),
        progress_(isatty(STDERR_FILENO) && configured_.size() > 1),
        options_(options) {
    const std::string color = absl::GetFlag(FLAGS_color);
    colours_ = color == "always" || (color == "auto" && isatty(STDOUT_FILENO));
  }

  void Start() {
    round_start_ = loop_.MonotonicNow();
    legs_ = LegsNow(configured_);
    results_.assign(legs_.size(), ProbedLeg());
    done_ = failed_ = 0;
    for (size_t i = 0; i < legs_.size(); ++i) {
      if (legs_[i].target.endpoint == Endpoint()) {
        OnReport(i, WithoutAddress(legs_[i]));
        continue;
      }
      prober_.Probe(legs_[i].config, legs_[i].target,
                    [this, i](ProbeReport report) { OnReport(i, std::move(report)); });
    }
  }

  int exit_status() const { return exit_status_; }

 private:
  // The report about a name that has no address now.
  ProbeReport WithoutAddress(const LegToProbe& leg) const {
    ProbeReport report;
    report.target = leg.target;
    report.started = loop_.Now();
    report.started_moment = loop_.MonotonicNow();
    std::string why = "DNS gave no answer";
    for (const NameStatus& name : names_.names()) {
      const bool is_it = name.target == leg.named.names.front();
      if (is_it && name.error.has_value()) why = name.error->detail;
    }
    report.status = MakeError(ErrorCode::kNoBackend, leg.leg, Phase::kDial,
                              absl::StrCat(leg.name(), " has no address: ", why));
    return report;
  }

  void OnReport(size_t index, ProbeReport report) {
    ProbedLeg& result = results_[index];
    result.route = legs_[index].route;
    result.name = legs_[index].name();
    result.leg = legs_[index].leg;
    result.findings = FindingsOf(report, loop_.Now(), options_);
    AddClientFindings(*legs_[index].config, loop_.Now(), result.findings);
    result.report = std::move(report);
    ++done_;
    if (WorstOf(result.findings) == Severity::kCritical) ++failed_;
    ShowProgress();
    if (done_ == legs_.size()) FinishRound();
  }

  void ShowProgress() const {
    if (!progress_) return;
    const bool last = done_ == legs_.size();
    absl::FPrintF(stderr, "\rprobed %d of %d, %d failing%s", done_, legs_.size(), failed_,
                  last ? "\r\x1b[K" : "");
    std::fflush(stderr);
  }

  void FinishRound() {
    Print();
    Severity worst = Severity::kFine;
    for (const ProbedLeg& result : results_) worst = std::max(worst, WorstOf(result.findings));
    exit_status_ = worst == Severity::kCritical  ? kExitCritical
                   : worst == Severity::kWarning ? kExitWarning
                                                 : EXIT_SUCCESS;
    if (interval_ == absl::ZeroDuration()) return loop_.Stop();
    const absl::Duration spent = loop_.MonotonicNow() - round_start_;
    next_round_ =
        loop_.RunAfter(std::max(interval_ - spent, absl::ZeroDuration()), [this] { Start(); });
  }

  void Print() const {
    const absl::Time now = loop_.Now();
    std::string text;
    const bool watching = interval_ > absl::ZeroDuration();
    if (absl::GetFlag(FLAGS_json)) {
      text = absl::StrCat(LegsAsJson(results_, now, watching), "\n");
    } else {
      if (watching) {
        text = absl::FormatTime("== %Y-%m-%d %H:%M:%S UTC\n", now, absl::UTCTimeZone());
      }
      const bool tables = absl::GetFlag(FLAGS_details) || legs_.size() <= 2 * kMaxTables;
      text += tables ? LegsAsTables(results_, now, colours_) : LegsAsLines(results_, now, colours_);
    }
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  }

  EpollLoop& loop_;
  const BackendNames& names_;
  const std::vector<LegToProbe> configured_;
  std::vector<LegToProbe> legs_;  // Of the round.
  ProbeQueue prober_;
  const absl::Duration interval_;
  const bool progress_;
  const FindingOptions options_;
  bool colours_ = false;
  MonotonicTime round_start_;
  std::vector<ProbedLeg> results_;
  size_t done_ = 0;
  size_t failed_ = 0;
  int exit_status_ = kExitCritical;
  Timer next_round_;
};

FindingOptions FindingOptionsFromFlags() {
  const absl::StatusOr<ExpiryAlarms> alarms = ExpiryAlarmsFromFlags();
  if (!alarms.ok()) FailUsage(Sentence(alarms.status()));
  FindingOptions options;
  options.alarms = *alarms;
  return options;
}

void CheckFlags() {
  if (absl::GetFlag(FLAGS_concurrency) < 1) FailUsage("--concurrency must be at least 1");
  const absl::Duration watch = absl::GetFlag(FLAGS_watch);
  if (watch < absl::ZeroDuration() || watch == absl::InfiniteDuration()) {
    FailUsage("--watch must be neither negative nor infinite");
  }
  const std::string color = absl::GetFlag(FLAGS_color);
  if (color != "auto" && color != "always" && color != "never") {
    FailUsage("--color must be auto, always or never");
  }
}

// Each probe needs a socket.
void RaiseDescriptorLimit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int Main(int argc, char** argv) {
  constexpr int kSignals[] = {SIGTERM, SIGINT};
  ParseFlags(argc, argv);
  CheckFlags();
  const FindingOptions options = FindingOptionsFromFlags();
  std::vector<LegToProbe> legs = LegsFromFlags();
  signal(SIGPIPE, SIG_IGN);
  RaiseDescriptorLimit();
  if (absl::Status s = BlockSignals(kSignals); !s.ok()) FailUsage(Sentence(s));
  const absl::StatusOr<std::unique_ptr<EpollLoop>> loop = EpollLoop::Create();
  if (!loop.ok()) FailUsage(Sentence(loop.status()));
  TcpDialer dialer(**loop);
  const auto names = BackendNames::FromFlags(**loop, /*quiet=*/true);
  if (!names.ok()) FailUsage(Sentence(names.status()));
  for (LegToProbe& leg : legs) {
    if (absl::Status s = (*names)->Follow(leg.named); !s.ok()) FailUsage(Sentence(s));
  }
  Rounds rounds(**loop, dialer, **names, std::move(legs), options);
  const auto signals =
      SignalWatcher::Create(**loop, kSignals, [&loop](int /*signal*/) { (*loop)->Stop(); });
  if (!signals.ok()) FailUsage(Sentence(signals.status()));
  (*names)->WaitForAnswers();
  rounds.Start();
  (*loop)->Run();
  return rounds.exit_status();
}

}  // namespace
}  // namespace trestle::examples

int main(int argc, char** argv) { return trestle::examples::Main(argc, argv); }
