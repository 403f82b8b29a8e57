#include "integrations/modsecurity/modsecurity_guard.h"

#include <modsecurity/audit_log.h>
#include <modsecurity/modsecurity.h>
#include <modsecurity/rule_message.h>
#include <modsecurity/rules_set.h>
#include <modsecurity/transaction.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "integrations/modsecurity/json_names.h"
#include "trestle/base/error.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

constexpr size_t kMaxMessageBytes = 1024;

// Parts of an audit log: A and Z delimit it, B has the request's head, H the matched rules.
constexpr int kAuditParts = modsecurity::audit_log::AuditLog::AAuditLogPart |
                            modsecurity::audit_log::AuditLog::BAuditLogPart |
                            modsecurity::audit_log::AuditLog::HAuditLogPart |
                            modsecurity::audit_log::AuditLog::ZAuditLogPart;

class LoadedRules;

absl::Status BadRules(absl::string_view reason) {
  return ConfigurationError(absl::StrCat("the rules can't be loaded: ", reason));
}

// An address and a port in ModSecurity's form.
struct Peer {
  explicit Peer(const Endpoint& endpoint)
      : address(endpoint.is_ip() ? endpoint.AddressText() : "-"), port(endpoint.port()) {}
  std::string address;
  int port;
};

class ModSecurityGuard final : public HttpGuard {
 public:
  ModSecurityGuard(std::shared_ptr<const LoadedRules> rules, const ConnectionReport& connection,
                   JudgedParts parts)
      : rules_(std::move(rules)),
        parts_(parts),
        client_(connection.front.peer),
        server_(connection.front.local) {}

  ~ModSecurityGuard() override { Close(); }

  std::optional<HttpRefusal> OnHead(const HttpRequestHead& head) override;
  bool wants_body() const override { return transaction_ != nullptr; }
  std::optional<HttpRefusal> OnBody(absl::string_view piece) override;
  std::optional<HttpRefusal> OnEnd() override;
  bool wants_response() const override { return transaction_ != nullptr; }
  std::optional<HttpRefusal> OnResponseHead(const HttpResponseHead& head) override;
  std::optional<HttpRefusal> OnResponseBody(absl::string_view piece) override;
  std::optional<HttpRefusal> OnResponseEnd() override;

 private:
  // Runs one phase of the rules after another, and evaluates the result.
  template <typename Phase>
  std::optional<HttpRefusal> Judge(Phase phase);
  std::optional<HttpRefusal> OnExcess(absl::string_view reason);
  absl::string_view subject() const { return in_response_ ? "response" : "request"; }
  bool JsonIsBounded() const;
  std::optional<HttpRefusal> OnIntervention();
  bool IsToBeAudited() const;
  void Close();

  const std::shared_ptr<const LoadedRules> rules_;
  const JudgedParts parts_;
  const Peer client_;
  const Peer server_;
  std::unique_ptr<modsecurity::Transaction> transaction_;
  std::optional<RegexBudget> budget_;  // Of the request, then of the response.
  bool in_response_ = false;
  bool denied_ = false;
};

class LoadedRules final : public ModSecurityRules,
                          public std::enable_shared_from_this<LoadedRules> {
 public:
  LoadedRules(ModSecurityListener* listener, const JudgingLimits& limits)
      : listener_(listener), limits_(limits) {
    engine_.setConnectorInformation("Trestle");
    engine_.setServerLogCb(&LoadedRules::OnLog, modsecurity::TextLogProperty);
  }

  absl::Status Load(const std::string& rules) {
    count_ = rules_.load(rules.c_str());
    if (count_ >= 0) return absl::OkStatus();
    return BadRules(EscapeForLog(rules_.getParserError(), kMaxMessageBytes));
  }

  std::unique_ptr<HttpGuard> NewGuard(const ConnectionReport& connection,
                                      JudgedParts parts) const override {
    return std::make_unique<ModSecurityGuard>(shared_from_this(), connection, parts);
  }

  bool ReadsResponseBody(absl::string_view content_type) const override {
    if (rules_.m_secResponseBodyAccess != modsecurity::RulesSetProperties::TrueConfigBoolean) {
      return false;
    }
    const std::set<std::string>& types = rules_.m_responseBodyTypeToBeInspected.m_value;
    const absl::string_view type = content_type.substr(0, content_type.find(';'));
    return types.count(absl::AsciiStrToLower(absl::StripAsciiWhitespace(type))) > 0;
  }

  int size() const override { return count_; }
  const JudgingLimits& limits() const { return limits_; }

  std::unique_ptr<modsecurity::Transaction> NewTransaction() const {
    return std::make_unique<modsecurity::Transaction>(&engine_, &rules_,
                                                      const_cast<LoadedRules*>(this));
  }

  void Tell(absl::string_view message) const {
    if (listener_ != nullptr) listener_->OnMatch(EscapeForLog(message, kMaxMessageBytes));
  }

  bool wants_audit() const { return listener_ != nullptr && listener_->wants_audit(); }
  void Audit(absl::string_view json) const { listener_->OnAudited(json); }

 private:
  static void OnLog(void* rules, const void* message) {
    if (message != nullptr) {
      static_cast<const LoadedRules*>(rules)->Tell(static_cast<const char*>(message));
    }
  }

  ModSecurityListener* const listener_;
  const JudgingLimits limits_;
  // libmodsecurity locks data that transactions of several threads share, but its API is not const.
  mutable modsecurity::ModSecurity engine_;
  mutable modsecurity::RulesSet rules_;
  int count_ = 0;
};

template <typename Phase>
std::optional<HttpRefusal> ModSecurityGuard::Judge(Phase phase) {
  if (transaction_ == nullptr) return std::nullopt;
  {
    const RegexBudget::Scope scope(*budget_, transaction_->m_it.disruptive);
    phase(*transaction_);
  }
  switch (budget_->excess()) {
    case RegexBudget::Excess::kTime:
      return OnExcess(
          absl::StrCat("judging the ", subject(), " takes more processor time than its limit"));
    case RegexBudget::Excess::kSteps:
      return OnExcess(absl::StrCat("a regular expression takes more steps for the ", subject(),
                                   " than its limit"));
    case RegexBudget::Excess::kNone:
      break;
  }
  return OnIntervention();
}

std::optional<HttpRefusal> ModSecurityGuard::OnHead(const HttpRequestHead& head) {
  Close();
  transaction_ = rules_->NewTransaction();
  budget_.emplace(rules_->limits());
  std::optional<HttpRefusal> no = Judge([&](modsecurity::Transaction& transaction) {
    transaction.processConnection(client_.address.c_str(), client_.port, server_.address.c_str(),
                                  server_.port);
    transaction.processURI(std::string(head.target).c_str(), std::string(head.method).c_str(),
                           head.minor_version == 0 ? "1.0" : "1.1");
  });
  if (no.has_value()) return no;
  return Judge([&](modsecurity::Transaction& transaction) {
    for (const HttpField& field : head.fields) {
      transaction.addRequestHeader(std::string(field.name), std::string(field.value));
    }
    transaction.processRequestHeaders();
  });
}

std::optional<HttpRefusal> ModSecurityGuard::OnBody(absl::string_view piece) {
  return Judge([&](modsecurity::Transaction& transaction) {
    transaction.appendRequestBody(reinterpret_cast<const unsigned char*>(piece.data()),
                                  piece.size());
  });
}

bool ModSecurityGuard::JsonIsBounded() const {
  if (transaction_->m_requestBodyProcessor != modsecurity::Transaction::JSONRequestBody)
    return true;
  const std::string body = transaction_->m_requestBody.str();
  return body.empty() || JsonNamesWithin(body, rules_->limits().json_name_bytes);
}

std::optional<HttpRefusal> ModSecurityGuard::OnEnd() {
  if (transaction_ != nullptr && !JsonIsBounded()) {
    return OnExcess("the body is no JSON, or the names in it are longer than their limit");
  }
  std::optional<HttpRefusal> no =
      Judge([](modsecurity::Transaction& transaction) { transaction.processRequestBody(); });
  if (!no.has_value() && parts_ == JudgedParts::kRequest) Close();
  return no;
}

std::optional<HttpRefusal> ModSecurityGuard::OnResponseHead(const HttpResponseHead& head) {
  in_response_ = true;
  budget_.emplace(rules_->limits());
  return Judge([&](modsecurity::Transaction& transaction) {
    for (const HttpField& field : head.fields) {
      transaction.addResponseHeader(std::string(field.name), std::string(field.value));
    }
    transaction.processResponseHeaders(head.status, "HTTP/1.1");
  });
}

std::optional<HttpRefusal> ModSecurityGuard::OnResponseBody(absl::string_view piece) {
  return Judge([&](modsecurity::Transaction& transaction) {
    transaction.appendResponseBody(reinterpret_cast<const unsigned char*>(piece.data()),
                                   piece.size());
  });
}

std::optional<HttpRefusal> ModSecurityGuard::OnResponseEnd() {
  std::optional<HttpRefusal> no =
      Judge([](modsecurity::Transaction& transaction) { transaction.processResponseBody(); });
  if (!no.has_value()) Close();
  return no;
}

// The rules' verdict is unknown.
std::optional<HttpRefusal> ModSecurityGuard::OnExcess(absl::string_view reason) {
  const bool detects =
      transaction_->getRuleEngineState() != modsecurity::RulesSetProperties::EnabledRuleEngine;
  rules_->Tell(absl::StrCat("[client ", client_.address, "] ", reason,
                            detects ? "; it is passed on unjudged" : "; it is refused"));
  std::optional<HttpRefusal> refusal;
  if (!detects) refusal = {in_response_ ? 502 : 400, std::string(reason)};
  denied_ = !detects;
  if (!detects) transaction_->updateStatusCode(refusal->status);
  Close();
  return refusal;
}

std::optional<HttpRefusal> ModSecurityGuard::OnIntervention() {
  modsecurity::ModSecurityIntervention intervention;
  modsecurity::intervention::clean(&intervention);
  std::optional<HttpRefusal> refusal;
  if (transaction_->intervention(&intervention) && intervention.disruptive != 0) {
    const absl::string_view log = intervention.log == nullptr ? "" : intervention.log;
    rules_->Tell(log);  // libmodsecurity itself reports all other matches.
    const int status = intervention.status;
    refusal = {status >= 400 && status < 600 ? status : 403,
               absl::StrCat("denied by the rules: ", EscapeForLog(log, 200))};
    denied_ = true;
    transaction_->updateStatusCode(refusal->status);
    Close();
  }
  modsecurity::intervention::free(&intervention);
  return refusal;
}

bool ModSecurityGuard::IsToBeAudited() const {
  const auto& matches = transaction_->m_rulesMessages;
  return denied_ ||
         std::any_of(matches.begin(), matches.end(),
                     [](const modsecurity::RuleMessage& match) { return !match.m_noAuditLog; });
}

// The last phase of the rules, which writes the audit log. Its expressions have their own budget,
// because it follows the verdict.
void ModSecurityGuard::Close() {
  if (transaction_ == nullptr) return;
  RegexBudget budget(rules_->limits());
  {
    const RegexBudget::Scope scope(budget, transaction_->m_it.disruptive);
    transaction_->processLogging();
  }
  if (rules_->wants_audit() && IsToBeAudited()) rules_->Audit(transaction_->toJSON(kAuditParts));
  transaction_.reset();
}

// Returns whether a match of libmodsecurity is charged to a budget.
bool RegexesAreBounded() {
  LoadedRules rules(nullptr, {});
  const absl::Status loaded =
      rules.Load("SecRuleEngine On\nSecRule REQUEST_URI \"@rx ^/$\" \"id:1,phase:1,pass,nolog\"\n");
  if (!loaded.ok()) return false;
  const std::unique_ptr<modsecurity::Transaction> transaction = rules.NewTransaction();
  RegexBudget budget({});
  const RegexBudget::Scope scope(budget, transaction->m_it.disruptive);
  transaction->processURI("/", "GET", "1.1");
  transaction->processRequestHeaders();
  return budget.matches() > 0;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const ModSecurityRules>> ModSecurityRules::Load(
    const std::string& rules, ModSecurityListener* listener, const JudgingLimits& limits) {
  if (limits.cpu_time <= absl::ZeroDuration() || limits.regex_steps == 0 ||
      limits.json_name_bytes == 0) {
    return BadRules("each limit of judging must be positive");
  }
  if (!RegexesAreBounded()) {
    return BadRules("in this program libmodsecurity calls PCRE2 past the limits of judging");
  }
  auto loaded = std::make_shared<LoadedRules>(listener, limits);
  if (absl::Status status = loaded->Load(rules); !status.ok()) return status;
  return loaded;
}

ModSecurityRulesInUse::ModSecurityRulesInUse(std::shared_ptr<const ModSecurityRules> rules)
    : rules_(std::move(rules)) {}

std::shared_ptr<const ModSecurityRules> ModSecurityRulesInUse::current() const {
  const absl::MutexLock lock(&mutex_);
  return rules_;
}

void ModSecurityRulesInUse::Replace(std::shared_ptr<const ModSecurityRules> rules) {
  const absl::MutexLock lock(&mutex_);
  rules_ = std::move(rules);
}

}  // namespace trestle
