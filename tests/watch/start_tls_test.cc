#include "trestle/watch/start_tls.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;
using State = StartTlsDialogue::State;

// What the client says to a server that sends `replies` one after the other, each in one-byte
// reads.
struct Conversation {
  std::vector<std::string> said;
  State state = State::kTalking;
  std::string problem;
};

Conversation Converse(StartTls protocol, const std::vector<std::string>& replies) {
  StartTlsDialogue dialogue(protocol);
  Conversation result;
  result.said.push_back(dialogue.TakeOutput());
  for (const std::string& reply : replies) {
    for (const char byte : reply) dialogue.Feed(AsBytes(absl::string_view(&byte, 1)));
    result.said.push_back(dialogue.TakeOutput());
  }
  result.state = dialogue.state();
  result.problem = dialogue.problem();
  return result;
}

TEST(StartTlsTest, NamesAreReadAsTheyAreWritten) {
  for (const StartTls protocol :
       {StartTls::kNone, StartTls::kSmtp, StartTls::kImap, StartTls::kPostgres}) {
    EXPECT_EQ(ParseStartTls(StartTlsName(protocol)), protocol);
  }
  EXPECT_FALSE(ParseStartTls("ftp").has_value());
  EXPECT_EQ(StartTlsDialogue(StartTls::kNone).state(), State::kDone);
}

TEST(StartTlsTest, Smtp) {
  const Conversation done =
      Converse(StartTls::kSmtp, {"220-mail.test ESMTP\r\n220 hello\r\n",
                                 "250-mail.test\r\n250-SIZE 1000\r\n250-starttls\r\n250 HELP\r\n",
                                 "220 go ahead\r\n"});
  EXPECT_EQ(done.state, State::kDone) << done.problem;
  EXPECT_THAT(done.said, ::testing::ElementsAre("", "EHLO probe.invalid\r\n", "STARTTLS\r\n", ""));

  EXPECT_THAT(Converse(StartTls::kSmtp, {"554 no service\r\n"}).problem,
              HasSubstr("\"554 no service\" where 220 was due"));
  EXPECT_EQ(Converse(StartTls::kSmtp, {"220 x\r\n", "250-mail\r\n250 SIZE\r\n"}).problem,
            "the server does not offer STARTTLS");
  EXPECT_EQ(Converse(StartTls::kSmtp, {"220 x\r\n", "250 STARTTLS\r\n", "454 later\r\n"}).state,
            State::kFailed);
  EXPECT_EQ(Converse(StartTls::kSmtp, {"2200 x\r\n"}).state, State::kFailed);
  EXPECT_EQ(Converse(StartTls::kSmtp, {"22\r\n"}).state, State::kFailed);
}

TEST(StartTlsTest, Imap) {
  const Conversation done = Converse(
      StartTls::kImap, {"* OK ready\r\n", "* CAPABILITY IMAP4rev2\r\n", "t1 OK begin\r\n"});
  EXPECT_EQ(done.state, State::kDone) << done.problem;
  EXPECT_EQ(done.said[1], "t1 STARTTLS\r\n");
  EXPECT_EQ(Converse(StartTls::kImap, {"* PREAUTH hello\r\n"}).state, State::kFailed);
  EXPECT_EQ(Converse(StartTls::kImap, {"* OK\r\n", "t1 BAD no\r\n"}).state, State::kFailed);
  EXPECT_EQ(Converse(StartTls::kImap, {"* OK\r\n", "* BYE\r\n"}).state, State::kFailed);
}

TEST(StartTlsTest, Postgres) {
  const Conversation done = Converse(StartTls::kPostgres, {"S"});
  EXPECT_EQ(done.state, State::kDone);
  EXPECT_EQ(done.said[0], std::string("\0\0\0\x08\x04\xd2\x16\x2f", 8));
  EXPECT_EQ(Converse(StartTls::kPostgres, {"N"}).problem, "the server does not offer TLS");
  EXPECT_THAT(Converse(StartTls::kPostgres, {"E"}).problem, HasSubstr("answered \"E\""));
}

TEST(StartTlsTest, BytesBehindTheLastWordAreRefused) {
  for (const auto& [protocol, greeting, last] :
       {std::tuple{StartTls::kPostgres, "", "S"},
        std::tuple{StartTls::kImap, "* OK\r\n", "t1 OK\r\n"}}) {
    StartTlsDialogue dialogue(protocol);
    dialogue.Feed(AsBytes(greeting));
    EXPECT_EQ(dialogue.Feed(AsBytes(absl::string_view(std::string(last) + "injected"))),
              State::kFailed);
    EXPECT_THAT(dialogue.problem(), HasSubstr("clear text"));
  }
}

TEST(StartTlsTest, LimitsAreKeptAndNothingRawIsQuoted) {
  const std::string line(StartTlsDialogue::kMaxLineBytes + 1, 'a');
  EXPECT_THAT(Converse(StartTls::kSmtp, {line}).problem, HasSubstr("line of more than 2048 bytes"));
  std::string many;
  while (many.size() <= StartTlsDialogue::kMaxBytes) many += "220-more and more\r\n";
  EXPECT_THAT(Converse(StartTls::kSmtp, {many}).problem, HasSubstr("more than 16384 bytes"));
  const std::string quoted = Converse(StartTls::kSmtp, {"5\x1b[31m\xff\n"}).problem;
  for (const char c : quoted) EXPECT_TRUE(c >= ' ' && c <= '~') << quoted;
}

}  // namespace
}  // namespace trestle
