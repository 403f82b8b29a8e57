// Name constraints (RFC 5280 4.2.1.10) with ranges of addresses, which BoringSSL doesn't know.
#ifndef TRESTLE_LIB_TLS_NAME_CONSTRAINTS_H_
#define TRESTLE_LIB_TLS_NAME_CONSTRAINTS_H_

#include <openssl/base.h>
#include <openssl/x509.h>

#include <optional>

namespace trestle {

struct NameConstraintViolation {
  int verify_error = X509_V_OK;       ///< One of X509_V_ERR_….
  const X509* certificate = nullptr;  ///< The one whose names are at fault.
};

/// Checks the names of every certificate of `path` (leaf first) against the constraints of all
/// above it, the trust anchor's included, as X509_verify_cert does for all kinds but addresses.
std::optional<NameConstraintViolation> FindNameConstraintViolation(const STACK_OF(X509) * path);

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_NAME_CONSTRAINTS_H_
