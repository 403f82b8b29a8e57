// Proxy fields: the request fields by which backends identify a client, its route or its method.
// Only a proxy may set them. This list applies to heads, trailers and Connection options.
#ifndef TRESTLE_INTEGRATIONS_HTTP1_PROXY_FIELDS_H_
#define TRESTLE_INTEGRATIONS_HTTP1_PROXY_FIELDS_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace trestle {

/// Returns the names in lower case. A name that ends in '*' is a prefix.
absl::Span<const absl::string_view> ProxyFields();

/// Returns a field's name as backends see it that turn fields into variables: in lower case, with
/// '-' for every character except letters and digits. For CGI, FastCGI and WSGI, `X_Forwarded_For`,
/// `X.Forwarded.For` and `X-Forwarded-For` are the same variable.
std::string FoldedName(absl::string_view name);

/// Returns whether `folded`, a result of `FoldedName`, is one of `ProxyFields`.
bool IsProxyField(absl::string_view folded);

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP1_PROXY_FIELDS_H_
