// Proxy fields: the request fields by which backends recognise a client, its route or its method,
// and which are therefore a proxy's to set. The one list of them, for heads, trailers and options
// of Connection.
#ifndef TRESTLE_INTEGRATIONS_HTTP1_PROXY_FIELDS_H_
#define TRESTLE_INTEGRATIONS_HTTP1_PROXY_FIELDS_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace trestle {

/// Names in lower case; one that ends in '*' stands for all names that begin so.
absl::Span<const absl::string_view> ProxyFields();

/// Writes a field's name as backends see it that make a variable of it: in lower case, with '-' for
/// every character that is no letter and no digit. CGI, FastCGI and WSGI know `X_Forwarded_For` and
/// `X.Forwarded.For` by the same variable as `X-Forwarded-For`.
std::string FoldedName(absl::string_view name);

/// Tells whether `folded`, as of `FoldedName`, is one of `ProxyFields`.
bool IsProxyField(absl::string_view folded);

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP1_PROXY_FIELDS_H_
