#include "trestle/watch/start_tls.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lib/watch/start_tls/start_tls_script.h"

namespace trestle {
namespace {

constexpr StartTls kAll[] = {
    StartTls::kNone, StartTls::kSmtp, StartTls::kImap,     StartTls::kPop3,  StartTls::kFtp,
    StartTls::kLdap, StartTls::kXmpp, StartTls::kPostgres, StartTls::kMysql,
};

}  // namespace

absl::Span<const StartTls> AllStartTls() { return kAll; }

absl::string_view EnumName(StartTls protocol) {
  switch (protocol) {
    case StartTls::kNone:
      return "none";
    case StartTls::kSmtp:
      return "smtp";
    case StartTls::kImap:
      return "imap";
    case StartTls::kPop3:
      return "pop3";
    case StartTls::kFtp:
      return "ftp";
    case StartTls::kLdap:
      return "ldap";
    case StartTls::kXmpp:
      return "xmpp";
    case StartTls::kPostgres:
      return "postgres";
    case StartTls::kMysql:
      return "mysql";
  }
  return "none";
}

std::optional<StartTls> ParseStartTls(absl::string_view text) {
  for (const StartTls protocol : kAll) {
    if (text == EnumName(protocol)) return protocol;
  }
  return std::nullopt;
}

std::string StartTlsNames() {
  return absl::StrJoin(kAll, ", ", [](std::string* out, StartTls protocol) {
    out->append(std::string(EnumName(protocol)));
  });
}

StartTlsDialogue::StartTlsDialogue(StartTls protocol, absl::string_view server_name)
    : script_(NewStartTlsScript(protocol, server_name)) {}

StartTlsDialogue::~StartTlsDialogue() = default;

StartTlsDialogue::State StartTlsDialogue::Feed(ByteView bytes) {
  for (const uint8_t byte : bytes) {
    if (state() == State::kDone) {
      script_->Fail("the server sent bytes in clear text after its agreement to TLS");
    }
    if (state() == State::kFailed) break;
    if (++bytes_ > kMaxBytes) {
      script_->Fail(absl::StrCat("the server sent more than ", kMaxBytes, " bytes before TLS"));
    } else {
      script_->TakeByte(static_cast<char>(byte));
    }
  }
  return state();
}

std::string StartTlsDialogue::TakeOutput() { return script_->TakeOutput(); }

StartTlsDialogue::State StartTlsDialogue::state() const { return script_->state(); }

const std::string& StartTlsDialogue::problem() const { return script_->problem(); }

}  // namespace trestle
