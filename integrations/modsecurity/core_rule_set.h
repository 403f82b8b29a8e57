// CoreRuleSet: the rules that come before the OWASP Core Rule Set: how bodies are read, which are
// refused because a backend could read them differently, and limits of what is judged.
#ifndef TRESTLE_INTEGRATIONS_MODSECURITY_CORE_RULE_SET_H_
#define TRESTLE_INTEGRATIONS_MODSECURITY_CORE_RULE_SET_H_

#include <string>

namespace trestle {

/// Bounds of one request. What is over one is denied with status 400 before the Core Rule Set sees
/// it. The processor time of judging grows with each of them: measure with bench/waf.cc.
struct RequestLimits {
  /// In the query and the body together, and files likewise.
  int arguments = 1000;
  int cookies = 200;
  /// Of a name or value: arguments, cookies, fields other than Cookie, names of files, and the text
  /// of an XML document.
  int value_bytes = 8000;
  /// Of `<` in one value, also where they are encoded: the time that an expression of the Core Rule
  /// Set takes grows with the cube of their number.
  int angle_brackets = 256;
  /// Of arrays and objects in each other.
  int json_depth = 64;
};

/// Writes the rules of `limits` in SecLang, to be put before any others: ids 9900100 to 9900109.
std::string LimitRules(const RequestLimits& limits);

/// What the rules for the Core Rule Set begin with.
struct CoreRuleSetOptions {
  /// Debian's package modsecurity-crs.
  std::string setup_file = "/etc/modsecurity/crs/crs-setup.conf";
  std::string rules_folder = "/usr/share/modsecurity-crs/rules";
  /// Gets a line of JSON about each request that was denied or matched a rule; empty for none.
  std::string audit_log;
  /// Matches are told of, and nothing is denied: to see what rules would do to a site.
  bool detect_only = false;
  RequestLimits limits = {};
};

/// Writes the rules that load the Core Rule Set. They read bodies as forms, JSON and XML, and have
/// ModSecurity's recommended rules (ids 200000 to 200005) and stricter ones about bodies (ids
/// 9900010 to 9900099): bodies without a Content-Type, of unknown or encoded content, or of
/// multipart parts in a form that parsers disagree about are denied with status 400.
std::string CoreRuleSet(const CoreRuleSetOptions& options);

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_MODSECURITY_CORE_RULE_SET_H_
