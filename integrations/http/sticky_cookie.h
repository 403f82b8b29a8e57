// Sticky cookies: the name of a client's backend, which the client keeps.
#ifndef TRESTLE_INTEGRATIONS_HTTP_STICKY_COOKIE_H_
#define TRESTLE_INTEGRATIONS_HTTP_STICKY_COOKIE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "integrations/http/http_fields.h"
#include "trestle/base/endpoint.h"

namespace trestle {

/// Returns the value that stands for `backend`: 16 hexadecimal digits, which depend on the address
/// only. It is no secret.
std::string StickyValue(const Endpoint& backend);

/// Returns the backend that the request's cookie `name` stands for; null if there is none of
/// `backends`, or if `name` is empty.
const Endpoint* FindSticky(const std::vector<Endpoint>& backends, absl::string_view name,
                           const HttpFields& fields);

/// Returns the value of Set-Cookie for requests below `path` (RFC 6265 4.1). `secure`: the client
/// sends the cookie over TLS only.
std::string StickyCookie(absl::string_view name, const Endpoint& backend, absl::string_view path,
                         bool secure);

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP_STICKY_COOKIE_H_
