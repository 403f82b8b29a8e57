// BarePeer: BoringSSL alone, over memory BIOs: the client of every benchmark, and the bare server
// that Trestle is measured beside.
#ifndef TRESTLE_BENCH_SUPPORT_BARE_TLS_H_
#define TRESTLE_BENCH_SUPPORT_BARE_TLS_H_

#include <openssl/base.h>
#include <openssl/ssl.h>

#include <string>
#include <vector>

#include "trestle/base/bytes.h"
#include "trestle/tls/credential.h"
#include "trestle/tls/tls_parameters.h"

namespace trestle::bench {

/// Record ciphers. TLS 1.3 carries the two AES ones here and TLS 1.2 ChaCha20: a BoringSSL server
/// whose CPU has AES instructions never chooses ChaCha20 for a TLS 1.3 client that also offers AES.
enum class Cipher { kAes128Gcm, kAes256Gcm, kChaCha20Poly1305 };

const char* CipherName(Cipher cipher);
const EVP_AEAD* CipherAead(Cipher cipher);

/// Makes contexts that differ from Trestle's in nothing that costs: same groups, same certificate.
bssl::UniquePtr<SSL_CTX> NewBareServerContext(const Credential& credential,
                                              const std::vector<TlsGroup>& groups);
bssl::UniquePtr<SSL_CTX> NewBareClientContext(const std::vector<TlsGroup>& groups);

/// A client that verifies its server's chain by `ca_pem`, with what BoringSSL brings for that; the
/// name is set on each connection, with SSL_set1_host.
bssl::UniquePtr<SSL_CTX> NewBareVerifyingContext(const std::vector<TlsGroup>& groups,
                                                 const std::string& ca_pem);

/// Makes servers choose `cipher` for clients of `context`.
void OfferCipher(SSL_CTX* context, Cipher cipher);

/// One side of a connection. Ends the program when TLS fails: a benchmark of failures is none.
class BarePeer final {
 public:
  static BarePeer Server(SSL_CTX* context);
  /// `session` may be null.
  static BarePeer Client(SSL_CTX* context, SSL_SESSION* session = nullptr);

  /// Goes on with the handshake; true once it is finished.
  bool Handshake();

  /// Puts bytes from the other side into the memory BIO.
  void Receive(ByteView bytes);

  /// Reads from `bytes` as they are from now on, uncopied, in place of the memory BIO.
  void ReceiveInPlace(ByteView bytes);

  /// What is for the other side. Cleared by `ClearSent`.
  ByteView sent() const;
  void ClearSent();

  /// Encrypts `data` into records of `record_bytes` each.
  void Write(ByteView data, size_t record_bytes);

  /// Decrypts until there is nothing more; returns how many bytes there were.
  size_t ReadAll(MutableByteView scratch);

  /// Queues close_notify.
  void Close();

  /// The last ticket that came with what was read; null if none.
  bssl::UniquePtr<SSL_SESSION> session() const;

  SSL* native() const { return ssl_.get(); }

 private:
  explicit BarePeer(SSL_CTX* context);

  bssl::UniquePtr<SSL> ssl_;
};

/// Finishes the handshake of two bare peers.
void Connect(BarePeer& client, BarePeer& server);

}  // namespace trestle::bench

#endif  // TRESTLE_BENCH_SUPPORT_BARE_TLS_H_
