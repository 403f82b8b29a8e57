// HttpBackend: a backend for tests, with blocking I/O and one thread per connection. So it shares
// no design with the tested code.
#ifndef TRESTLE_TESTS_E2E_HTTP_BACKEND_H_
#define TRESTLE_TESTS_E2E_HTTP_BACKEND_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "tests/e2e/blocking_stream.h"
#include "trestle/linux/owned_fd.h"
#include "trestle/testing/test_pki.h"

namespace trestle::e2e {

/// Serves HTTP/1.1 on a free port of 127.0.0.1, with many requests per connection:
///   GET /hello      "hello from NAME"
///   GET /bytes/N    N bytes of BulkBytes
///   GET /after-end  the same as /hello, but only after the client has ended its direction
///   GET /cut/N      N bytes of a longer response, then a truncated end (TLS) or a RST
///   PUT anything    the SHA-256 of the body
/// Accepts every Upgrade; from then on it echoes all bytes.
class HttpBackend {
 public:
  struct Options {
    std::string name = "backend";
    std::optional<testing::PemPair> certificate;  ///< Uses TLS with it.
    TlsSettings tls;
    std::string greeting;  ///< Sent before anything is read; then the connection is closed.
  };

  /// The backend's view of a connection; empty strings without TLS.
  struct Connection {
    std::string server_name;
    std::string version;
    bool handshake_failed = false;
  };

  explicit HttpBackend(Options options);
  ~HttpBackend();
  HttpBackend(const HttpBackend&) = delete;
  HttpBackend& operator=(const HttpBackend&) = delete;

  uint16_t port() const { return port_; }

  /// "127.0.0.1:PORT"
  std::string address() const;

  /// Returns the connections with a completed handshake, in that order.
  std::vector<Connection> connections() const ABSL_LOCKS_EXCLUDED(mutex_);

  /// Returns the number of requests whose head was read.
  int requests() const ABSL_LOCKS_EXCLUDED(mutex_);

  /// Waits for `count` connections or requests.
  bool WaitForConnections(size_t count, absl::Duration limit) ABSL_LOCKS_EXCLUDED(mutex_);
  bool WaitForRequests(int count, absl::Duration limit) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void AcceptAll();
  void Serve(BlockingStream& stream);
  bool Answer(BlockingStream& stream, const std::string& head, std::string& body_start);
  bool AnswerBulk(BlockingStream& stream, uint64_t size);
  bool AnswerSum(BlockingStream& stream, uint64_t size, std::string& body_start);
  bool Echo(BlockingStream& stream, const std::string& rest);
  bool AnswerText(BlockingStream& stream, const std::string& text);

  const Options options_;
  OwnedFd listener_;
  uint16_t port_ = 0;
  mutable absl::Mutex mutex_;
  std::vector<Connection> connections_ ABSL_GUARDED_BY(mutex_);
  int requests_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::shared_ptr<BlockingStream>> streams_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mutex_);
  std::thread acceptor_;
};

}  // namespace trestle::e2e

#endif  // TRESTLE_TESTS_E2E_HTTP_BACKEND_H_
