// HeadRewriter: rewrites a request's head for the backend. It removes hop-by-hop fields and fields
// that only a proxy may set, and adds what this proxy knows of the client.
#ifndef TRESTLE_INTEGRATIONS_HTTP1_FORWARDED_FIELDS_H_
#define TRESTLE_INTEGRATIONS_HTTP1_FORWARDED_FIELDS_H_

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "integrations/http1/http_message.h"
#include "trestle/base/ip_range.h"
#include "trestle/proxy/observer.h"

namespace trestle {

/// The fields that describe the client to backends. A client's own field is removed if its name is
/// in `ProxyFields` (proxy_fields.h), or if backends fold it into one of them (X_Forwarded_For).
/// `append_from` and `dangerous_keep` are the exceptions.
struct ForwardingOptions {
  bool x_forwarded = true;  ///< X-Forwarded-For: the client's address. X-Forwarded-Proto: https.
  bool forwarded = true;    ///< Forwarded: the same and the host (RFC 7239).
  /// X-Forwarded-Client-Cert: the client's verified certificate, if any, as `XfccElement`
  /// (integrations/http1/xfcc.h) writes it.
  bool client_certificate = true;
  /// Adds the certificate to X-Forwarded-Client-Cert, as `Cert=`.
  bool xfcc_certificate = false;
  /// Client-Cert: the client's verified certificate, if any. Client-Cert-Chain: the other
  /// certificates that it sent, if any (RFC 9440 2.2, 2.3).
  bool client_cert = false;
  /// The maximum size of all certificate fields, if any contains the certificate itself. Requests
  /// of a client with larger certificates are rejected with 431.
  size_t certificate_bytes = 24 * 1024;
  /// Trusted HTTP proxies, by their own address (with a trusted PROXY header: the address in it).
  /// Their X-Forwarded-For and Forwarded are kept and extended; their X-Forwarded-Proto is used if
  /// it is http or https, in Forwarded too. Such a proxy must remove these fields from its own
  /// clients' requests. A Forwarded with unbalanced quotes is removed: it would swallow the added
  /// part. All other proxy fields are removed as usual.
  TrustedPeers append_from = {};
  /// More fields to remove from clients' requests.
  std::vector<std::string> strip = {};
  /// Fields of `ProxyFields` that pass, in this spelling only: any client can forge them. Fields
  /// that the options above write are not allowed here.
  std::vector<std::string> dangerous_keep = {};
};

/// Checks `options`. Fails with ErrorCode::kConfiguration if `dangerous_keep` names a field that
/// `options` write or that passes anyway, or if `certificate_bytes` is 0.
absl::Status CheckForwarding(const ForwardingOptions& options);

class HeadRewriter {
 public:
  /// Reads the client's description from `connection`. `options` must outlive the rewriter.
  HeadRewriter(const ForwardingOptions& options, const ConnectionReport& connection);

  /// Calls `emit` with the name and value of each field for the backend. First come the fields of
  /// `head` that pass, without Connection, then those that describe the client. Both views are
  /// valid during the call.
  using Emit = absl::FunctionRef<void(absl::string_view name, absl::string_view value)>;
  void ForEachField(const HttpRequestHead& head, Emit emit) const;

  /// Returns why all of this client's requests are rejected: its certificate fields exceed
  /// `certificate_bytes`. Empty if they fit.
  const std::optional<HttpRefusal>& refusal() const { return refusal_; }

 private:
  void DescribeCertificate(const PeerIdentity& identity);
  bool Passes(const HttpRequestHead& head, absl::string_view name) const;
  std::string Earlier(const HttpRequestHead& head, absl::string_view name) const;
  void EmitClient(const HttpRequestHead& head, Emit emit) const;
  std::string SchemeOf(const HttpRequestHead& head) const;
  void EmitXForwarded(const HttpRequestHead& head, Emit emit) const;
  void EmitForwarded(const HttpRequestHead& head, Emit emit) const;

  const ForwardingOptions& options_;
  const bool trusted_;         // The client is in `append_from`.
  std::string address_;        // Of the client.
  absl::string_view scheme_;   // Of the client's connection.
  std::string forwarded_for_;  // "for=…"
  std::vector<std::pair<absl::string_view, std::string>> certificate_;  // Its fields.
  std::optional<HttpRefusal> refusal_;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP1_FORWARDED_FIELDS_H_
