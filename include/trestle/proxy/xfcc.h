// XFCC: a client's identity as the value of an x-forwarded-client-cert header, for whoever puts
// headers into the HTTP of a backend. Such code must also remove what the client itself sent.
#ifndef TRESTLE_PROXY_XFCC_H_
#define TRESTLE_PROXY_XFCC_H_

#include <string>

#include "absl/strings/string_view.h"
#include "trestle/tls/peer_identity.h"

namespace trestle {

/// Writes one element in the form that Envoy defined: `By=…;Hash=…;Subject="…";URI=…;DNS=…`, with
/// one URI and DNS pair for each name of that kind. `by` is who says so, by convention the URI of
/// the proxy's own certificate; left out when empty. Hash is the SHA-256 of the certificate, in
/// hexadecimal. Quotes and backslashes of the client's making are written as `%22` and `%5C` (in
/// the subject: `\22` and `\5C`, RFC 2253 2.4), so that no reader can take a part of a value for
/// another pair or element.
std::string XfccElement(const PeerIdentity& identity, absl::string_view by = "");

}  // namespace trestle

#endif  // TRESTLE_PROXY_XFCC_H_
