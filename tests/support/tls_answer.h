// TlsAnswer: a real TLS server's response to a client's first flight. The server shares no code
// with Trestle.
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
    std::string bytes;        ///< ServerHello and the following bytes, an alert, or nothing.
    std::string server_name;  ///< As the client sent it, if the server parsed it.
  };

  Answer To(absl::string_view flight) const;

 private:
  bssl::UniquePtr<SSL_CTX> context_;
};

}  // namespace trestle

#endif  // TRESTLE_TESTS_SUPPORT_TLS_ANSWER_H_
