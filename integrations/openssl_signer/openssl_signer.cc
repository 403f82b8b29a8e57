#include "integrations/openssl_signer/openssl_signer.h"

#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "trestle/base/bytes.h"
#include "trestle/base/error.h"
#include "trestle/pki/thread_pool_signer.h"

namespace trestle {
namespace {

// Constants of <openssl/rsa.h>.
constexpr int kPkcs1Padding = 1;
constexpr int kPssPadding = 6;
constexpr int kSaltOfDigestLength = -1;

class OpenSslKey final : public PrivateKey {
 public:
  /// Takes ownership of `key`, an EVP_PKEY of `library`.
  OpenSslKey(std::shared_ptr<const OpenSslLibrary> library, void* key)
      : library_(std::move(library)), key_(key) {}
  ~OpenSslKey() override { library_->EVP_PKEY_free(key_); }

  absl::StatusOr<std::string> Sign(SignatureScheme scheme, ByteView input) const override {
    void* const context = library_->EVP_MD_CTX_new();
    absl::StatusOr<std::string> signature = SignIn(context, scheme, input);
    library_->EVP_MD_CTX_free(context);
    return signature;
  }

  bool is_rsa() const override { return true; }
  std::string Pkcs8Der() const override { return ""; }

 private:
  absl::StatusOr<std::string> SignIn(void* context, SignatureScheme scheme, ByteView input) const {
    const void* const hash = HashOf(scheme);
    void* padding = nullptr;
    if (hash == nullptr || context == nullptr ||
        library_->EVP_DigestSignInit(context, &padding, hash, nullptr, key_) != 1 ||
        !SetPadding(padding, scheme)) {
      return Failure();
    }
    size_t bytes = 0;
    if (library_->EVP_DigestSign(context, nullptr, &bytes, input.data(), input.size()) != 1) {
      return Failure();
    }
    std::string signature(bytes, '\0');
    auto* const out = reinterpret_cast<unsigned char*>(&signature[0]);
    if (library_->EVP_DigestSign(context, out, &bytes, input.data(), input.size()) != 1) {
      return Failure();
    }
    signature.resize(bytes);
    return signature;
  }

  const void* HashOf(SignatureScheme scheme) const {
    switch (scheme) {
      case SignatureScheme::kRsaPkcs1Sha256:
      case SignatureScheme::kRsaPssSha256:
        return library_->EVP_sha256();
      case SignatureScheme::kRsaPkcs1Sha384:
      case SignatureScheme::kRsaPssSha384:
        return library_->EVP_sha384();
      case SignatureScheme::kRsaPkcs1Sha512:
      case SignatureScheme::kRsaPssSha512:
        return library_->EVP_sha512();
      default:
        return nullptr;
    }
  }

  bool SetPadding(void* context, SignatureScheme scheme) const {
    switch (scheme) {
      case SignatureScheme::kRsaPkcs1Sha256:
      case SignatureScheme::kRsaPkcs1Sha384:
      case SignatureScheme::kRsaPkcs1Sha512:
        return library_->EVP_PKEY_CTX_set_rsa_padding(context, kPkcs1Padding) == 1;
      default:
        return library_->EVP_PKEY_CTX_set_rsa_padding(context, kPssPadding) == 1 &&
               library_->EVP_PKEY_CTX_set_rsa_pss_saltlen(context, kSaltOfDigestLength) == 1;
    }
  }

  absl::Status Failure() const {
    Error error;
    error.code = ErrorCode::kInternal;
    error.detail = absl::StrCat("OpenSSL can't sign: ", library_->TakeError());
    return MakeError(error);
  }

  const std::shared_ptr<const OpenSslLibrary> library_;
  void* const key_;
};

// Signs on the loop's thread, inside the call.
class LoopSigner final : public Signer {
 public:
  explicit LoopSigner(std::shared_ptr<const PrivateKey> key) : key_(std::move(key)) {}

  std::unique_ptr<PendingCall> Sign(SignatureScheme scheme, ByteView input, Scheduler&,
                                    Done done) const override {
    done(key_->Sign(scheme, input));
    return nullptr;
  }

 private:
  const std::shared_ptr<const PrivateKey> key_;
};

// The compiler may not remove stores to volatile objects.
void Overwrite(std::string& secret) {
  for (volatile char& c : secret) c = 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<OpenSslSigner>> OpenSslSigner::Create(OpenSslSignerOptions options) {
  absl::StatusOr<std::shared_ptr<const OpenSslLibrary>> library =
      OpenSslLibrary::Load(options.library);
  if (!library.ok()) return library.status();
  return absl::WrapUnique(new OpenSslSigner(*std::move(library), std::move(options.threads)));
}

OpenSslSigner::OpenSslSigner(std::shared_ptr<const OpenSslLibrary> library,
                             std::shared_ptr<TaskRunner> threads)
    : library_(std::move(library)), threads_(std::move(threads)) {}

absl::StatusOr<std::shared_ptr<const PrivateKey>> OpenSslSigner::Import(
    const PrivateKey& key) const {
  if (!key.is_rsa()) return ConfigurationError("OpenSSL signs with RSA keys only");
  std::string der = key.Pkcs8Der();
  if (der.empty()) return ConfigurationError("the private key can't be exported to OpenSSL");
  const auto* next = reinterpret_cast<const unsigned char*>(der.data());
  void* const native = library_->d2i_AutoPrivateKey(nullptr, &next, static_cast<long>(der.size()));
  Overwrite(der);
  if (native == nullptr) {
    return ConfigurationError(
        absl::StrCat("OpenSSL rejects the private key: ", library_->TakeError()));
  }
  return std::shared_ptr<const PrivateKey>(std::make_shared<OpenSslKey>(library_, native));
}

std::shared_ptr<const Signer> OpenSslSigner::MakeSigner(std::shared_ptr<const PrivateKey> key) {
  absl::StatusOr<std::shared_ptr<const PrivateKey>> imported = Import(*key);
  if (!imported.ok()) return nullptr;
  if (threads_ != nullptr) return ThreadPoolSigner(threads_).SignerFor(*std::move(imported));
  return std::make_shared<LoopSigner>(*std::move(imported));
}

std::string OpenSslSigner::version() const { return library_->OpenSSL_version(0); }

}  // namespace trestle
