#include "tests/support/tls_answer.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "absl/log/check.h"

namespace trestle {

TlsAnswerer::TlsAnswerer(const testing::PemPair& certificate)
    : context_(SSL_CTX_new(TLS_method())) {
  bssl::UniquePtr<BIO> chain(BIO_new_mem_buf(certificate.chain.data(), -1));
  bssl::UniquePtr<X509> leaf(PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr));
  bssl::UniquePtr<BIO> pem(BIO_new_mem_buf(certificate.key.data(), -1));
  bssl::UniquePtr<EVP_PKEY> key(PEM_read_bio_PrivateKey(pem.get(), nullptr, nullptr, nullptr));
  CHECK(SSL_CTX_use_certificate(context_.get(), leaf.get()));
  CHECK(SSL_CTX_use_PrivateKey(context_.get(), key.get()));
  CHECK(SSL_CTX_set1_groups_list(context_.get(), "X25519MLKEM768:X25519:P-256"));
}

TlsAnswerer::Answer TlsAnswerer::To(absl::string_view flight) const {
  bssl::UniquePtr<SSL> ssl(SSL_new(context_.get()));
  SSL_set_accept_state(ssl.get());
  BIO* const out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl.get(), BIO_new_mem_buf(flight.data(), static_cast<ossl_ssize_t>(flight.size())),
              out);
  SSL_do_handshake(ssl.get());
  ERR_clear_error();
  Answer answer;
  const uint8_t* bytes = nullptr;
  size_t size = 0;
  CHECK(BIO_mem_contents(out, &bytes, &size));
  answer.bytes.assign(reinterpret_cast<const char*>(bytes), size);
  const char* const name = SSL_get_servername(ssl.get(), TLSEXT_NAMETYPE_host_name);
  if (name != nullptr) answer.server_name = name;
  return answer;
}

}  // namespace trestle
