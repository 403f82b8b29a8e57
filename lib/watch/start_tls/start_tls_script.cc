#include "lib/watch/start_tls/start_tls_script.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

constexpr size_t kMaxQuotedBytes = 120;

/// TLS from the first byte.
class NoScript final : public StartTlsScript {
 public:
  NoScript() { Finish(); }
  void TakeByte(char) override {}
};

}  // namespace

std::string QuotedAnswer(absl::string_view answer) {
  return absl::StrCat("\"", EscapeForLog(answer, kMaxQuotedBytes), "\"");
}

void StartTlsScript::Fail(std::string problem) {
  state_ = State::kFailed;
  problem_ = std::move(problem);
}

void StartTlsScript::FailOn(absl::string_view answer, absl::string_view question) {
  Fail(absl::StrCat("the server answered ", QuotedAnswer(answer), " to ", question));
}

void LineScript::TakeByte(char byte) {
  if (byte == '\n') {
    if (absl::EndsWith(line_, "\r")) line_.pop_back();
    return TakeLine(std::exchange(line_, {}));
  }
  if (line_.size() >= StartTlsDialogue::kMaxLineBytes) {
    return Fail(absl::StrCat("the server sent a line of more than ",
                             StartTlsDialogue::kMaxLineBytes, " bytes"));
  }
  line_.push_back(byte);
}

std::unique_ptr<StartTlsScript> NewStartTlsScript(StartTls protocol,
                                                  absl::string_view server_name) {
  if (protocol == StartTls::kNone) return std::make_unique<NoScript>();
  if (protocol == StartTls::kXmpp) return NewXmppScript(server_name);
  std::unique_ptr<StartTlsScript> script = NewLineScript(protocol);
  return script != nullptr ? std::move(script) : NewBinaryScript(protocol);
}

}  // namespace trestle
