// BlockingStream: a blocking TCP connection, with or without TLS, as the peer of the tested
// program. It uses BoringSSL directly and shares no code with that program.
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

/// The TLS settings of one end. Zero and empty select the default.
struct TlsSettings {
  uint16_t min_version = 0;  ///< TLS1_2_VERSION
  uint16_t max_version = 0;
  std::vector<uint16_t> groups;  ///< SSL_GROUP_X25519; the first gets the client's key share.
  uint16_t key_share = 0;        ///< The only group with a client's key share; 0: the default.
  /// Splits the handshake's output into writes of this many bytes; 0: no splits.
  size_t handshake_piece_bytes = 0;
  std::string ech_config_list = {};  ///< Of a client, to hide the requested name.
};

/// How the stream ended.
enum class ReadEnd : uint8_t {
  kOpen,       ///< It did not end; bytes were read.
  kClean,      ///< FIN; with TLS, close_notify.
  kTruncated,  ///< With TLS: FIN without close_notify.
  kReset,      ///< RST, an alert, or any other failure, including a timeout.
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

  /// Makes the TLS handshake. The client sends `server_name` as SNI unless it is empty, and does
  /// not verify the server: the test checks `peer_names`. Returns false if the handshake failed;
  /// see `error`.
  bool StartClient(const std::string& server_name, const TlsSettings& settings = {});
  bool StartServer(const testing::PemPair& certificate, const TlsSettings& settings = {});

  /// Writes all of `data`; returns false if the connection broke.
  bool Write(absl::string_view data);

  /// Reads bytes into `buffer`; returns 0 at the end, see `read_end`.
  size_t Read(char* buffer, size_t size);

  /// Reads until `text` or the end; returns all bytes read.
  std::string ReadUntil(absl::string_view text);
  std::string ReadToEnd();
  ReadEnd read_end() const { return read_end_; }

  /// Ends this direction: close_notify with TLS, then FIN. Reading continues.
  void ShutdownWrite();

  /// Ends the connection as a crash would: with TLS, FIN without close_notify, else RST.
  void Cut();

  /// Closes the socket. `Interrupt` has no effect after it.
  void Close();

  /// Wakes a thread that is blocked in a read or write; from any thread.
  void Interrupt();

  // The next functions are valid after a handshake.
  std::string version() const;
  std::string group() const;
  std::string server_name() const;  ///< As the client sent it.
  std::string peer_names() const;   ///< DNS names of the peer's certificate, "a.test,b.test".
  std::string peer_serial() const;  ///< In hexadecimal.
  bool used_hello_retry_request() const;
  bool ech_accepted() const;

  /// Returns the configs that the server sent to a client with rejected ECH, after the failed
  /// handshake.
  std::string ech_retry_configs() const;

  /// Returns the reason for the failure of TLS.
  const std::string& error() const { return error_; }

 private:
  bool Start(bool is_server, const std::string& server_name, const TlsSettings& settings,
             const testing::PemPair* certificate);
  bool GoOn(int result);  // False if `result` of a TLS call ends the stream.
  bool Receive();
  bool Flush(size_t piece_bytes);
  ssize_t ReceiveRaw(char* buffer, size_t size);
  bool SendRaw(absl::string_view data);

  absl::Mutex close_mutex_;  // Interrupt may race with Close.
  OwnedFd socket_;
  bssl::UniquePtr<SSL> ssl_;
  ReadEnd read_end_ = ReadEnd::kOpen;
  std::string error_;
};

}  // namespace trestle::e2e

#endif  // TRESTLE_TESTS_E2E_BLOCKING_STREAM_H_
