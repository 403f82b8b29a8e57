#include "integrations/http1/proxy_fields.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"

namespace trestle {
namespace {

// docs/http.md lists the software that sets and reads each of them.
constexpr absl::string_view kProxyFields[] = {
    // The client's address, and the request as the proxy received it.
    "client-ip",
    "forwarded",
    "forwarded-for",
    "front-end-https",
    "proxy-client-ip",
    "true-client-ip",
    "wl-proxy-*",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-forwarded",
    "x-forwarded-*",
    "x-host",
    "x-http-host-override",
    "x-originating-ip",
    "x-proxyuser-ip",
    "x-real-ip",
    "x-real-port",
    "x-scheme",
    "x-url-scheme",
    // The client's certificate.
    "client-cert",
    "client-cert-*",
    "ssl-client-*",
    "x-arr-*",
    "x-client-cert",
    "x-client-cert-*",
    "x-client-dn",
    "x-client-s-dn",
    "x-client-verify",
    "x-ssl",
    "x-ssl-*",
    "x-tls-client-*",
    // The user authenticated by a proxy.
    "remote-*",
    "tailscale-user-*",
    "x-auth-request-*",
    "x-authenticated-*",
    "x-authentik-*",
    "x-remote-*",
    "x-webauth-*",
    // Fields of content delivery networks and cloud front ends.
    "cf-*",
    "fastly-client",
    "fastly-client-*",
    "fly-client-ip",
    "x-amzn-mtls-*",
    "x-amzn-oidc-*",
    "x-appengine-*",
    "x-azure-*",
    "x-envoy-*",
    "x-goog-authenticated-user-*",
    "x-goog-iap-*",
    "x-ms-client-principal",
    "x-ms-client-principal-*",
    // A path, host or method that differs from the one routed and inspected.
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-*",
    "x-rewrite-url",
    // Switches within a backend.
    "proxy",
    "x-accel-mapping",
    "x-middleware-subrequest",
    "x-sendfile-type",
};

bool Covers(absl::string_view entry, absl::string_view folded) {
  return absl::ConsumeSuffix(&entry, "*") ? absl::StartsWith(folded, entry) : folded == entry;
}

}  // namespace

absl::Span<const absl::string_view> ProxyFields() { return kProxyFields; }

std::string FoldedName(absl::string_view name) {
  std::string folded = absl::AsciiStrToLower(name);
  for (char& c : folded) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c))) c = '-';
  }
  return folded;
}

bool IsProxyField(absl::string_view folded) {
  return std::any_of(std::begin(kProxyFields), std::end(kProxyFields),
                     [&](absl::string_view entry) { return Covers(entry, folded); });
}

}  // namespace trestle
