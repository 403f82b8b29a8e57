// SMTP, IMAP, POP3 and FTP: a greeting, a command, and a positive reply line.

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/watch/start_tls/start_tls_script.h"

namespace trestle {
namespace {

constexpr char kImapTag[] = "t1";

/// Parses replies of SMTP and FTP: a code of three digits; a following "-" announces more lines.
class CodeScript : public LineScript {
 protected:
  /// Called with the last line of a reply, with its code.
  virtual void TakeReply(absl::string_view line, absl::string_view code) = 0;

  /// Called with a line of a reply that is not its last.
  virtual void TakeMore(absl::string_view line) = 0;

  /// Returns whether lines inside a reply may begin with anything (FTP), or must have the code
  /// (SMTP).
  virtual bool HasFreeText() const = 0;

  void FailWhere(absl::string_view line, absl::string_view due) {
    Fail(absl::StrCat("the server answered ", QuotedAnswer(line), " where ", due, " was due"));
  }

 private:
  void TakeLine(absl::string_view line) final {
    const absl::string_view code = line.substr(0, 3);
    const bool has_code =
        code.size() == 3 && (line.size() == 3 || line[3] == ' ' || line[3] == '-');
    const bool more = has_code && line.size() > 3 && line[3] == '-';
    if (!open_code_.empty() && HasFreeText()) {
      if (code != open_code_ || more || !has_code) return TakeMore(line);
    } else if (!has_code || (!open_code_.empty() && code != open_code_)) {
      return Fail(absl::StrCat("the server sent ", QuotedAnswer(line), ", which is no reply"));
    }
    if (more) {
      open_code_ = std::string(code);
      return TakeMore(line);
    }
    open_code_.clear();
    TakeReply(line, code);
  }

  std::string open_code_;  // Of an unfinished reply.
};

/// RFC 3207.
class SmtpScript final : public CodeScript {
 private:
  enum class Step { kGreeting, kCapabilities, kGoAhead };

  bool HasFreeText() const override { return false; }

  void TakeMore(absl::string_view line) override {
    if (step_ != Step::kCapabilities || line.size() < 5) return;
    offered_ |= absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(line.substr(4)), "STARTTLS");
  }

  void TakeReply(absl::string_view line, absl::string_view code) override {
    const absl::string_view due = step_ == Step::kCapabilities ? "250" : "220";
    if (code != due) return FailWhere(line, due);
    TakeMore(line);
    switch (step_) {
      case Step::kGreeting:
        Say("EHLO probe.invalid\r\n");
        step_ = Step::kCapabilities;
        return;
      case Step::kCapabilities:
        if (!offered_) return Fail("the server does not offer STARTTLS");
        Say("STARTTLS\r\n");
        step_ = Step::kGoAhead;
        return;
      case Step::kGoAhead:
        return Finish();
    }
  }

  Step step_ = Step::kGreeting;
  bool offered_ = false;
};

/// RFC 4217 4.
class FtpScript final : public CodeScript {
 private:
  bool HasFreeText() const override { return true; }
  void TakeMore(absl::string_view) override {}

  void TakeReply(absl::string_view line, absl::string_view code) override {
    if (!greeted_) {
      if (code == "120") return;  // Ready later, with another greeting.
      if (code != "220") return FailWhere(line, "220");
      greeted_ = true;
      return Say("AUTH TLS\r\n");
    }
    if (code == "234") return Finish();
    FailOn(line, "AUTH TLS");
  }

  bool greeted_ = false;
};

/// RFC 9051 6.2.1.
class ImapScript final : public LineScript {
 private:
  void TakeLine(absl::string_view line) override {
    if (!greeted_) {
      if (!absl::StartsWithIgnoreCase(line, "* OK")) {
        return Fail(
            absl::StrCat("the server greets with ", QuotedAnswer(line), ", not with \"* OK\""));
      }
      greeted_ = true;
      return Say(absl::StrCat(kImapTag, " STARTTLS\r\n"));
    }
    // Untagged lines may come at any time (RFC 9051 7).
    if (absl::StartsWith(line, "* ") && !absl::StartsWithIgnoreCase(line, "* BYE")) return;
    if (absl::StartsWithIgnoreCase(line, absl::StrCat(kImapTag, " OK"))) return Finish();
    FailOn(line, "STARTTLS");
  }

  bool greeted_ = false;
};

/// RFC 2595 4.
class Pop3Script final : public LineScript {
 private:
  void TakeLine(absl::string_view line) override {
    const bool good = line == "+OK" || absl::StartsWith(line, "+OK ");
    if (greeted_) return good ? Finish() : FailOn(line, "STLS");
    if (!good) {
      return Fail(
          absl::StrCat("the server greets with ", QuotedAnswer(line), ", not with \"+OK\""));
    }
    greeted_ = true;
    Say("STLS\r\n");
  }

  bool greeted_ = false;
};

}  // namespace

std::unique_ptr<StartTlsScript> NewLineScript(StartTls protocol) {
  switch (protocol) {
    case StartTls::kSmtp:
      return std::make_unique<SmtpScript>();
    case StartTls::kImap:
      return std::make_unique<ImapScript>();
    case StartTls::kPop3:
      return std::make_unique<Pop3Script>();
    case StartTls::kFtp:
      return std::make_unique<FtpScript>();
    default:
      return nullptr;
  }
}

}  // namespace trestle
