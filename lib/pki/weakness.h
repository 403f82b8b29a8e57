// What makes a certificate weak for every peer: its key and its signature's digest.
#ifndef TRESTLE_LIB_PKI_WEAKNESS_H_
#define TRESTLE_LIB_PKI_WEAKNESS_H_

#include <openssl/x509.h>

#include <string>

namespace trestle {

/// Returns whether the issuer signed with SHA-1 or an older digest.
bool HasOldSignature(const X509* certificate);

/// Returns "its RSA key has 1024 bits, fewer than 2048"; empty for a key that is long enough.
std::string ShortKeyText(const X509* certificate, int min_rsa_bits, int min_ec_bits);

}  // namespace trestle

#endif  // TRESTLE_LIB_PKI_WEAKNESS_H_
