// XFCC: writes a client's identity as the value of an x-forwarded-client-cert header. The code that
// adds the header to a request must also remove the client's own.
#ifndef TRESTLE_INTEGRATIONS_HTTP1_XFCC_H_
#define TRESTLE_INTEGRATIONS_HTTP1_XFCC_H_

#include <cstddef>
#include <string>

#include "trestle/pki/peer_identity.h"

namespace trestle {

struct XfccOptions {
  /// The value of `By=`: by convention, the URI of the proxy's own certificate. Empty: omitted.
  std::string by = {};
  /// Adds the certificate as `Cert=`: PEM, percent-encoded.
  bool certificate = false;
  /// The maximum size of subject and names together. With the default, an element without a
  /// certificate stays below 8 KiB, which most servers accept. A subject that does not fit is
  /// written empty. The names after the last one that fits are omitted.
  size_t max_name_bytes = 7 * 1024;
};

/// Returns one element in the form that Envoy defined:
/// `By=…;Hash=…;Cert="…";Subject="…";URI=…;DNS=…`, with one URI or DNS pair for each name of that
/// kind. Hash is the SHA-256 of the certificate, in hexadecimal. Quotes and backslashes from the
/// client are written as `%22` and `%5C` (in the subject: `\22` and `\5C`, RFC 2253 2.4). So no
/// reader can mistake a part of a value for another pair or element.
std::string XfccElement(const PeerIdentity& identity, const XfccOptions& options = {});

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP1_XFCC_H_
