// BarePeer: BoringSSL alone, over memory BIOs. It is the client of every benchmark, and the bare
// server that Trestle is compared with.
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

/// Record ciphers. Here TLS 1.3 uses the two AES ones, and TLS 1.2 ChaCha20. On a CPU with AES
/// instructions, a BoringSSL server never chooses ChaCha20 for a TLS 1.3 client that also offers
/// AES.
enum class Cipher { kAes128Gcm, kAes256Gcm, kChaCha20Poly1305 };

const char* CipherName(Cipher cipher);
const EVP_AEAD* CipherAead(Cipher cipher);

/// Makes contexts whose costs are those of Trestle's: same groups, same certificate.
bssl::UniquePtr<SSL_CTX> NewBareServerContext(const Credential& credential,
                                              const std::vector<TlsGroup>& groups);
bssl::UniquePtr<SSL_CTX> NewBareClientContext(const std::vector<TlsGroup>& groups);

/// Makes a client context that verifies the server's chain by `ca_pem` with BoringSSL's own
/// verifier. SSL_set1_host sets the name on each connection.
bssl::UniquePtr<SSL_CTX> NewBareVerifyingContext(const std::vector<TlsGroup>& groups,
                                                 const std::string& ca_pem);

/// Makes servers choose `cipher` for clients of `context`.
void OfferCipher(SSL_CTX* context, Cipher cipher);

/// One side of a connection. Ends the program if TLS fails, because its results would be
/// meaningless.
class BarePeer final {
 public:
  static BarePeer Server(SSL_CTX* context);
  /// `session` may be null.
  static BarePeer Client(SSL_CTX* context, SSL_SESSION* session = nullptr);

  /// Continues the handshake. Returns true once it is complete.
  bool Handshake();

  /// Puts bytes from the other side into the memory BIO.
  void Receive(ByteView bytes);

  /// Reads from the current contents of `bytes`, uncopied, in place of the memory BIO.
  void ReceiveInPlace(ByteView bytes);

  /// Returns the bytes for the other side. `ClearSent` clears them.
  ByteView sent() const;
  void ClearSent();

  /// Encrypts `data` into records of `record_bytes` each.
  void Write(ByteView data, size_t record_bytes);

  /// Decrypts all records; returns the number of bytes.
  size_t ReadAll(MutableByteView scratch);

  /// Queues close_notify.
  void Close();

  /// Returns the last ticket read; null if there is none.
  bssl::UniquePtr<SSL_SESSION> session() const;

  SSL* native() const { return ssl_.get(); }

 private:
  explicit BarePeer(SSL_CTX* context);

  bssl::UniquePtr<SSL> ssl_;
};

/// Completes the handshake of two bare peers.
void Connect(BarePeer& client, BarePeer& server);

}  // namespace trestle::bench

#endif  // TRESTLE_BENCH_SUPPORT_BARE_TLS_H_
