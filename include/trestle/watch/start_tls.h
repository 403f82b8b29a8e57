// The words that a client says before TLS where a protocol begins in clear text (STARTTLS).
#ifndef TRESTLE_WATCH_START_TLS_H_
#define TRESTLE_WATCH_START_TLS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "trestle/base/bytes.h"

namespace trestle {

enum class StartTls : uint8_t {
  kNone,      ///< TLS from the first byte.
  kSmtp,      ///< RFC 3207.
  kImap,      ///< RFC 9051 6.2.1.
  kPostgres,  ///< SSLRequest of PostgreSQL's protocol.
};

/// Names a protocol: "smtp"; "none" for kNone.
absl::string_view StartTlsName(StartTls protocol);

/// Reads what `StartTlsName` writes.
std::optional<StartTls> ParseStartTls(absl::string_view text);

/// One client's part of such a conversation, without I/O: put in what the server sends, and send
/// what `TakeOutput` gives, until it is done.
class StartTlsDialogue {
 public:
  enum class State : uint8_t {
    kTalking,  ///< The server has to say more.
    kDone,     ///< TLS begins with the next byte, both ways.
    kFailed,   ///< See `problem()`.
  };

  /// What a server may say before TLS, in all and in a line.
  static constexpr size_t kMaxBytes = 16 * 1024;
  static constexpr size_t kMaxLineBytes = 2048;

  explicit StartTlsDialogue(StartTls protocol);

  /// Takes what the server sent. Bytes behind its last word are refused: whoever sits in between
  /// could have put them there in clear text (CVE-2011-0411).
  State Feed(ByteView bytes);

  /// Takes what is to be sent now; may be empty.
  std::string TakeOutput();

  State state() const { return state_; }

  /// Why it failed, for people; what the server said is quoted in printable ASCII.
  const std::string& problem() const { return problem_; }

 private:
  enum class Step : uint8_t { kGreeting, kCapabilities, kGoAhead };

  void TakeLine(absl::string_view line);
  void TakeSmtpLine(absl::string_view line);
  void TakeImapLine(absl::string_view line);
  void TakePostgresByte(char answer);
  void Say(absl::string_view text, Step next);
  void Finish() { state_ = State::kDone; }
  void Fail(std::string problem);

  const StartTls protocol_;
  State state_ = State::kTalking;
  Step step_ = Step::kGreeting;
  bool offered_ = false;  // SMTP: the server's list has STARTTLS.
  size_t bytes_ = 0;
  std::string line_;
  std::string output_;
  std::string problem_;
};

}  // namespace trestle

#endif  // TRESTLE_WATCH_START_TLS_H_
