#include "trestle/tls/tls_config.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <utility>

#include "lib/tls/certificate_info.h"
#include "lib/tls/client_callbacks.h"
#include "lib/tls/pem.h"
#include "lib/tls/server_callbacks.h"
#include "lib/tls/tls_parameters.h"

namespace trestle {
namespace {

absl::StatusOr<bssl::UniquePtr<X509_STORE>> ReadRoots(const std::string& ca_pem) {
  bssl::UniquePtr<X509_STORE> roots(X509_STORE_new());
  if (ca_pem.empty()) return ConfigurationError("no CA certificates were given");
  auto buffers = ReadCertificatesPem(ca_pem, "the CA file");
  if (!buffers.ok()) return buffers.status();
  for (const bssl::UniquePtr<CRYPTO_BUFFER>& buffer : *buffers) {
    bssl::UniquePtr<X509> root = ParseCertificate(buffer.get());
    if (root == nullptr) return ConfigurationError("a certificate of the CA file doesn't parse");
    if (roots == nullptr || !X509_STORE_add_cert(roots.get(), root.get())) {
      ERR_clear_error();
      return ConfigurationError("a certificate of the CA file can't be used");
    }
  }
  return roots;
}

}  // namespace

std::vector<TlsGroup> DefaultGroups() {
  return {TlsGroup::kX25519MlKem768, TlsGroup::kX25519, TlsGroup::kP256};
}

absl::StatusOr<std::shared_ptr<const ServerTlsConfig>> ServerTlsConfig::Create(
    ServerTlsOptions options) {
  if (options.certificates == nullptr) {
    return ConfigurationError("a TLS server needs a certificate store");
  }
  absl::StatusOr<std::string> alpn = EncodeAlpn(options.alpn);
  if (!alpn.ok()) return alpn.status();
  absl::StatusOr<bssl::UniquePtr<SSL_CTX>> context = MakeContext(options.parameters);
  if (!context.ok()) return context.status();
  InstallServerCallbacks(context->get());
  return std::shared_ptr<const ServerTlsConfig>(
      new ServerTlsConfig(std::move(options), PolicyDigest(*alpn), context->release()));
}

ServerTlsConfig::ServerTlsConfig(ServerTlsOptions options, std::string policy, SSL_CTX* native)
    : options_(std::move(options)), policy_(std::move(policy)), native_(native) {}

ServerTlsConfig::~ServerTlsConfig() { SSL_CTX_free(native_); }

absl::StatusOr<std::shared_ptr<const ClientTlsConfig>> ClientTlsConfig::Create(
    ClientTlsOptions options) {
  absl::StatusOr<bssl::UniquePtr<SSL_CTX>> context = MakeContext(options.parameters);
  if (!context.ok()) return context.status();
  absl::StatusOr<bssl::UniquePtr<X509_STORE>> roots;
  if (!options.dangerous_skip_verify || !options.ca_pem.empty()) {
    roots = ReadRoots(options.ca_pem);
    if (!roots.ok()) return roots.status();
  } else {
    roots = nullptr;
  }
  if (options.credential != nullptr &&
      !SSL_CTX_add1_credential(context->get(), options.credential->native())) {
    ERR_clear_error();
    return ConfigurationError("the client's certificate can't be used");
  }
  InstallClientCallbacks(context->get());
  std::string policy = ClientPolicyDigest(options);
  return std::shared_ptr<const ClientTlsConfig>(new ClientTlsConfig(
      std::move(options), std::move(policy), context->release(), roots->release()));
}

ClientTlsConfig::ClientTlsConfig(ClientTlsOptions options, std::string policy, SSL_CTX* native,
                                 X509_STORE* roots)
    : options_(std::move(options)), policy_(std::move(policy)), native_(native), roots_(roots) {}

ClientTlsConfig::~ClientTlsConfig() {
  SSL_CTX_free(native_);
  X509_STORE_free(roots_);
}

}  // namespace trestle
