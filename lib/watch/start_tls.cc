#include "trestle/watch/start_tls.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

// Length 8 and the request code 1234.5679 (PostgreSQL, "Message Formats").
constexpr char kPostgresRequest[] = {0, 0, 0, 8, 0x04, static_cast<char>(0xd2), 0x16, 0x2f};

constexpr char kImapTag[] = "t1";
constexpr size_t kMaxQuotedBytes = 120;

std::string Quoted(absl::string_view line) {
  return absl::StrCat("\"", EscapeForLog(line, kMaxQuotedBytes), "\"");
}

}  // namespace

absl::string_view StartTlsName(StartTls protocol) {
  switch (protocol) {
    case StartTls::kNone:
      return "none";
    case StartTls::kSmtp:
      return "smtp";
    case StartTls::kImap:
      return "imap";
    case StartTls::kPostgres:
      return "postgres";
  }
  return "none";
}

std::optional<StartTls> ParseStartTls(absl::string_view text) {
  for (const StartTls protocol :
       {StartTls::kNone, StartTls::kSmtp, StartTls::kImap, StartTls::kPostgres}) {
    if (text == StartTlsName(protocol)) return protocol;
  }
  return std::nullopt;
}

StartTlsDialogue::StartTlsDialogue(StartTls protocol) : protocol_(protocol) {
  if (protocol == StartTls::kNone) state_ = State::kDone;
  if (protocol == StartTls::kPostgres) {
    Say(absl::string_view(kPostgresRequest, sizeof(kPostgresRequest)), Step::kGoAhead);
  }
}

StartTlsDialogue::State StartTlsDialogue::Feed(ByteView bytes) {
  for (const uint8_t byte : bytes) {
    if (state_ == State::kDone) {
      Fail("the server sent clear text behind its answer to STARTTLS");
    }
    if (state_ == State::kFailed) break;
    const char c = static_cast<char>(byte);
    if (++bytes_ > kMaxBytes) {
      Fail(absl::StrCat("the server said more than ", kMaxBytes, " bytes before TLS"));
    } else if (protocol_ == StartTls::kPostgres) {
      TakePostgresByte(c);
    } else if (c == '\n') {
      TakeLine(
          absl::string_view(line_).substr(0, line_.size() - (absl::EndsWith(line_, "\r") ? 1 : 0)));
      line_.clear();
    } else if (line_.size() >= kMaxLineBytes) {
      Fail(absl::StrCat("the server sent a line of more than ", kMaxLineBytes, " bytes"));
    } else {
      line_.push_back(c);
    }
  }
  return state_;
}

std::string StartTlsDialogue::TakeOutput() { return std::exchange(output_, {}); }

void StartTlsDialogue::TakeLine(absl::string_view line) {
  if (protocol_ == StartTls::kSmtp) return TakeSmtpLine(line);
  TakeImapLine(line);
}

// Replies are lines of a code and a text; all but the last have "-" behind the code (RFC 5321 4.2).
void StartTlsDialogue::TakeSmtpLine(absl::string_view line) {
  const bool last = line.size() < 4 || line[3] == ' ';
  const absl::string_view code = step_ == Step::kCapabilities ? "250" : "220";
  if (!absl::StartsWith(line, code) || (line.size() > 3 && line[3] != ' ' && line[3] != '-')) {
    return Fail(absl::StrCat("the server answered ", Quoted(line), " where ", code, " was due"));
  }
  if (step_ == Step::kCapabilities && line.size() > 4) {
    offered_ |= absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(line.substr(4)), "STARTTLS");
  }
  if (!last) return;
  switch (step_) {
    case Step::kGreeting:
      return Say("EHLO probe.invalid\r\n", Step::kCapabilities);
    case Step::kCapabilities:
      if (!offered_) return Fail("the server does not offer STARTTLS");
      return Say("STARTTLS\r\n", Step::kGoAhead);
    case Step::kGoAhead:
      return Finish();
  }
}

void StartTlsDialogue::TakeImapLine(absl::string_view line) {
  if (step_ == Step::kGreeting) {
    if (absl::StartsWithIgnoreCase(line, "* OK")) {
      return Say(absl::StrCat(kImapTag, " STARTTLS\r\n"), Step::kGoAhead);
    }
    return Fail(absl::StrCat("the server greets with ", Quoted(line), ", not with \"* OK\""));
  }
  // Untagged lines may come at any time (RFC 9051 7).
  if (absl::StartsWith(line, "* ") && !absl::StartsWithIgnoreCase(line, "* BYE")) return;
  if (absl::StartsWithIgnoreCase(line, absl::StrCat(kImapTag, " OK"))) return Finish();
  Fail(absl::StrCat("the server answered ", Quoted(line), " to STARTTLS"));
}

void StartTlsDialogue::TakePostgresByte(char answer) {
  if (answer == 'S') return Finish();
  if (answer == 'N') return Fail("the server does not offer TLS");
  Fail(absl::StrCat("the server answered ", Quoted(absl::string_view(&answer, 1)),
                    " to a PostgreSQL SSLRequest"));
}

void StartTlsDialogue::Say(absl::string_view text, Step next) {
  output_.append(text.data(), text.size());
  step_ = next;
}

void StartTlsDialogue::Fail(std::string problem) {
  state_ = State::kFailed;
  problem_ = std::move(problem);
}

}  // namespace trestle
