#include "bench/support/bare_tls.h"

#include <openssl/aead.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <cstdint>
#include <memory>

#include "absl/log/check.h"
#include "lib/tls/engine/tls_internals.h"

namespace trestle::bench {
namespace {

using SessionSlot = bssl::UniquePtr<SSL_SESSION>;

int SessionSlotIndex() {
  static const int index = SSL_get_ex_new_index(
      0, nullptr, nullptr, nullptr, [](void*, void* slot, CRYPTO_EX_DATA*, int, long, void*) {
        delete static_cast<SessionSlot*>(slot);
      });
  return index;
}

int KeepSession(SSL* ssl, SSL_SESSION* session) {
  static_cast<SessionSlot*>(SSL_get_ex_data(ssl, SessionSlotIndex()))->reset(session);
  return 1;
}

uint16_t NativeGroup(TlsGroup group) {
  switch (group) {
    case TlsGroup::kX25519MlKem768:
      return SSL_GROUP_X25519_MLKEM768;
    case TlsGroup::kX25519:
      return SSL_GROUP_X25519;
    case TlsGroup::kP256:
      return SSL_GROUP_SECP256R1;
    case TlsGroup::kP384:
      return SSL_GROUP_SECP384R1;
    case TlsGroup::kP521:
      return SSL_GROUP_SECP521R1;
  }
  return SSL_GROUP_X25519;
}

bssl::UniquePtr<SSL_CTX> NewContext(const std::vector<TlsGroup>& groups,
                                    const SSL_METHOD* method = TLS_with_buffers_method()) {
  bssl::UniquePtr<SSL_CTX> context(SSL_CTX_new(method));
  std::vector<uint16_t> ids;
  for (TlsGroup group : groups) ids.push_back(NativeGroup(group));
  CHECK(SSL_CTX_set1_group_ids(context.get(), ids.data(), ids.size()));
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  return context;
}

}  // namespace

const char* CipherName(Cipher cipher) {
  switch (cipher) {
    case Cipher::kAes128Gcm:
      return "AES-128-GCM";
    case Cipher::kAes256Gcm:
      return "AES-256-GCM";
    case Cipher::kChaCha20Poly1305:
      return "ChaCha20-Poly1305";
  }
  return "";
}

const EVP_AEAD* CipherAead(Cipher cipher) {
  switch (cipher) {
    case Cipher::kAes128Gcm:
      return EVP_aead_aes_128_gcm();
    case Cipher::kAes256Gcm:
      return EVP_aead_aes_256_gcm();
    case Cipher::kChaCha20Poly1305:
      return EVP_aead_chacha20_poly1305();
  }
  return nullptr;
}

bssl::UniquePtr<SSL_CTX> NewBareServerContext(const Credential& credential,
                                              const std::vector<TlsGroup>& groups) {
  bssl::UniquePtr<SSL_CTX> context = NewContext(groups);
  CHECK(SSL_CTX_add1_credential(context.get(), TlsInternals::Native(credential)));
  return context;
}

bssl::UniquePtr<SSL_CTX> NewBareClientContext(const std::vector<TlsGroup>& groups) {
  bssl::UniquePtr<SSL_CTX> context = NewContext(groups);
  SSL_CTX_set_custom_verify(context.get(), SSL_VERIFY_PEER,
                            [](SSL*, uint8_t*) { return ssl_verify_ok; });
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_CLIENT);
  SSL_CTX_sess_set_new_cb(context.get(), KeepSession);
  return context;
}

bssl::UniquePtr<SSL_CTX> NewBareVerifyingContext(const std::vector<TlsGroup>& groups,
                                                 const std::string& ca_pem) {
  bssl::UniquePtr<SSL_CTX> context = NewContext(groups, TLS_method());
  bssl::UniquePtr<BIO> text(
      BIO_new_mem_buf(ca_pem.data(), static_cast<ossl_ssize_t>(ca_pem.size())));
  bssl::UniquePtr<X509> root(PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr));
  CHECK(root != nullptr);
  CHECK(X509_STORE_add_cert(SSL_CTX_get_cert_store(context.get()), root.get()));
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_CLIENT);
  SSL_CTX_sess_set_new_cb(context.get(), KeepSession);
  return context;
}

void OfferCipher(SSL_CTX* context, Cipher cipher) {
  switch (cipher) {
    case Cipher::kAes128Gcm:
      return;  // A server with AES instructions chooses it without this.
    case Cipher::kAes256Gcm:
      // Puts AES-256 first, because the server has no preference between the AES ciphers.
      CHECK(SSL_CTX_set_compliance_policy(context, ssl_compliance_policy_cnsa_202407));
      return;
    case Cipher::kChaCha20Poly1305:
      CHECK(SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION));
      CHECK(SSL_CTX_set_strict_cipher_list(
          context, "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"));
      return;
  }
}

BarePeer::BarePeer(SSL_CTX* context) : ssl_(SSL_new(context)) {
  SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
}

BarePeer BarePeer::Server(SSL_CTX* context) {
  BarePeer peer(context);
  SSL_set_accept_state(peer.native());
  return peer;
}

BarePeer BarePeer::Client(SSL_CTX* context, SSL_SESSION* session) {
  BarePeer peer(context);
  SSL_set_connect_state(peer.native());
  CHECK(SSL_set_tlsext_host_name(peer.native(), "bench.test"));
  CHECK(SSL_set_ex_data(peer.native(), SessionSlotIndex(), new SessionSlot));
  if (session != nullptr) CHECK(SSL_set_session(peer.native(), session));
  return peer;
}

bool BarePeer::Handshake() {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) {
    // Sends a server's TLS 1.3 tickets.
    SSL_write(ssl_.get(), nullptr, 0);
    ERR_clear_error();
    return true;
  }
  CHECK_EQ(SSL_get_error(ssl_.get(), result), SSL_ERROR_WANT_READ)
      << ERR_reason_error_string(ERR_peek_error());
  return false;
}

void BarePeer::Receive(ByteView bytes) {
  CHECK_EQ(BIO_write(SSL_get_rbio(ssl_.get()), bytes.data(), static_cast<int>(bytes.size())),
           static_cast<int>(bytes.size()));
}

void BarePeer::ReceiveInPlace(ByteView bytes) {
  BIO* bio = BIO_new_mem_buf(bytes.data(), static_cast<ossl_ssize_t>(bytes.size()));
  BIO_set_mem_eof_return(bio, -1);
  SSL_set0_rbio(ssl_.get(), bio);
}

ByteView BarePeer::sent() const {
  const uint8_t* data = nullptr;
  size_t bytes = 0;
  CHECK(BIO_mem_contents(SSL_get_wbio(ssl_.get()), &data, &bytes));
  return ByteView(data, bytes);
}

void BarePeer::ClearSent() { BIO_reset(SSL_get_wbio(ssl_.get())); }

void BarePeer::Write(ByteView data, size_t record_bytes) {
  for (size_t done = 0; done < data.size(); done += record_bytes) {
    const size_t bytes = std::min(record_bytes, data.size() - done);
    ERR_clear_error();
    CHECK_EQ(SSL_write(ssl_.get(), data.data() + done, static_cast<int>(bytes)),
             static_cast<int>(bytes));
  }
}

size_t BarePeer::ReadAll(MutableByteView scratch) {
  size_t total = 0;
  while (true) {
    ERR_clear_error();
    const int bytes = SSL_read(ssl_.get(), scratch.data(), static_cast<int>(scratch.size()));
    if (bytes <= 0) return total;
    total += static_cast<size_t>(bytes);
  }
}

void BarePeer::Close() { SSL_shutdown(ssl_.get()); }

bssl::UniquePtr<SSL_SESSION> BarePeer::session() const {
  return bssl::UpRef(
      static_cast<SessionSlot*>(SSL_get_ex_data(ssl_.get(), SessionSlotIndex()))->get());
}

void Connect(BarePeer& client, BarePeer& server) {
  bool client_done = false;
  bool server_done = false;
  while (!client_done || !server_done) {
    client_done = client.Handshake();
    server.Receive(client.sent());
    client.ClearSent();
    server_done = server.Handshake();
    client.Receive(server.sent());
    server.ClearSent();
  }
}

}  // namespace trestle::bench
