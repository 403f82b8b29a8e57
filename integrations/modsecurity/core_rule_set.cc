#include "integrations/modsecurity/core_rule_set.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace trestle {
namespace {

// The marker at which rules that only detect continue after a request over a limit.
constexpr char kEndOfRules[] = "TRESTLE-END-OF-RULES";

// The parser of a body. 200000 and 200001 have the ids of modsecurity.conf-recommended.
constexpr char kBodyParsers[] = R"rules(
SecRequestBodyAccess On
SecAuditEngine Off
SecRequestBodyLimit 13107200
SecRequestBodyNoFilesLimit 131072
SecRequestBodyLimitAction Reject
SecArgumentSeparator &
SecCookieFormat 0
SecRule REQUEST_HEADERS:Content-Type "@rx ^(?:text|application)/(?:[a-z0-9.+-]+[+])?xml" \
    "id:200000,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML"
SecRule REQUEST_HEADERS:Content-Type "@rx ^application/(?:[a-z0-9.+-]+[+])?json" \
    "id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
)rules";

constexpr char kResponses[] = R"rules(
SecResponseBodyAccess On
SecResponseBodyMimeType text/plain text/html text/xml application/xml application/json
SecResponseBodyLimit 13107200
SecResponseBodyLimitAction ProcessPartial
)rules";

// The rules of modsecurity.conf-recommended that deny. 200007 is one of LimitRules.
constexpr char kRecommended[] = R"rules(
SecRule REQBODY_ERROR "!@eq 0" "id:200002,phase:2,t:none,log,DENY,\
    msg:'The body is not what its Content-Type says',logdata:'%{reqbody_error_msg}'"
SecRule MULTIPART_STRICT_ERROR "!@eq 0" "id:200003,phase:2,t:none,log,DENY,\
    msg:'The multipart body is not exact: BQ %{MULTIPART_BOUNDARY_QUOTED}, \
BW %{MULTIPART_BOUNDARY_WHITESPACE}, DB %{MULTIPART_DATA_BEFORE}, DA %{MULTIPART_DATA_AFTER}, \
HF %{MULTIPART_HEADER_FOLDING}, LF %{MULTIPART_LF_LINE}, SM %{MULTIPART_MISSING_SEMICOLON}, \
IQ %{MULTIPART_INVALID_QUOTING}, IP %{MULTIPART_INVALID_PART}, \
IH %{MULTIPART_INVALID_HEADER_FOLDING}, FL %{MULTIPART_FILE_LIMIT_EXCEEDED}'"
SecRule MULTIPART_UNMATCHED_BOUNDARY "@eq 1" "id:200004,phase:2,t:none,log,DENY,\
    msg:'The multipart body has a line that may be a boundary'"
SecRule TX:/^MSC_/ "!@streq 0" "id:200005,phase:2,t:none,log,DENY,\
    msg:'ModSecurity could not judge the request: %{MATCHED_VAR_NAME}'"
)rules";

// The allowed Content-Types of a body. Debian's parsers differ on all others. Rack reads a body
// without one as a form, and multipart/mixed as multipart/form-data; PHP ends a boundary at a
// comma.
constexpr char kContentTypes[] = R"rules(
SecRule &REQUEST_HEADERS:Content-Type "@gt 1" "id:9900010,phase:1,t:none,log,DENY,\
    msg:'More than one Content-Type'"
SecRule REQUEST_HEADERS:Content-Type "@rx ^(?i:multipart/form-data); ?boundary=([0-9A-Za-z_.=-]{1,70})$" \
    "id:9900011,phase:1,t:none,pass,nolog,capture,setvar:'tx.trestle_boundary=%{TX.1}'"
SecRule REQUEST_HEADERS:Content-Type "@rx ^\s*(?i:multipart)\b" \
    "id:9900012,phase:1,t:none,log,DENY,msg:'A multipart body of another form than form-data',chain"
    SecRule &TX:trestle_boundary "@eq 0" "t:none"
SecRule REQUEST_HEADERS:Content-Encoding "!@rx ^(?i:identity)$" \
    "id:9900013,phase:1,t:none,log,DENY,msg:'An encoded body, which is not judged'"
SecRule REQUEST_BODY_LENGTH "@gt 0" \
    "id:9900014,phase:2,t:none,log,DENY,msg:'A body without Content-Type',chain"
    SecRule &REQUEST_HEADERS:Content-Type "@eq 0" "t:none"
SecRule REQUEST_BODY_LENGTH "@gt 0" \
    "id:9900015,phase:2,t:none,log,DENY,msg:'A body of a Content-Type that is not judged',chain"
    SecRule REQUEST_HEADERS:Content-Type "!@rx ^(?i:multipart/form-data;[^,;]*|(?:application/x-www-form-urlencoded|(?:text|application)/(?:[a-z0-9.+-]+\+)?xml|application/(?:[a-z0-9.+-]+\+)?json)(?:\s?;[^,]*)?)$" "t:none"
)rules";

// Multipart bodies that libmodsecurity accepts and other parsers read differently. libmodsecurity
// 3.0.9 silently drops a repeated field of a part, so the rules inspect the body itself.
constexpr char kMultipart[] = R"rules(
SecRule REQUEST_HEADERS:Content-Type "@rx ^(?i:multipart)" \
    "id:9900020,phase:2,t:none,log,DENY,msg:'A part with the same field twice',chain"
    SecRule REQUEST_BODY "@rx (?i)(?:^|[\r\n])content-(?:disposition[ \t]*:[^\n]*+\n(?:(?!content-disposition[ \t]*:)[^\r\n]++\r?\n)*+content-disposition|type[ \t]*:[^\n]*+\n(?:(?!content-type[ \t]*:)[^\r\n]++\r?\n)*+content-type)[ \t]*:" "t:none"
SecRule MULTIPART_PART_HEADERS "!@rx (?i)^content-(?:disposition: ?form-data(?:; ?name=(?:\x22[^\x22\\\x00-\x1f\x7f]*\x22|[\w.-]+))(?:; ?filename=(?:\x22[^\x22\\\x00-\x1f\x7f]*\x22|[\w.-]+))?|type: ?[\w.+-]+/[\w.+-]+(?:; ?charset=\x22?(?:utf-8|us-ascii|iso-8859-1)\x22?)?|length: ?[0-9]+|id: ?[\w.@<>-]+)\s*$" \
    "id:9900021,phase:2,t:none,log,DENY,msg:'A part with a field in a form that parsers disagree about'"
SecRule REQUEST_HEADERS:Content-Type "@rx ^(?i:multipart)" \
    "id:9900022,phase:2,t:none,log,DENY,msg:'The boundary is also found elsewhere than on a line of its own',chain"
    SecRule REQUEST_BODY "@rx (?:[^\n]|(?<!\r)\n)--%{tx.trestle_boundary}|--%{tx.trestle_boundary}(?!\r\n|--\r\n|--\z)" "t:none"
SecRule &FILES "@gt 0" \
    "id:9900023,phase:2,t:none,log,DENY,msg:'A file without Content-Type, which some parsers take for a value',chain"
    SecRule REQUEST_BODY "@rx (?i)--%{tx.trestle_boundary}\r\n(?!(?:[^\r\n]++\r\n)*?content-type:)(?:[^\r\n]++\r\n)*?content-disposition:[^\r\n]*filename" "t:none"
)rules";

// Names of arrays and objects without a value never become arguments.
constexpr char kJson[] = R"rules(
SecRule REQBODY_PROCESSOR "@streq JSON" \
    "id:9900030,phase:2,t:none,log,DENY,msg:'A JSON array or object with a name that may be code',chain"
    SecRule REQUEST_BODY "@rx \x22(?=[^\x22\\]*[<>'();\\])(?:[^\x22\\]|\\.)*+\x22\s*+:\s*+[\[{]" "t:none"
)rules";

// With `detect_only`, a request over a limit is reported and not inspected further.
std::string RulesOf(const RequestLimits& limits, bool detect_only) {
  const std::string over =
      detect_only ? absl::StrCat("pass,log,setvar:tx.trestle_over_limit=1,skipAfter:", kEndOfRules)
                  : "deny,log,status:400";
  // Values of phase 1 are checked in phase 1, those of bodies in phase 2.
  constexpr char kHeadValues[] =
      "ARGS|ARGS_NAMES|REQUEST_COOKIES|REQUEST_COOKIES_NAMES|REQUEST_HEADERS|"
      "!REQUEST_HEADERS:Cookie|REQUEST_HEADERS_NAMES";
  constexpr char kBodyValues[] = "ARGS|ARGS_NAMES|FILES|FILES_NAMES|XML:/*";
  constexpr char kDecoded[] =
      "t:none,t:utf8toUnicode,t:urlDecodeUni,t:htmlEntityDecode,t:jsDecode,t:cssDecode";
  std::string rules = absl::StrCat("SecRequestBodyJsonDepthLimit ", limits.json_depth,
                                   "\nSecArgumentsLimit ", limits.arguments + 1, "\n");
  int id = 9900100;
  const auto rule = [&](absl::string_view variables, absl::string_view test, int phase,
                        absl::string_view transformations, absl::string_view message) {
    absl::StrAppend(&rules, "SecRule ", variables, " \"", test, "\" \"id:", id++, ",phase:", phase,
                    ",", transformations, ",", over, ",msg:'", message, "'\"\n");
  };
  if (detect_only) {
    absl::StrAppend(&rules, "SecRule TX:trestle_over_limit \"@eq 1\" \"id:", id++,
                    ",phase:2,t:none,pass,nolog,skipAfter:", kEndOfRules, "\"\n");
  }
  const std::string brackets = absl::StrCat("@rx (?:<[^<]*+){", limits.angle_brackets + 1, "}");
  const std::string more_arguments = absl::StrCat("@gt ", limits.arguments);
  const std::string longer = absl::StrCat("@gt ", limits.value_bytes);
  rule("&REQUEST_COOKIES", absl::StrCat("@gt ", limits.cookies), 1, "t:none", "Too many cookies");
  rule("&ARGS", more_arguments, 1, "t:none", "Too many arguments");
  rule(kHeadValues, longer, 1, "t:none,t:length", "A name or value is too long");
  rule(kHeadValues, brackets, 1, kDecoded, "Too many angle brackets in a value");
  rule("&ARGS|&FILES", more_arguments, 2, "t:none", "Too many arguments");
  rule(kBodyValues, longer, 2, "t:none,t:length", "A name or value is too long");
  rule(kBodyValues, brackets, 2, kDecoded, "Too many angle brackets in a value");
  return rules;
}

}  // namespace

std::string LimitRules(const RequestLimits& limits) { return RulesOf(limits, false); }

std::string CoreRuleSet(const CoreRuleSetOptions& options) {
  std::string rules = absl::StrCat("SecRuleEngine ", options.detect_only ? "DetectionOnly" : "On",
                                   "\n", RulesOf(options.limits, options.detect_only));
  absl::StrAppend(&rules, options.responses ? kResponses : "SecResponseBodyAccess Off\n");
  for (const char* group : {kBodyParsers, kRecommended, kContentTypes, kMultipart, kJson}) {
    absl::StrAppend(&rules, absl::StrReplaceAll(group, {{"DENY", "deny,status:400"}}));
  }
  absl::StrAppend(&rules, "Include ", options.setup_file, "\nInclude ", options.rules_folder,
                  "/*.conf\nSecMarker ", kEndOfRules, "\n");
  return rules;
}

}  // namespace trestle
