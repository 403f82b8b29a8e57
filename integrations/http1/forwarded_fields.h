// HeadRewriter: the head as the backend gets it: without what only a proxy may say of the client
// and what is between client and proxy only, and with what this proxy knows.
#ifndef TRESTLE_INTEGRATIONS_HTTP1_FORWARDED_FIELDS_H_
#define TRESTLE_INTEGRATIONS_HTTP1_FORWARDED_FIELDS_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "integrations/http1/http_message.h"
#include "trestle/base/ip_range.h"
#include "trestle/proxy/observer.h"

namespace trestle {

/// What backends are told of the client. Whatever is chosen, what the client itself sent under
/// these names, and under X-Forwarded-*, X-Real-IP, X-Client-IP, True-Client-IP and Proxy, never
/// passes, unless it is a trusted proxy; '_' counts as '-', since backends take one for the other.
struct ForwardingOptions {
  bool x_forwarded = true;  ///< X-Forwarded-For: the client's address. X-Forwarded-Proto: https.
  bool forwarded = true;    ///< Forwarded: the same and the host (RFC 7239).
  /// X-Forwarded-Client-Cert: the certificate that the client proved to have, if any, as
  /// `XfccElement` (proxy/xfcc.h) writes it.
  bool client_certificate = true;
  /// Clients that are proxies and speak HTTP for others: those whose own address (where a PROXY
  /// header was believed: the one in it) is in these ranges. Their X-Forwarded-For and Forwarded
  /// are kept, and added to; their X-Forwarded-Proto is believed, if it is http or https. They have
  /// to take out what their own clients made up. A Forwarded whose quotes don't match is dropped:
  /// it would swallow what is added. All other fields are taken out of theirs, too.
  TrustedPeers append_from = {};
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
  std::string Earlier(const HttpRequestHead& head, absl::string_view name) const;
  void AppendXForwarded(const HttpRequestHead& head, std::string& text) const;
  void AppendForwarded(const HttpRequestHead& head, std::string& text) const;

  const ForwardingOptions& options_;
  const bool trusted_;         // The client is a proxy of `append_from`.
  std::string address_;        // Of the client.
  absl::string_view scheme_;   // By which it came here.
  std::string forwarded_for_;  // "for=…;proto=https"
  std::string xfcc_;           // A whole field, or nothing.
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP1_FORWARDED_FIELDS_H_
