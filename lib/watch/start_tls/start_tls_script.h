// StartTlsScript: one protocol's dialogue before TLS, on the client's side. StartTlsDialogue limits
// its input.
#ifndef TRESTLE_LIB_WATCH_START_TLS_START_TLS_SCRIPT_H_
#define TRESTLE_LIB_WATCH_START_TLS_START_TLS_SCRIPT_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "trestle/watch/start_tls.h"

namespace trestle {

class StartTlsScript {
 public:
  using State = StartTlsDialogue::State;

  virtual ~StartTlsScript() = default;

  /// Processes one byte from the server. Called only while talking.
  virtual void TakeByte(char byte) = 0;

  void Fail(std::string problem);
  std::string TakeOutput() { return std::exchange(output_, {}); }
  State state() const { return state_; }
  const std::string& problem() const { return problem_; }

 protected:
  void Say(absl::string_view text) { output_.append(text.data(), text.size()); }
  void Finish() { state_ = State::kDone; }

  /// Fails: the server's reply to `question` is neither positive nor negative.
  void FailOn(absl::string_view answer, absl::string_view question);

 private:
  State state_ = State::kTalking;
  std::string output_;
  std::string problem_;
};

/// The base for line-based protocols.
class LineScript : public StartTlsScript {
 public:
  void TakeByte(char byte) final;

 protected:
  /// Processes one line, without its line end.
  virtual void TakeLine(absl::string_view line) = 0;

 private:
  std::string line_;
};

/// Returns the server's text, quoted in printable ASCII.
std::string QuotedAnswer(absl::string_view answer);

std::unique_ptr<StartTlsScript> NewStartTlsScript(StartTls protocol, absl::string_view server_name);

/// Creates the script for SMTP, IMAP, POP3 or FTP. Null for others.
std::unique_ptr<StartTlsScript> NewLineScript(StartTls protocol);

/// Creates the script for LDAP, PostgreSQL or MySQL. Null for others.
std::unique_ptr<StartTlsScript> NewBinaryScript(StartTls protocol);

/// Creates the script for XMPP.
std::unique_ptr<StartTlsScript> NewXmppScript(absl::string_view server_name);

}  // namespace trestle

#endif  // TRESTLE_LIB_WATCH_START_TLS_START_TLS_SCRIPT_H_
