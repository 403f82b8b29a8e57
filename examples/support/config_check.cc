#include "examples/support/config_check.h"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "examples/support/expiry_flags.h"
#include "examples/support/log.h"
#include "examples/support/pem_files.h"
#include "examples/support/program.h"
#include "examples/support/public_roots.h"
#include "examples/support/wrapped_text.h"
#include "trestle/linux/ca_files.h"
#include "trestle/pki/chain_findings.h"
#include "trestle/pki/trust_store.h"
#include "trestle/proxy/observer.h"
#include "trestle/tls/certificate_store.h"

ABSL_FLAG(std::string, check_ca, "",
          "with --check: PEM file, or directory of PEM files, with the CAs that clients trust, or "
          "\"system\"; the chains for clients must lead to one of them");

namespace trestle::examples {
namespace {

constexpr size_t kLabelColumns = 15;
constexpr size_t kMaxNamesShown = 8;
constexpr size_t kMaxNamesChecked = 1000;
// A store with more CAs is a public collection, of which some always end.
constexpr size_t kMaxOwnCas = 8;

std::string Count(size_t count, absl::string_view what) {
  return absl::StrCat(count, " ", what, count == 1 ? "" : "s");
}

std::string DateText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d", time, absl::UTCTimeZone());
}

// Returns "ends 2027-01-31, in 66 days".
std::string EndText(absl::Time end, absl::Time now) {
  if (end == absl::InfiniteFuture()) return "never ends";
  if (end <= now) return absl::StrCat("ended ", DateText(end));
  return absl::StrCat("ends ", DateText(end), ", in ",
                      Count(static_cast<size_t>(absl::ToInt64Hours(end - now) / 24), "day"));
}

std::string NamesText(std::vector<std::string> names) {
  const size_t more = names.size() - std::min(names.size(), kMaxNamesShown);
  names.resize(names.size() - more);
  return absl::StrCat(absl::StrJoin(names, ", "),
                      more == 0 ? "" : absl::StrCat(", and ", more, " more"));
}

// Returns a name that `pattern` matches.
std::string NameOf(absl::string_view pattern) {
  absl::string_view base = pattern;
  const bool wild = absl::ConsumePrefix(&base, "**.") || absl::ConsumePrefix(&base, "*.");
  return absl::StrCat(wild ? "check." : "", base);
}

std::string EndpointsText(const std::vector<Endpoint>& endpoints) {
  if (endpoints.empty()) return "no address";
  return absl::StrJoin(endpoints, " + ", [](std::string* out, const Endpoint& endpoint) {
    absl::StrAppend(out, endpoint.ToString());
  });
}

// One run of the check.
class Checker {
 public:
  explicit Checker(const ConfigCheckOptions& options) : options_(options) {}

  void AddStore(const CertificateStore& store) {
    const std::shared_ptr<const CertificateSet> set = store.current();
    for (const CertificateSet::Shown& shown : set->ShownAt(options_.now)) AddShown(shown);
    for (const CertificateSet::Pending& pending : set->pending()) {
      AddLine("front leg",
              absl::StrCat(pending.name, ": another one from ", DateText(pending.from)));
    }
  }

  void AddCas(absl::string_view label, const TrustStore& trust) {
    const std::vector<CertificateInfo> cas = trust.Certificates();
    const auto ends_before = [](const CertificateInfo& a, const CertificateInfo& b) {
      return a.not_after < b.not_after;
    };
    const auto first = std::min_element(cas.begin(), cas.end(), ends_before);
    const auto last = std::max_element(cas.begin(), cas.end(), ends_before);
    std::string text = absl::StrCat(Count(cas.size(), "CA"), ", the first ",
                                    EndText(first->not_after, options_.now));
    if (trust.has_crls()) {
      absl::StrAppend(&text, "; the first revocation list ",
                      EndText(trust.crls_end(), options_.now));
    }
    AddLine(label, std::move(text));
    const std::string who = absl::StrCat("a CA of the ", label, ", \"");
    if (last->not_after <= options_.now) {
      Fault("cas_ended", absl::StrCat("all ", label, " have ended"));
    } else if (cas.size() <= kMaxOwnCas) {
      for (const CertificateInfo& ca : cas) {
        if (EndsSoon(ca)) {
          Warn("ca_will_end",
               absl::StrCat(who, ca.subject, "\", ", EndText(ca.not_after, options_.now)));
        }
      }
    }
    if (trust.crls_end() <= options_.now) {
      Fault("crl_ended", absl::StrCat("a revocation list for the ", label, " has ended on ",
                                      DateText(trust.crls_end()), ": peers of its CA are refused"));
    }
  }

  void AddRoute(const RouteLegs& route,
                absl::Span<const std::shared_ptr<const CertificateStore>> stores) {
    const std::string name = route.name.empty() ? "all names" : route.name;
    std::string text =
        absl::StrCat(name, ": ", EnumName(route.mode), " to ", EndpointsText(route.backends));
    if (!route.names.empty()) {
      absl::StrAppend(&text, " (", absl::StrJoin(route.names, " + "), ")");
    }
    const bool bridge = route.mode == ProxyMode::kBridge;
    if (bridge && !route.back_name.empty()) absl::StrAppend(&text, " as ", route.back_name);
    AddLine("back leg", std::move(text));
    if (route.mode == ProxyMode::kPassthrough || route.name.empty()) return;
    for (const std::shared_ptr<const CertificateStore>& store : stores) {
      const std::shared_ptr<const CertificateSet> set = store->current();
      if (!set->Choose(NameOf(route.name), options_.now).empty()) return;
      if (!set->ChooseNameless(options_.now).empty()) return;
    }
    Warn("name_not_covered",
         absl::StrCat("no certificate covers ", route.name, ", which has a route"));
  }

  void AddName(const NameStatus& name) {
    const std::string target = name.target.ToString();
    AddLine("names", absl::StrCat(target, ": ", EndpointsText(name.endpoints)));
    if (!name.endpoints.empty() && !name.error.has_value()) return;
    const std::string why = name.error.has_value() ? name.error->detail : "no answer of DNS yet";
    std::string sentence = absl::StrCat("the backend name ", target, ": ", why);
    if (name.condition == NameCondition::kDenied) {
      return Fault("backend_name_denied", std::move(sentence));
    }
    Warn("backend_name_unanswered", std::move(sentence));
  }

  void AddBackCredential(const Credential& credential) {
    const CertificateInfo& leaf = credential.chain().front();
    AddLine("back leg", absl::StrCat("presents ", CertificateName(leaf), ": ", leaf.key, ", ",
                                     EndText(leaf.not_after, options_.now)));
    JudgeLeaf(absl::StrCat("the certificate for backends, ", CertificateName(leaf), ","), leaf);
  }

  ConfigCheck Finish() && {
    SortFindings(check_.findings);
    return std::move(check_);
  }

 private:
  void AddLine(absl::string_view label, std::string text) {
    absl::StrAppend(&check_.text, Padded(label == last_label_ ? "" : label, kLabelColumns), text,
                    "\n");
    last_label_ = std::string(label);
  }

  void Warn(absl::string_view code, std::string sentence) {
    check_.findings.push_back({Severity::kWarning, std::string(code), std::move(sentence), ""});
  }
  void Fault(absl::string_view code, std::string sentence) {
    check_.findings.push_back({Severity::kCritical, std::string(code), std::move(sentence), ""});
  }

  // Notes are not for a check. What clients refuse is a fault, whichever list finds it.
  void AddFindings(const std::string& name, std::vector<Finding> findings) {
    for (Finding& finding : findings) {
      if (finding.severity < Severity::kWarning) continue;
      finding.text = absl::StrCat(name, ": ", finding.text);
      check_.findings.push_back(std::move(finding));
    }
  }

  bool EndsSoon(const CertificateInfo& certificate) const {
    return options_.alarms.At(certificate.not_after - options_.now,
                              certificate.not_after - certificate.not_before) != Severity::kFine;
  }

  void JudgeLeaf(const std::string& name, const CertificateInfo& leaf) {
    if (leaf.not_before > options_.now) {
      Fault("certificate_not_yet_valid",
            absl::StrCat(name, " is not valid before ", DateText(leaf.not_before)));
    } else if (leaf.not_after <= options_.now) {
      Fault("certificate_expired", absl::StrCat(name, " ", EndText(leaf.not_after, options_.now)));
    } else if (EndsSoon(leaf)) {
      Warn("verification_will_fail",
           absl::StrCat(name, " ", EndText(leaf.not_after, options_.now)));
    }
  }

  void AddShown(const CertificateSet::Shown& shown) {
    const ChainInfo& chain = shown.credential->chain();
    const CertificateInfo& leaf = chain.front();
    const std::string names =
        shown.names.empty() ? "clients without a name" : NamesText(shown.names);
    AddLine("front leg",
            absl::StrCat(names, ": ", leaf.key, ", ", EndText(leaf.not_after, options_.now), ", ",
                         Count(chain.size(), "certificate"), " in the chain"));
    const std::string name = shown.names.empty() ? CertificateName(leaf) : shown.names.front();
    JudgeLeaf(absl::StrCat("the certificate for ", name), leaf);
    const absl::Time staple_end = shown.credential->staple_end();
    if (staple_end != absl::InfinitePast() && staple_end <= options_.now) {
      Warn("staple_ended",
           absl::StrCat("the OCSP response for ", name, " ", EndText(staple_end, options_.now)));
    }
    ChainFindingOptions judged;
    judged.public_roots = options_.public_roots.get();
    judged.dropped_roots = options_.dropped_roots.get();
    judged.check_completeness = options_.clients == nullptr;
    AddFindings(name, FindingsOfChain(shown.credential->served(), judged, options_.now));
    if (options_.clients != nullptr) {
      VerifyAsClients(name, shown);
    } else {
      JudgeIssuers(name, chain);
    }
  }

  // Clients may know other paths than those of the file, so that an ended issuer is no fault.
  void JudgeIssuers(const std::string& name, const ChainInfo& chain) {
    for (size_t i = 1; i < chain.size(); ++i) {
      if (chain[i].subject == chain[i].issuer || !EndsSoon(chain[i])) continue;
      Warn("verification_will_fail",
           absl::StrCat("the issuer \"", chain[i].subject, "\" in the chain for ", name, " ",
                        EndText(chain[i].not_after, options_.now)));
    }
  }

  void VerifyAsClients(const std::string& first_name, const CertificateSet::Shown& shown) {
    const ServedChain served = shown.credential->served();
    std::vector<std::string> names = shown.names;
    if (names.empty()) names = {first_name};
    names.resize(std::min(names.size(), kMaxNamesChecked));
    for (const std::string& name : names) {
      const ChainReport report = options_.clients->Check(served, NameOf(name), options_.now);
      if (!report.verdict.ok()) {
        return Fault("clients_refuse", absl::StrCat("clients refuse the chain for ", name, ": ",
                                                    Sentence(report.verdict)));
      }
      // The rest does not depend on the name.
      if (&name == &names.front()) JudgeVerified(name, report);
    }
  }

  void JudgeVerified(const std::string& name, const ChainReport& report) {
    for (const MissingCertificate& missing : report.missing) {
      Warn("intermediate_not_sent", absl::StrCat("the chain for ", name, " lacks \"",
                                                 missing.subject, "\", which some clients need"));
    }
    if (report.out_of_order)
      Warn("out_of_order", absl::StrCat("the chain for ", name, " is out of order"));
    const std::optional<FutureFailure>& failure = report.first_certificate_failure;
    if (!failure.has_value() || failure->part == ChainPart::kLeaf) return;
    for (const CertificateInfo& issuer : report.path) {
      if (issuer.subject != failure->subject || !EndsSoon(issuer)) continue;
      Warn("verification_will_fail",
           absl::StrCat("clients will refuse the chain for ", name, ": ", failure->detail));
      return;
    }
  }

  const ConfigCheckOptions& options_;
  ConfigCheck check_;
  std::string last_label_;
};

absl::StatusOr<ConfigCheckOptions> OptionsFromFlags() {
  ConfigCheckOptions options;
  options.now = absl::Now();
  const absl::StatusOr<ExpiryAlarms> alarms = ExpiryAlarmsFromFlags();
  if (!alarms.ok()) return alarms.status();
  options.alarms = *alarms;
  const auto public_roots = PublicRoots();
  if (!public_roots.ok()) return public_roots.status();
  options.public_roots = *public_roots;
  const auto dropped_roots = DroppedRoots();
  if (!dropped_roots.ok()) return dropped_roots.status();
  options.dropped_roots = *dropped_roots;
  absl::StatusOr<std::string> path = absl::GetFlag(FLAGS_check_ca);
  if (path->empty()) return options;
  if (*path == "system") path = FindSystemCas();
  if (!path.ok()) return path.status();
  absl::StatusOr<std::shared_ptr<const TrustStore>> trust = LoadTrustStore(*path, "");
  if (!trust.ok()) return trust.status();
  auto checker = ChainChecker::Create({*std::move(trust), ""});
  if (!checker.ok()) return checker.status();
  options.clients = *std::move(checker);
  return options;
}

}  // namespace

ConfigCheck CheckLegs(const Watched& watched, const ConfigCheckOptions& options) {
  Checker checker(options);
  for (const auto& store : watched.targets.own) checker.AddStore(*store);
  if (watched.client_cas != nullptr) checker.AddCas("client CAs", *watched.client_cas);
  for (const RouteLegs& route : watched.routes) checker.AddRoute(route, watched.targets.own);
  for (const NameStatus& name : watched.names) checker.AddName(name);
  if (watched.back_tls == nullptr) return std::move(checker).Finish();
  const std::shared_ptr<const Credential>& credential = watched.back_tls->options().credential;
  if (credential != nullptr) checker.AddBackCredential(*credential);
  if (watched.back_tls->trust() != nullptr) {
    checker.AddCas("backend CAs", *watched.back_tls->trust());
  }
  return std::move(checker).Finish();
}

int ReportCheck(const std::string& listen, Watched watched, const BackendNames& names) {
  watched.names = names.names();
  const ConfigCheckOptions options = OrExit(OptionsFromFlags());
  const ConfigCheck check = CheckLegs(watched, options);
  FlushLog();
  std::string text = absl::StrCat(Padded("listens on", kLabelColumns), listen, "\n", check.text);
  size_t warnings = WarningsLogged();
  size_t faults = 0;
  for (const Finding& finding : check.findings) {
    const bool fault = finding.severity == Severity::kCritical;
    ++(fault ? faults : warnings);
    absl::StrAppend(&text, fault ? "fault: " : "warning: ", TextOf(finding), "\n");
  }
  const bool good = faults == 0;
  absl::StrAppend(&text, good ? "good" : absl::StrCat("bad: ", Count(faults, "fault")),
                  warnings == 0 ? "" : absl::StrCat(", with ", Count(warnings, "warning")), "\n");
  std::fputs(text.c_str(), stdout);
  if (!good) return EXIT_FAILURE;
  return warnings == 0 ? EXIT_SUCCESS : 2;
}

}  // namespace trestle::examples
