// HeadRewriter: the head as the backend gets it: without what only a proxy may say of the client
// and what is between client and proxy only, and with what this proxy knows.
#ifndef TRESTLE_INTEGRATIONS_HTTP1_FORWARDED_FIELDS_H_
#define TRESTLE_INTEGRATIONS_HTTP1_FORWARDED_FIELDS_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "integrations/http1/http_message.h"
#include "trestle/base/ip_range.h"
#include "trestle/proxy/observer.h"

namespace trestle {

/// What backends are told of the client. A field that the client sent does not pass if its name is
/// one of `ProxyFields` (proxy_fields.h), or if backends fold it into one of them
/// (X_Forwarded_For). `append_from` and `dangerous_keep` are the exceptions.
struct ForwardingOptions {
  bool x_forwarded = true;  ///< X-Forwarded-For: the client's address. X-Forwarded-Proto: https.
  bool forwarded = true;    ///< Forwarded: the same and the host (RFC 7239).
  /// X-Forwarded-Client-Cert: the certificate that the client proved to have, if any, as
  /// `XfccElement` (proxy/xfcc.h) writes it.
  bool client_certificate = true;
  /// Adds the certificate itself to X-Forwarded-Client-Cert, as `Cert=`.
  bool xfcc_certificate = false;
  /// Client-Cert: the certificate that the client proved to have, if any. Client-Cert-Chain: those
  /// that it sent beside it, if any (RFC 9440 2.2, 2.3).
  bool client_cert = false;
  /// The most bytes of all fields about the certificate, where any has the certificate itself.
  /// Requests of a client whose certificates need more are refused with 431.
  size_t certificate_bytes = 24 * 1024;
  /// Clients that are proxies and speak HTTP for others: those whose own address (where a PROXY
  /// header was believed: the one in it) is in these ranges. Their X-Forwarded-For and Forwarded
  /// are kept, and added to; their X-Forwarded-Proto is believed, if it is http or https. They have
  /// to take out what their own clients made up. A Forwarded whose quotes don't match is dropped:
  /// it would swallow what is added. All other fields are taken out of theirs, too.
  TrustedPeers append_from = {};
  /// More fields that clients' requests lose.
  std::vector<std::string> strip = {};
  /// Fields of `ProxyFields` that pass, in this spelling only: every client can forge them. Fields
  /// that the options above write can't be among them.
  std::vector<std::string> dangerous_keep = {};
};

/// Fails with ErrorCode::kConfiguration where a field is to be kept that `options` write or that
/// passes anyway, or where the limit of bytes is none.
absl::Status CheckForwarding(const ForwardingOptions& options);

class HeadRewriter {
 public:
  /// Takes what is said of the client from `connection`. `options` must outlive the rewriter.
  HeadRewriter(const ForwardingOptions& options, const ConnectionReport& connection);

  /// Writes the head anew. `upgrade`: the request may ask for another protocol. `close`: the
  /// backend is told that no other request follows.
  std::string Rewrite(const HttpRequestHead& head, bool upgrade, bool close) const;

  /// Why none of this client's requests may pass: what is to be told of it is over the limit.
  const std::optional<HttpRefusal>& refusal() const { return refusal_; }

 private:
  void DescribeCertificate(const PeerIdentity& identity);
  bool Passes(const HttpRequestHead& head, absl::string_view name, bool upgrade) const;
  std::string Earlier(const HttpRequestHead& head, absl::string_view name) const;
  void AppendXForwarded(const HttpRequestHead& head, std::string& text) const;
  void AppendForwarded(const HttpRequestHead& head, std::string& text) const;

  const ForwardingOptions& options_;
  const bool trusted_;         // The client is a proxy of `append_from`.
  std::string address_;        // Of the client.
  absl::string_view scheme_;   // By which it came here.
  std::string forwarded_for_;  // "for=…;proto=https"
  std::string certificate_;    // Whole fields that tell of it, or nothing.
  std::optional<HttpRefusal> refusal_;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP1_FORWARDED_FIELDS_H_
