#include "integrations/openssl_signer/openssl_library.h"

#include <dlfcn.h>

#include <array>

#include "absl/strings/str_cat.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

constexpr unsigned long kVersion3 = 0x30000000;

class Loader {
 public:
  explicit Loader(void* handle) : handle_(handle) {}

  template <typename Function>
  void Find(const char* name, Function& function) {
    function = reinterpret_cast<Function>(dlsym(handle_, name));
    if (function == nullptr && missing_.empty()) missing_ = name;
  }

  const std::string& missing() const { return missing_; }

 private:
  void* const handle_;
  std::string missing_;
};

std::string FindAll(void* handle, OpenSslLibrary& library) {
  Loader loader(handle);
  loader.Find("OpenSSL_version_num", library.OpenSSL_version_num);
  loader.Find("OpenSSL_version", library.OpenSSL_version);
  loader.Find("ERR_get_error", library.ERR_get_error);
  loader.Find("ERR_clear_error", library.ERR_clear_error);
  loader.Find("ERR_error_string_n", library.ERR_error_string_n);
  loader.Find("d2i_AutoPrivateKey", library.d2i_AutoPrivateKey);
  loader.Find("EVP_PKEY_free", library.EVP_PKEY_free);
  loader.Find("EVP_MD_CTX_new", library.EVP_MD_CTX_new);
  loader.Find("EVP_MD_CTX_free", library.EVP_MD_CTX_free);
  loader.Find("EVP_DigestSignInit", library.EVP_DigestSignInit);
  loader.Find("EVP_DigestSign", library.EVP_DigestSign);
  loader.Find("EVP_PKEY_CTX_set_rsa_padding", library.EVP_PKEY_CTX_set_rsa_padding);
  loader.Find("EVP_PKEY_CTX_set_rsa_pss_saltlen", library.EVP_PKEY_CTX_set_rsa_pss_saltlen);
  loader.Find("EVP_sha256", library.EVP_sha256);
  loader.Find("EVP_sha384", library.EVP_sha384);
  loader.Find("EVP_sha512", library.EVP_sha512);
  return loader.missing();
}

}  // namespace

absl::StatusOr<std::shared_ptr<const OpenSslLibrary>> OpenSslLibrary::Load(
    const std::string& path) {
  void* const handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (handle == nullptr) {
    const char* const why = dlerror();
    return ConfigurationError(
        absl::StrCat("cannot load OpenSSL's ", path, ": ", why == nullptr ? "unknown reason" : why,
                     "; install it (libssl3 on Debian), or sign with BoringSSL"));
  }
  auto library = std::make_shared<OpenSslLibrary>();
  const std::string missing = FindAll(handle, *library);
  if (!missing.empty()) {
    return ConfigurationError(
        absl::StrCat(path, " has no function ", missing, "; OpenSSL 3 is needed"));
  }
  if (library->OpenSSL_version_num() < kVersion3) {
    return ConfigurationError(
        absl::StrCat(path, " is ", library->OpenSSL_version(0), "; OpenSSL 3 is needed"));
  }
  return std::shared_ptr<const OpenSslLibrary>(std::move(library));
}

std::string OpenSslLibrary::TakeError() const {
  const unsigned long error = ERR_get_error();
  ERR_clear_error();
  if (error == 0) return "no reason was given";
  std::array<char, 256> text = {};
  ERR_error_string_n(error, text.data(), text.size());
  return text.data();
}

}  // namespace trestle
