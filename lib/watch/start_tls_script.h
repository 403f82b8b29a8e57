// StartTlsScript: one protocol's way to TLS, from the client's side. StartTlsDialogue bounds what
// it is given.
#ifndef TRESTLE_LIB_WATCH_START_TLS_SCRIPT_H_
#define TRESTLE_LIB_WATCH_START_TLS_SCRIPT_H_

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

  /// Takes one byte of the server's. Called while talking only.
  virtual void TakeByte(char byte) = 0;

  void Fail(std::string problem);
  std::string TakeOutput() { return std::exchange(output_, {}); }
  State state() const { return state_; }
  const std::string& problem() const { return problem_; }

 protected:
  void Say(absl::string_view text) { output_.append(text.data(), text.size()); }
  void Finish() { state_ = State::kDone; }

  /// Fails because the server's answer to `question` is neither yes nor no.
  void FailOn(absl::string_view answer, absl::string_view question);

 private:
  State state_ = State::kTalking;
  std::string output_;
  std::string problem_;
};

/// Of protocols whose servers speak in lines.
class LineScript : public StartTlsScript {
 public:
  void TakeByte(char byte) final;

 protected:
  /// `line` is without its end.
  virtual void TakeLine(absl::string_view line) = 0;

 private:
  std::string line_;
};

/// Quotes what the server said, in printable ASCII.
std::string QuotedAnswer(absl::string_view answer);

std::unique_ptr<StartTlsScript> NewStartTlsScript(StartTls protocol, absl::string_view server_name);

/// SMTP, IMAP, POP3 and FTP. Null for others.
std::unique_ptr<StartTlsScript> NewLineScript(StartTls protocol);

/// LDAP, PostgreSQL and MySQL. Null for others.
std::unique_ptr<StartTlsScript> NewBinaryScript(StartTls protocol);

/// XMPP.
std::unique_ptr<StartTlsScript> NewXmppScript(absl::string_view server_name);

}  // namespace trestle

#endif  // TRESTLE_LIB_WATCH_START_TLS_SCRIPT_H_
