// STARTTLS: the client's clear-text messages in protocols that start TLS after a dialogue.
#ifndef TRESTLE_WATCH_START_TLS_H_
#define TRESTLE_WATCH_START_TLS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "trestle/base/bytes.h"

namespace trestle {

enum class StartTls : uint8_t {
  kNone,      ///< TLS from the first byte.
  kSmtp,      ///< RFC 3207.
  kImap,      ///< RFC 9051 6.2.1.
  kPop3,      ///< RFC 2595 4.
  kFtp,       ///< RFC 4217 4.
  kLdap,      ///< RFC 4511 4.14.
  kXmpp,      ///< RFC 6120 5, as a client.
  kPostgres,  ///< SSLRequest of PostgreSQL's protocol.
  kMysql,     ///< SSLRequest of MySQL's and MariaDB's protocol.
};

/// Returns all protocols, kNone first.
absl::Span<const StartTls> AllStartTls();

/// Returns the name of a protocol: "smtp"; "none" for kNone.
absl::string_view EnumName(StartTls protocol);

/// Parses a name of `EnumName`; empty for others.
std::optional<StartTls> ParseStartTls(absl::string_view text);

/// Returns the list of names for messages: "none, smtp, …".
std::string StartTlsNames();

class StartTlsScript;

/// The client's side of one STARTTLS dialogue, without I/O. Feed it the server's bytes and send its
/// `TakeOutput`, until it is done. Not thread-safe.
class StartTlsDialogue {
 public:
  /// How far the dialogue is.
  enum class State : uint8_t {
    kTalking,  ///< Waits for more from the server.
    kDone,     ///< TLS begins with the next byte in both directions, after `TakeOutput` is sent.
    kFailed,   ///< See `problem()`.
  };

  /// The maximum number of bytes that a server may send before TLS: in total, and per line.
  static constexpr size_t kMaxBytes = 16 * 1024;
  static constexpr size_t kMaxLineBytes = 2048;

  /// Starts a dialogue. `server_name` is for protocols that name the server (XMPP); may be empty.
  explicit StartTlsDialogue(StartTls protocol, absl::string_view server_name = "");
  ~StartTlsDialogue();
  StartTlsDialogue(const StartTlsDialogue&) = delete;
  StartTlsDialogue& operator=(const StartTlsDialogue&) = delete;

  /// Processes bytes from the server. Rejects bytes after the server's last message: an attacker on
  /// the path could have injected them in clear text (CVE-2011-0411).
  State Feed(ByteView bytes);

  /// Returns and removes the bytes to send now; may be empty.
  std::string TakeOutput();

  State state() const;

  /// Returns the reason of a failure, for logs. The server's text is quoted in printable ASCII.
  const std::string& problem() const;

 private:
  const std::unique_ptr<StartTlsScript> script_;
  size_t bytes_ = 0;
};

}  // namespace trestle

#endif  // TRESTLE_WATCH_START_TLS_H_
