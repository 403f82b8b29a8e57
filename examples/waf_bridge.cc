// A bridge with a web application firewall: libmodsecurity with the OWASP Core Rule Set inspects
// the decrypted requests, which are then encrypted again for the backend. Read bridging_proxy.cc
// first.

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "examples/support/admin.h"
#include "examples/support/back_tls.h"
#include "examples/support/capture.h"
#include "examples/support/connection_flags.h"
#include "examples/support/front_tls.h"
#include "examples/support/http_flags.h"
#include "examples/support/log.h"
#include "examples/support/program.h"
#include "examples/support/proxy_flags.h"
#include "examples/support/proxy_host.h"
#include "examples/support/tls_legs.h"
#include "integrations/modsecurity/core_rule_set.h"
#include "integrations/modsecurity/modsecurity_guard.h"
#include "trestle/linux/file.h"
#include "trestle/proxy/tls_bridge.h"

ABSL_FLAG(std::string, backend, "",
          "IP:PORT of the backend, which speaks TLS; or give --http_routes");
ABSL_FLAG(std::string, backend_name, "",
          "name to send to the backend as SNI, which its certificate must match");
ABSL_FLAG(std::string, rules, "",
          "file with rules in SecLang; default: the OWASP Core Rule Set of the Debian package "
          "modsecurity-crs");
ABSL_FLAG(std::string, audit_log, "",
          "file for one line of JSON about each request that was denied or matched a rule; only "
          "its owner can read it, and SIGHUP opens it again");
ABSL_FLAG(bool, detect_only, false, "reports matches without denying requests; not with --rules");
ABSL_FLAG(uint32_t, max_body, 128 * 1024,
          "bytes of a request's body to buffer until the verdict; longer ones are rejected");
ABSL_FLAG(uint32_t, max_arguments, 1000,
          "maximum number of arguments in a request's query and body; more are rejected");
ABSL_FLAG(
    uint32_t, max_value, 8000,
    "maximum bytes of an argument, cookie, header field or XML text; longer ones are rejected");
ABSL_FLAG(absl::Duration, judging_time, absl::Milliseconds(100),
          "processor time of the rules for one request; over it the request is rejected");

namespace {

constexpr char kUsage[] =
    "Terminates clients' TLS, inspects each request with a web application firewall, and opens a\n"
    "new TLS session to a verified backend for the accepted requests. HTTP/1.1 only.\n"
    "Logs the rules that match. All files are loaded again when they change and on SIGHUP; open\n"
    "connections keep their rules. SIGTERM and SIGINT let open connections finish, a second one\n"
    "cuts them.\n"
    "Requests over these limits are rejected: --max_body, --max_arguments, --max_value,\n"
    "--judging_time, 400,000 bytes of names of values in JSON, 200 cookies, 256 '<' in a value,\n"
    "64 levels of JSON, 20,000 steps of a regular expression. The Core Rule Set also rejects\n"
    "bodies without Content-Type, with Content-Encoding, and of types other than forms, JSON and\n"
    "XML.\n\n"
    "  waf_bridge --listen=127.0.0.1:8443 --cert=chain.pem --key=key.pem --threads=4 \\\n"
    "      --backend=127.0.0.1:9443 --backend_ca=ca.pem --backend_name=api.internal.example";

constexpr size_t kMaxRulesBytes = 64 << 20;

// Logs matches and, with an audit log, their requests.
class WafLog final : public trestle::ModSecurityListener {
 public:
  // `audit` may be null.
  explicit WafLog(std::unique_ptr<trestle::examples::SecretLog> audit) : audit_(std::move(audit)) {}

  void OnMatch(absl::string_view message) override {
    trestle::examples::LogLine(absl::StrCat("waf: ", message));
  }

  bool wants_audit() const override { return audit_ != nullptr; }
  void OnAudited(absl::string_view json) override { audit_->Write(json); }

 private:
  const std::unique_ptr<trestle::examples::SecretLog> audit_;
};

absl::StatusOr<std::unique_ptr<trestle::examples::SecretLog>> AuditLogFromFlags() {
  using trestle::examples::SecretLog;
  const std::string path = absl::GetFlag(FLAGS_audit_log);
  if (path.empty()) return nullptr;
  absl::StatusOr<std::unique_ptr<SecretLog>> log = SecretLog::Open(
      "audit", path, [](uint64_t lost) { return absl::StrCat("{\"lines_lost\":", lost, "}"); });
  if (log.ok()) return log;
  return trestle::examples::FlagError(
      "audit_log", absl::StrCat("can't be written: ", trestle::examples::Sentence(log.status())));
}

// Returns the rules of --rules, or the Core Rule Set.
absl::StatusOr<std::shared_ptr<const trestle::ModSecurityRules>> LoadRules(
    trestle::ModSecurityListener& listener) {
  const std::string file = absl::GetFlag(FLAGS_rules);
  trestle::CoreRuleSetOptions options;
  options.detect_only = absl::GetFlag(FLAGS_detect_only);
  options.limits.arguments = static_cast<int>(absl::GetFlag(FLAGS_max_arguments));
  options.limits.value_bytes = static_cast<int>(absl::GetFlag(FLAGS_max_value));
  if (options.limits.arguments <= 0 || options.limits.value_bytes <= 0) {
    return absl::InvalidArgumentError("--max_arguments and --max_value: give a positive number");
  }
  trestle::JudgingLimits judging;
  judging.cpu_time = absl::GetFlag(FLAGS_judging_time);
  if (file.empty()) {
    return trestle::ModSecurityRules::Load(trestle::CoreRuleSet(options), &listener, judging);
  }
  if (options.detect_only) {
    return absl::InvalidArgumentError("--detect_only doesn't go with --rules");
  }
  // libmodsecurity would wait for a FIFO's writer.
  if (const absl::StatusOr<std::string> text = trestle::ReadFile(file, kMaxRulesBytes);
      !text.ok()) {
    return text.status();
  }
  return trestle::ModSecurityRules::Load(
      absl::StrCat(trestle::LimitRules(options.limits), "Include ", file, "\n"), &listener,
      judging);
}

std::string DescribeRules(const trestle::ModSecurityRules& rules) {
  return absl::StrCat(rules.size(), " rules loaded");
}

// Included files are also read again, but not watched.
std::vector<std::string> RulesFiles() {
  const std::string file = absl::GetFlag(FLAGS_rules);
  if (!file.empty()) return {file};
  const trestle::CoreRuleSetOptions options;
  return {options.setup_file, absl::StrCat(options.rules_folder, "/")};
}

// Makes new connections use the current rules from their files.
trestle::examples::AlsoReloaded ReloadRules(trestle::ModSecurityListener& listener,
                                            trestle::ModSecurityRulesInUse& in_use) {
  auto loaded = std::make_shared<std::shared_ptr<const trestle::ModSecurityRules>>();
  trestle::examples::AlsoReloaded reload;
  reload.files = RulesFiles();
  reload.load = [&listener, loaded] {
    auto rules = LoadRules(listener);
    if (rules.ok()) *loaded = *std::move(rules);
    return rules.status();
  };
  reload.use = [&in_use, loaded] {
    in_use.Replace(*loaded);
    return DescribeRules(**loaded);
  };
  return reload;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace trestle;
  using namespace trestle::examples;
  ParseCommandLine(argc, argv, kUsage);
  const ProxyHostOptions host_options = OrExit(HostOptionsFromFlags());
  const ConnectionOptions connection_options = OrExit(ConnectionOptionsFromFlags());
  const std::string backend_name =
      OrExit(RequiredFlag("backend_name", absl::GetFlag(FLAGS_backend_name)));
  HttpFlags http = OrExit(HttpFromFlags());
  if (http.http2 || http.unread_http2) {
    OrExit(absl::InvalidArgumentError("--http2 would pass by the rules"));
  }
  http.inspect = true;
  const std::vector<HttpRoute> routes = OrExit(BackRoutes(http, absl::GetFlag(FLAGS_backend)));

  WafLog listener(OrExit(AuditLogFromFlags()));
  const auto rules = std::make_shared<ModSecurityRulesInUse>(OrExit(LoadRules(listener)));
  LogLine(DescribeRules(*rules->current()));

  const std::unique_ptr<FrontTls> front = OrExit(FrontTls::FromFlags());
  for (const std::string& protocol : front->config()->options().alpn) {
    if (protocol != "http/1.1") {
      OrExit(FlagError("alpn", absl::StrCat("has ", protocol, ": the rules are for http/1.1")));
    }
  }
  const std::unique_ptr<BackTls> back = OrExit(BackTls::FromFlags());

  const std::unique_ptr<Admin> admin = OrExit(Admin::FromFlags([&]() -> absl::StatusOr<Watched> {
    Watched watched;
    WatchFront(*front, watched);
    const absl::Status added =
        WatchBridges(LegsOf(routes, ProxyMode::kBridge),
                     connection_options.proxy_protocol_to_backend, {backend_name}, *back, watched);
    if (!added.ok()) return added;
    return watched;
  }));

  const std::unique_ptr<Capture> capture = OrExit(CaptureFromFlags());
  ProxyHost host(host_options);
  host.SetWatcher(admin.get());
  ServeTls(host, *front, back.get(), 1, ReloadRules(listener, *rules));
  OrExit(host.Run([&](Scheduler& scheduler, Dialer& dialer,
                      ConnectionObserver* observer) -> absl::StatusOr<Blocks> {
    const auto leads_to = [&](const Endpoint& listener) { return LeadsTo(routes, listener); };
    if (absl::Status loop = host.RefuseLoop(leads_to); !loop.ok()) return loop;
    TlsBridgeOptions options;
    options.front_tls = front->config();
    options.back_tls = back->config();
    if (http.routes == nullptr) options.backend = routes.front().backends;
    options.backend_name = backend_name;
    options.connection = connection_options;
    Http1Options with_waf;
    with_waf.guarded_body_bytes = absl::GetFlag(FLAGS_max_body);
    with_waf.guards.push_back(
        NewModSecurityGuardFactory(std::shared_ptr<const ModSecurityRulesInUse>(rules)));
    const absl::Status applied =
        ApplyHttp(http, scheduler, options.new_inspector, options.content, std::move(with_waf));
    if (!applied.ok()) return applied;
    AddCapture(capture.get(), scheduler, options.new_inspector);
    return Alone(TlsBridge::Create(scheduler, dialer, std::move(options), observer));
  }));
}
