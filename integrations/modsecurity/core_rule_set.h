// CoreRuleSet: the rules to load before the OWASP Core Rule Set. They define how bodies are parsed,
// reject bodies that a backend could parse differently, and limit requests.
#ifndef TRESTLE_INTEGRATIONS_MODSECURITY_CORE_RULE_SET_H_
#define TRESTLE_INTEGRATIONS_MODSECURITY_CORE_RULE_SET_H_

#include <string>

namespace trestle {

/// Limits of one request. A request over a limit is denied with status 400 before the Core Rule Set
/// sees it. The processor time of inspection grows with each of them: measure with bench/waf.cc.
struct RequestLimits {
  /// Arguments in query and body together. The same limit applies to files.
  int arguments = 1000;
  int cookies = 200;
  /// Size of a name or value: arguments, cookies, fields other than Cookie, file names, and the
  /// text of an XML document.
  int value_bytes = 8000;
  /// Number of `<` in one value, also if encoded. The time of one expression of the Core Rule Set
  /// grows with the cube of this number.
  int angle_brackets = 256;
  /// Nesting depth of arrays and objects.
  int json_depth = 64;
};

/// Returns the rules for `limits` in SecLang, with ids 9900100 to 9900109. Load them before all
/// others.
std::string LimitRules(const RequestLimits& limits);

/// Options of the rules that load the Core Rule Set.
struct CoreRuleSetOptions {
  /// The paths of Debian's package modsecurity-crs.
  std::string setup_file = "/etc/modsecurity/crs/crs-setup.conf";
  std::string rules_folder = "/usr/share/modsecurity-crs/rules";
  /// Reports matches without denying requests, to test the rules on a site.
  bool detect_only = false;
  /// Reads the bodies of responses of the types text/plain, text/html, text/xml, application/xml
  /// and application/json, for a guard of JudgedParts::kRequestAndResponse.
  bool responses = false;
  RequestLimits limits = {};
};

/// Returns the rules that load the Core Rule Set. They parse bodies as forms, JSON and XML. They
/// include ModSecurity's recommended rules (ids 200000 to 200005) and stricter ones about bodies
/// (ids 9900010 to 9900099). Bodies without a Content-Type, with unknown or encoded content, or
/// with ambiguous multipart parts are denied with status 400.
std::string CoreRuleSet(const CoreRuleSetOptions& options);

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_MODSECURITY_CORE_RULE_SET_H_
