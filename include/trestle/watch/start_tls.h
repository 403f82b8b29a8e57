// The words that a client says before TLS where a protocol begins in clear text (STARTTLS).
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

/// Lists all of them, kNone first.
absl::Span<const StartTls> AllStartTls();

/// Names a protocol: "smtp"; "none" for kNone.
absl::string_view StartTlsName(StartTls protocol);

/// Reads what `StartTlsName` writes.
std::optional<StartTls> ParseStartTls(absl::string_view text);

/// Lists the names for people: "none, smtp, …".
std::string StartTlsNames();

class StartTlsScript;

/// One client's part of such a conversation, without I/O: put in what the server sends, and send
/// what `TakeOutput` gives, until it is done.
class StartTlsDialogue {
 public:
  enum class State : uint8_t {
    kTalking,  ///< The server has to say more.
    kDone,     ///< TLS begins with the next byte, both ways, once `TakeOutput` is sent.
    kFailed,   ///< See `problem()`.
  };

  /// What a server may say before TLS, in all and in a line.
  static constexpr size_t kMaxBytes = 16 * 1024;
  static constexpr size_t kMaxLineBytes = 2048;

  /// `server_name` is for protocols that name the server (XMPP); may be empty.
  explicit StartTlsDialogue(StartTls protocol, absl::string_view server_name = "");
  ~StartTlsDialogue();
  StartTlsDialogue(const StartTlsDialogue&) = delete;
  StartTlsDialogue& operator=(const StartTlsDialogue&) = delete;

  /// Takes what the server sent. Bytes behind its last word are refused: an attacker on the path
  /// could have put them there in clear text (CVE-2011-0411).
  State Feed(ByteView bytes);

  /// Takes what is to be sent now; may be empty.
  std::string TakeOutput();

  State state() const;

  /// Why it failed, for people; what the server said is quoted in printable ASCII.
  const std::string& problem() const;

 private:
  const std::unique_ptr<StartTlsScript> script_;
  size_t bytes_ = 0;
};

}  // namespace trestle

#endif  // TRESTLE_WATCH_START_TLS_H_
