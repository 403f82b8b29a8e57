// ResponseFieldRules: what a gateway changes in the fields of responses; and Via.
#ifndef TRESTLE_INTEGRATIONS_HTTP_RESPONSE_FIELDS_H_
#define TRESTLE_INTEGRATIONS_HTTP_RESPONSE_FIELDS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "integrations/http/http_exchange.h"
#include "integrations/http/http_fields.h"

namespace trestle {

/// Changes to the fields of final responses. Names are in lower case.
struct ResponseFieldRules {
  std::vector<std::string> remove;
  /// Fields that replace those of the same name. They come after `remove`.
  std::vector<HttpFields::Field> set;
};

/// Strict-Transport-Security (RFC 6797), in place of a backend's, on responses over TLS.
struct HstsOptions {
  absl::Duration max_age = absl::ZeroDuration();  ///< Zero: none is written.
  bool subdomains = false;
};

/// Fails with ErrorCode::kConfiguration for an invalid name, for a field of the connection or the
/// framing, and for a value with control characters.
absl::Status CheckResponseFields(const ResponseFieldRules& rules);

/// Fails with ErrorCode::kConfiguration for a negative or infinite age, and for subdomains without
/// an age.
absl::Status CheckHsts(const HstsOptions& options);

/// Applies `rules`, in their order.
void ApplyRules(const ResponseFieldRules& rules, HttpFields& fields);

/// Writes Strict-Transport-Security.
void ApplyHsts(const HstsOptions& options, HttpFields& fields);

/// Adds "Via: 1.1 name", with the version in which the message was received (RFC 9110 7.6.3).
void AddVia(absl::string_view name, HttpVersion received, HttpFields& fields);

/// Returns whether a message has passed `name` before, by its Via.
bool HasPassed(absl::string_view name, const HttpFields& fields);

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP_RESPONSE_FIELDS_H_
