// HeadRewriter: the head as the backend gets it: without what only a proxy may say of the client
// and what is between client and proxy only, and with what this proxy knows.
#ifndef TRESTLE_INTEGRATIONS_HTTP1_FORWARDED_FIELDS_H_
#define TRESTLE_INTEGRATIONS_HTTP1_FORWARDED_FIELDS_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "integrations/http1/http_message.h"
#include "trestle/proxy/observer.h"

namespace trestle {

/// What backends are told of the client. Whatever is chosen, what the client itself sent under
/// these names, and under X-Forwarded-*, X-Real-IP, X-Client-IP, True-Client-IP and Proxy, never
/// passes;
/// '_' counts as '-', since backends take one for the other.
struct ForwardingOptions {
  bool x_forwarded = true;  ///< X-Forwarded-For: the client's address. X-Forwarded-Proto: https.
  bool forwarded = true;    ///< Forwarded: the same and the host (RFC 7239).
  /// X-Forwarded-Client-Cert: subject, URIs and DNS names of the certificate that the client proved
  /// to have, if any.
  bool client_certificate = true;
  /// More fields that clients' requests lose.
  std::vector<std::string> strip = {};
};

class HeadRewriter {
 public:
  /// Takes what is said of the client from `connection`. `options` must outlive the rewriter.
  HeadRewriter(const ForwardingOptions& options, const ConnectionReport& connection);

  /// Writes the head anew. `upgrade`: the request may ask for another protocol. `close`: the
  /// backend is told that no other request follows.
  std::string Rewrite(const HttpRequestHead& head, bool upgrade, bool close) const;

 private:
  bool Passes(const HttpRequestHead& head, absl::string_view name, bool upgrade) const;

  const ForwardingOptions& options_;
  std::string fixed_fields_;   // The same for all requests of the connection.
  std::string forwarded_for_;  // "for=…;proto=https"
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP1_FORWARDED_FIELDS_H_
