// RecordSealer: seals records that TLS libraries never send, with the keys of a peer.
#ifndef TRESTLE_TESTS_TLS_RECORD_SEALER_H_
#define TRESTLE_TESTS_TLS_RECORD_SEALER_H_

#include <openssl/aead.h>
#include <openssl/ssl.h>

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace trestle::testing {

class RecordSealer {
 public:
  /// Takes over the sending side of `ssl`, whose handshake with AES-128-GCM is complete. Nothing
  /// more may be written to `ssl`.
  explicit RecordSealer(SSL* ssl);

  /// Makes one record of any type and content.
  std::string Seal(uint8_t type, absl::string_view body);

 private:
  void UseTls12Keys(SSL* ssl);
  void UseTls13Keys(const SSL* ssl);

  bool is_tls13_;
  uint64_t sequence_;
  std::string iv_;  // TLS 1.2: the 4 implicit bytes.
  bssl::ScopedEVP_AEAD_CTX aead_;
};

}  // namespace trestle::testing

#endif  // TRESTLE_TESTS_TLS_RECORD_SEALER_H_
