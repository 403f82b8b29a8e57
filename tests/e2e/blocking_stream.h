// BlockingStream: a TCP connection that blocks, with TLS straight on BoringSSL where wanted: the
// other end of what is under test, sharing no code with it.
#ifndef TRESTLE_TESTS_E2E_BLOCKING_STREAM_H_
#define TRESTLE_TESTS_E2E_BLOCKING_STREAM_H_

#include <openssl/base.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "trestle/linux/owned_fd.h"
#include "trestle/testing/test_pki.h"

namespace trestle::e2e {

/// What a TLS end speaks. Zero and empty stand for the default.
struct TlsSettings {
  uint16_t min_version = 0;  ///< TLS1_2_VERSION
  uint16_t max_version = 0;
  std::vector<uint16_t> groups;  ///< SSL_GROUP_X25519; the first gets the client's key share.
  /// Cuts what is sent during the handshake into writes of so many bytes; 0: no cuts.
  size_t handshake_piece_bytes = 0;
  std::string ech_config_list = {};  ///< A client's, to hide the name that it asks for.
};

/// How reading ended.
enum class ReadEnd : uint8_t {
  kOpen,       ///< Not at all: there was something to read.
  kClean,      ///< FIN; with TLS, close_notify.
  kTruncated,  ///< With TLS: FIN without close_notify.
  kReset,      ///< RST, an alert, or any other failure, a timeout included.
};

class BlockingStream {
 public:
  /// Takes over a connected socket. Reads and writes that take longer than 60 s fail.
  explicit BlockingStream(OwnedFd socket);
  ~BlockingStream();
  BlockingStream(const BlockingStream&) = delete;
  BlockingStream& operator=(const BlockingStream&) = delete;

  /// Connects to a port of 127.0.0.1; null when refused.
  static std::unique_ptr<BlockingStream> Connect(uint16_t port);

  /// Make the TLS handshake. The client sends `server_name` as SNI unless it is empty, and checks
  /// nothing: the test looks at `peer_names`. False when the handshake failed; see `error`.
  bool StartClient(const std::string& server_name, const TlsSettings& settings = {});
  bool StartServer(const testing::PemPair& certificate, const TlsSettings& settings = {});

  /// Writes all of `data`; false when the connection broke.
  bool Write(absl::string_view data);

  /// Reads something into `buffer`; 0 bytes at the end, see `read_end`.
  size_t Read(char* buffer, size_t size);

  /// Reads until `text` was read, or to the end; returns all that was read.
  std::string ReadUntil(absl::string_view text);
  std::string ReadToEnd();
  ReadEnd read_end() const { return read_end_; }

  /// Ends this direction: close_notify with TLS, then FIN. Reading goes on.
  void ShutdownWrite();

  /// Ends the connection as a crash would: with TLS, FIN without close_notify, else RST.
  void Cut();

  /// Closes the socket. What `Interrupt` would wake is over by now.
  void Close();

  /// Wakes a thread that is blocked in a read or write; from any thread.
  void Interrupt();

  // After a handshake.
  std::string version() const;
  std::string group() const;
  std::string server_name() const;  ///< As the client sent it.
  std::string peer_names() const;   ///< DNS names of the peer's certificate, "a.test,b.test".
  std::string peer_serial() const;  ///< In hexadecimal.
  bool used_hello_retry_request() const;

  /// The configs that a client was told whose ECH was rejected, after its handshake failed by that.
  std::string ech_retry_configs() const;

  /// Why TLS failed.
  const std::string& error() const { return error_; }

 private:
  bool Start(bool is_server, const std::string& server_name, const TlsSettings& settings,
             const testing::PemPair* certificate);
  bool GoOn(int result);  // False where `result` of a TLS call is the end of it.
  bool Receive();
  bool Flush(size_t piece_bytes);
  ssize_t ReceiveRaw(char* buffer, size_t size);
  bool SendRaw(absl::string_view data);

  absl::Mutex close_mutex_;  // An interrupt may race with the close.
  OwnedFd socket_;
  bssl::UniquePtr<SSL> ssl_;
  ReadEnd read_end_ = ReadEnd::kOpen;
  std::string error_;
};

}  // namespace trestle::e2e

#endif  // TRESTLE_TESTS_E2E_BLOCKING_STREAM_H_
