// OpenSslLibrary: the functions of the system's libcrypto 3 that signatures need, loaded at run
// time. Its symbols and BoringSSL's never meet: it is opened apart, and BoringSSL exports none.
#ifndef TRESTLE_INTEGRATIONS_OPENSSL_SIGNER_OPENSSL_LIBRARY_H_
#define TRESTLE_INTEGRATIONS_OPENSSL_SIGNER_OPENSSL_LIBRARY_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace trestle {

/// Immutable and thread-safe. The library stays loaded until the program ends, because OpenSSL
/// registers functions that run at exit.
struct OpenSslLibrary {
  /// Opens `path`, a file or a name that dlopen(3) finds. Fails with ErrorCode::kConfiguration if
  /// it can't be loaded, isn't OpenSSL 3, or lacks a function.
  static absl::StatusOr<std::shared_ptr<const OpenSslLibrary>> Load(const std::string& path);

  /// Returns the text of the calling thread's oldest error, and clears all of them.
  std::string TakeError() const;

  // Named as in OpenSSL's manual; all pointers to its own types are void*.
  unsigned long (*OpenSSL_version_num)() = nullptr;
  const char* (*OpenSSL_version)(int) = nullptr;
  unsigned long (*ERR_get_error)() = nullptr;
  void (*ERR_clear_error)() = nullptr;
  void (*ERR_error_string_n)(unsigned long, char*, size_t) = nullptr;
  void* (*d2i_AutoPrivateKey)(void**, const unsigned char**, long) = nullptr;
  void (*EVP_PKEY_free)(void*) = nullptr;
  void* (*EVP_MD_CTX_new)() = nullptr;
  void (*EVP_MD_CTX_free)(void*) = nullptr;
  int (*EVP_DigestSignInit)(void*, void**, const void*, void*, void*) = nullptr;
  int (*EVP_DigestSign)(void*, unsigned char*, size_t*, const unsigned char*, size_t) = nullptr;
  int (*EVP_PKEY_CTX_set_rsa_padding)(void*, int) = nullptr;
  int (*EVP_PKEY_CTX_set_rsa_pss_saltlen)(void*, int) = nullptr;
  const void* (*EVP_sha256)() = nullptr;
  const void* (*EVP_sha384)() = nullptr;
  const void* (*EVP_sha512)() = nullptr;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_OPENSSL_SIGNER_OPENSSL_LIBRARY_H_
