#include "integrations/modsecurity/modsecurity_guard.h"

#include <modsecurity/modsecurity.h>
#include <modsecurity/rules_set.h>
#include <modsecurity/transaction.h>

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "trestle/base/error.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

constexpr size_t kMaxMessageBytes = 1024;

class LoadedRules;

// An address and a port as ModSecurity wants them.
struct Peer {
  explicit Peer(const Endpoint& endpoint) : port(endpoint.port()) {
    const std::string text = endpoint.ToString();
    address = text.substr(0, text.rfind(':'));
    if (!address.empty() && address.front() == '[') address = address.substr(1, address.size() - 2);
  }
  std::string address;
  int port;
};

class ModSecurityGuard final : public HttpGuard {
 public:
  ModSecurityGuard(std::shared_ptr<const LoadedRules> rules, const ConnectionReport& connection)
      : rules_(std::move(rules)), client_(connection.front.peer), server_(connection.front.local) {}

  ~ModSecurityGuard() override { Close(); }

  std::optional<HttpRefusal> OnHead(const HttpRequestHead& head) override;
  bool wants_body() const override { return transaction_ != nullptr; }
  std::optional<HttpRefusal> OnBody(absl::string_view piece) override;
  std::optional<HttpRefusal> OnEnd() override;

 private:
  std::optional<HttpRefusal> Judge();
  void Close();

  const std::shared_ptr<const LoadedRules> rules_;
  const Peer client_;
  const Peer server_;
  std::unique_ptr<modsecurity::Transaction> transaction_;
};

class LoadedRules final : public ModSecurityRules,
                          public std::enable_shared_from_this<LoadedRules> {
 public:
  explicit LoadedRules(ModSecurityListener* listener) : listener_(listener) {
    engine_.setConnectorInformation("Trestle");
    engine_.setServerLogCb(&LoadedRules::OnLog, modsecurity::TextLogProperty);
  }

  absl::Status Load(const std::string& rules) {
    count_ = rules_.load(rules.c_str());
    if (count_ >= 0) return absl::OkStatus();
    return MakeError({ErrorCode::kConfiguration, std::nullopt, Phase::kSetUp, std::nullopt,
                      absl::StrCat("the rules can't be loaded: ",
                                   EscapeForLog(rules_.getParserError(), kMaxMessageBytes))});
  }

  std::unique_ptr<HttpGuard> NewGuard(const ConnectionReport& connection) const override {
    return std::make_unique<ModSecurityGuard>(shared_from_this(), connection);
  }

  int size() const override { return count_; }

  std::unique_ptr<modsecurity::Transaction> NewTransaction() const {
    return std::make_unique<modsecurity::Transaction>(&engine_, &rules_,
                                                      const_cast<LoadedRules*>(this));
  }

  void Tell(absl::string_view message) const {
    if (listener_ != nullptr) listener_->OnMatch(EscapeForLog(message, kMaxMessageBytes));
  }

 private:
  static void OnLog(void* rules, const void* message) {
    if (message != nullptr) {
      static_cast<const LoadedRules*>(rules)->Tell(static_cast<const char*>(message));
    }
  }

  ModSecurityListener* const listener_;
  // libmodsecurity locks what transactions of several threads share, but knows no const.
  mutable modsecurity::ModSecurity engine_;
  mutable modsecurity::RulesSet rules_;
  int count_ = 0;
};

std::optional<HttpRefusal> ModSecurityGuard::OnHead(const HttpRequestHead& head) {
  Close();
  transaction_ = rules_->NewTransaction();
  transaction_->processConnection(client_.address.c_str(), client_.port, server_.address.c_str(),
                                  server_.port);
  transaction_->processURI(std::string(head.target).c_str(), std::string(head.method).c_str(),
                           head.minor_version == 0 ? "1.0" : "1.1");
  if (std::optional<HttpRefusal> no = Judge()) return no;
  for (const HttpField& field : head.fields) {
    transaction_->addRequestHeader(std::string(field.name), std::string(field.value));
  }
  transaction_->processRequestHeaders();
  return Judge();
}

std::optional<HttpRefusal> ModSecurityGuard::OnBody(absl::string_view piece) {
  transaction_->appendRequestBody(reinterpret_cast<const unsigned char*>(piece.data()),
                                  piece.size());
  return Judge();
}

std::optional<HttpRefusal> ModSecurityGuard::OnEnd() {
  if (transaction_ == nullptr) return std::nullopt;
  transaction_->processRequestBody();
  std::optional<HttpRefusal> no = Judge();
  if (!no.has_value()) Close();
  return no;
}

std::optional<HttpRefusal> ModSecurityGuard::Judge() {
  modsecurity::ModSecurityIntervention intervention;
  modsecurity::intervention::clean(&intervention);
  std::optional<HttpRefusal> refusal;
  if (transaction_->intervention(&intervention) && intervention.disruptive != 0) {
    const absl::string_view log = intervention.log == nullptr ? "" : intervention.log;
    rules_->Tell(log);  // libmodsecurity itself tells of all other matches.
    const int status = intervention.status;
    refusal = {status >= 400 && status < 600 ? status : 403,
               absl::StrCat("denied by the rules: ", EscapeForLog(log, 200))};
    transaction_->updateStatusCode(refusal->status);
    Close();
  }
  modsecurity::intervention::free(&intervention);
  return refusal;
}

// The last phase of the rules: the audit log is written in it.
void ModSecurityGuard::Close() {
  if (transaction_ == nullptr) return;
  transaction_->processLogging();
  transaction_.reset();
}

}  // namespace

absl::StatusOr<std::shared_ptr<const ModSecurityRules>> ModSecurityRules::Load(
    const std::string& rules, ModSecurityListener* listener) {
  auto loaded = std::make_shared<LoadedRules>(listener);
  if (absl::Status status = loaded->Load(rules); !status.ok()) return status;
  return loaded;
}

std::string CoreRuleSet(const CoreRuleSetOptions& options) {
  std::string rules = absl::StrCat(
      "SecRuleEngine ", options.detect_only ? "DetectionOnly" : "On",
      "\n"
      "SecRequestBodyAccess On\n"
      "SecRequestBodyLimitAction ProcessPartial\n"
      "SecResponseBodyAccess Off\n"
      "SecRule REQUEST_HEADERS:Content-Type \"@rx ^application/(?:[a-z0-9.+-]+[+])?json\" "
      "\"id:9900001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON\"\n"
      "SecRule REQUEST_HEADERS:Content-Type "
      "\"@rx ^(?:text|application)/(?:[a-z0-9.+-]+[+])?xml\" "
      "\"id:9900002,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML\"\n"
      "SecRule REQBODY_ERROR \"!@eq 0\" \"id:9900003,phase:2,t:none,deny,status:400,log,"
      "msg:'The body is not what its Content-Type says'\"\n");
  if (!options.audit_log.empty()) {
    absl::StrAppend(&rules,
                    "SecAuditEngine RelevantOnly\n"
                    "SecAuditLogRelevantStatus \"^[45]\"\n"
                    "SecAuditLogParts ABHZ\n"
                    "SecAuditLogType Serial\n"
                    "SecAuditLogFormat JSON\n"
                    "SecAuditLog ",
                    options.audit_log, "\n");
  }
  absl::StrAppend(&rules, "Include ", options.setup_file, "\nInclude ", options.rules_folder,
                  "/*.conf\n");
  return rules;
}

HttpGuardFactory NewModSecurityGuardFactory(std::shared_ptr<const ModSecurityRules> rules) {
  return [rules = std::move(rules)](const ConnectionReport& connection) {
    return rules->NewGuard(connection);
  };
}

}  // namespace trestle
