#include "examples/support/waf_flags.h"

#include <cstddef>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "examples/support/check_flag.h"
#include "examples/support/program.h"
#include "integrations/modsecurity/core_rule_set.h"
#include "trestle/linux/file.h"

ABSL_FLAG(std::string, rules, "",
          "file with rules in SecLang; default: the OWASP Core Rule Set of the Debian package "
          "modsecurity-crs");
ABSL_FLAG(std::string, audit_log, "",
          "file for one line of JSON about each request that was denied or matched a rule. Only "
          "its owner can read it, and SIGHUP opens it again");
ABSL_FLAG(bool, detect_only, false, "reports matches without denying requests; not with --rules");
ABSL_FLAG(uint32_t, max_arguments, 1000,
          "maximum number of arguments in a request's query and body; more are rejected");
ABSL_FLAG(
    uint32_t, max_value, 8000,
    "maximum bytes of an argument, cookie, header field or XML text; longer ones are rejected");
ABSL_FLAG(absl::Duration, judging_time, absl::Milliseconds(100),
          "processor time of the rules for one request; over it the request is rejected");
ABSL_FLAG(
    uint32_t, waf_response_bytes, 0,
    "also judges responses: their heads, and this many bytes of their bodies, before a client "
    "gets any of them. The rest passes. 0: only requests are judged");

namespace trestle::examples {
namespace {

constexpr size_t kMaxRulesBytes = 64 << 20;

absl::StatusOr<std::unique_ptr<SecretLog>> AuditLogFromFlags() {
  const std::string path = absl::GetFlag(FLAGS_audit_log);
  if (path.empty() || CheckOnly()) return nullptr;
  absl::StatusOr<std::unique_ptr<SecretLog>> log = SecretLog::Open(
      "audit", path, [](uint64_t lost) { return absl::StrCat("{\"lines_lost\":", lost, "}"); });
  if (log.ok()) return log;
  return FlagError("audit_log", absl::StrCat("can't be written: ", Sentence(log.status())));
}

}  // namespace

size_t JudgedResponseBytes() { return absl::GetFlag(FLAGS_waf_response_bytes); }

absl::StatusOr<std::unique_ptr<WafLog>> WafLog::FromFlags() {
  absl::StatusOr<std::unique_ptr<SecretLog>> audit = AuditLogFromFlags();
  if (!audit.ok()) return audit.status();
  return absl::WrapUnique(new WafLog(*std::move(audit)));
}

void WafLog::OnMatch(absl::string_view message) { LogLine(absl::StrCat("waf: ", message)); }

absl::StatusOr<std::shared_ptr<const ModSecurityRules>> LoadRules(ModSecurityListener& listener) {
  const std::string file = absl::GetFlag(FLAGS_rules);
  CoreRuleSetOptions options;
  options.detect_only = absl::GetFlag(FLAGS_detect_only);
  options.responses = JudgedResponseBytes() > 0;
  options.limits.arguments = static_cast<int>(absl::GetFlag(FLAGS_max_arguments));
  options.limits.value_bytes = static_cast<int>(absl::GetFlag(FLAGS_max_value));
  if (options.limits.arguments <= 0 || options.limits.value_bytes <= 0) {
    return absl::InvalidArgumentError("--max_arguments and --max_value: give a positive number");
  }
  JudgingLimits judging;
  judging.cpu_time = absl::GetFlag(FLAGS_judging_time);
  if (file.empty()) {
    return ModSecurityRules::Load(CoreRuleSet(options), &listener, judging);
  }
  if (options.detect_only) {
    return absl::InvalidArgumentError("--detect_only doesn't go with --rules");
  }
  // libmodsecurity would wait for a FIFO's writer.
  if (const absl::StatusOr<std::string> text = ReadFile(file, kMaxRulesBytes); !text.ok()) {
    return text.status();
  }
  return ModSecurityRules::Load(absl::StrCat(LimitRules(options.limits), "Include ", file, "\n"),
                                &listener, judging);
}

std::string DescribeRules(const ModSecurityRules& rules) {
  return absl::StrCat(rules.size(), " rules loaded");
}

std::vector<std::string> RulesFiles() {
  const std::string file = absl::GetFlag(FLAGS_rules);
  if (!file.empty()) return {file};
  const CoreRuleSetOptions options;
  return {options.setup_file, absl::StrCat(options.rules_folder, "/")};
}

AlsoReloaded ReloadRules(ModSecurityListener& listener, ModSecurityRulesInUse& in_use) {
  auto loaded = std::make_shared<std::shared_ptr<const ModSecurityRules>>();
  AlsoReloaded reload;
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

}  // namespace trestle::examples
