// Name constraints (RFC 5280 4.2.1.10) on address ranges, which BoringSSL doesn't support.
#ifndef TRESTLE_LIB_PKI_NAME_CONSTRAINTS_H_
#define TRESTLE_LIB_PKI_NAME_CONSTRAINTS_H_

#include <openssl/base.h>
#include <openssl/x509.h>

#include <optional>

namespace trestle {

struct NameConstraintViolation {
  int verify_error = X509_V_OK;       ///< One of X509_V_ERR_….
  const X509* certificate = nullptr;  ///< The certificate with the faulty names.
};

/// Checks the names of each certificate of `path` (leaf first) against the constraints of all above
/// it, trust anchor included. X509_verify_cert does so for all kinds but addresses.
std::optional<NameConstraintViolation> FindNameConstraintViolation(const STACK_OF(X509) * path);

}  // namespace trestle

#endif  // TRESTLE_LIB_PKI_NAME_CONSTRAINTS_H_
