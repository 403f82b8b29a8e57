// The path through certificates that verification takes, found also where it is not good enough.
#ifndef TRESTLE_LIB_TLS_CHAIN_PATH_H_
#define TRESTLE_LIB_TLS_CHAIN_PATH_H_

#include <openssl/base.h>
#include <openssl/x509.h>

#include "absl/time/time.h"
#include "lib/tls/certificate_verifier.h"

namespace trestle {

struct ChainPath {
  CertificateChain certificates;  ///< Leaf to root, or as far as there are issuers.
  bool trusted = false;           ///< Ends at a self-signed certificate that is in the store.
};

/// Finds the path from the first of `chain`, as `VerifyChain` does at `now`, with `known` as
/// further certificates that the peer might have sent. Dates, names and purposes don't matter.
ChainPath FindChainPath(const CertificateChain& chain, const CertificateChain& known,
                        X509_STORE* store, absl::Time now);

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_CHAIN_PATH_H_
