// TlsAnswer: what a real TLS server, which has nothing in common with Trestle's own code, makes of
// the first flight of a client.
#ifndef TRESTLE_TESTS_SUPPORT_TLS_ANSWER_H_
#define TRESTLE_TESTS_SUPPORT_TLS_ANSWER_H_

#include <openssl/ssl.h>

#include <string>

#include "absl/strings/string_view.h"
#include "trestle/testing/test_pki.h"

namespace trestle {

class TlsAnswerer {
 public:
  explicit TlsAnswerer(const testing::PemPair& certificate);

  struct Answer {
    std::string bytes;        ///< ServerHello and what follows it, or an alert, or nothing.
    std::string server_name;  ///< As the client sent it, where the server got so far.
  };

  Answer To(absl::string_view flight) const;

 private:
  bssl::UniquePtr<SSL_CTX> context_;
};

}  // namespace trestle

#endif  // TRESTLE_TESTS_SUPPORT_TLS_ANSWER_H_
