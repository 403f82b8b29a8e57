// XFCC: a client's identity as the value of an x-forwarded-client-cert header, for whoever puts
// headers into the HTTP of a backend. Such code must also remove what the client itself sent.
#ifndef TRESTLE_PROXY_XFCC_H_
#define TRESTLE_PROXY_XFCC_H_

#include <cstddef>
#include <string>

#include "trestle/tls/peer_identity.h"

namespace trestle {

struct XfccOptions {
  /// Who says so, by convention the URI of the proxy's own certificate. Empty: left out.
  std::string by = {};
  /// Adds the certificate itself as `Cert=`: PEM, percent-encoded.
  bool certificate = false;
  /// The most that subject and names may take together: with it an element without a certificate
  /// stays below 8 KiB, which most servers take. A subject that doesn't fit is written empty, and
  /// of the names those are left out that come behind the last one that fits.
  size_t max_name_bytes = 7 * 1024;
};

/// Writes one element in the form that Envoy defined:
/// `By=…;Hash=…;Cert="…";Subject="…";URI=…;DNS=…`, with one URI and DNS pair for each name of that
/// kind. Hash is the SHA-256 of the certificate, in hexadecimal. Quotes and backslashes of the
/// client's making are written as `%22` and `%5C` (in the subject: `\22` and `\5C`, RFC 2253 2.4),
/// so that no reader can take a part of a value for another pair or element.
std::string XfccElement(const PeerIdentity& identity, const XfccOptions& options = {});

}  // namespace trestle

#endif  // TRESTLE_PROXY_XFCC_H_
