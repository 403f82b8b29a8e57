#include "trestle/watch/start_tls.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;
using State = StartTlsDialogue::State;

// Records the client's messages to a server that sends `replies` one after the other, in one-byte
// reads.
struct Conversation {
  std::vector<std::string> said;
  State state = State::kTalking;
  std::string problem;
};

Conversation Converse(StartTls protocol, const std::vector<std::string>& replies,
                      const std::string& server_name = "") {
  StartTlsDialogue dialogue(protocol, server_name);
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

TEST(StartTlsTest, NamesRoundTrip) {
  for (const StartTls protocol : AllStartTls()) {
    EXPECT_EQ(ParseStartTls(EnumName(protocol)), protocol);
    EXPECT_THAT(StartTlsNames(), HasSubstr(std::string(EnumName(protocol))));
  }
  EXPECT_EQ(AllStartTls().size(), 9u);
  EXPECT_FALSE(ParseStartTls("gopher").has_value());
  EXPECT_EQ(StartTlsDialogue(StartTls::kNone).state(), State::kDone);
}

TEST(StartTlsTest, SmtpStartsTls) {
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

TEST(StartTlsTest, ImapStartsTls) {
  const Conversation done = Converse(
      StartTls::kImap, {"* OK ready\r\n", "* CAPABILITY IMAP4rev2\r\n", "t1 OK begin\r\n"});
  EXPECT_EQ(done.state, State::kDone) << done.problem;
  EXPECT_EQ(done.said[1], "t1 STARTTLS\r\n");
  EXPECT_EQ(Converse(StartTls::kImap, {"* PREAUTH hello\r\n"}).state, State::kFailed);
  EXPECT_EQ(Converse(StartTls::kImap, {"* OK\r\n", "t1 BAD no\r\n"}).state, State::kFailed);
  EXPECT_EQ(Converse(StartTls::kImap, {"* OK\r\n", "* BYE\r\n"}).state, State::kFailed);
}

TEST(StartTlsTest, Pop3StartsTls) {
  const Conversation done = Converse(StartTls::kPop3, {"+OK ready\r\n", "+OK begin\r\n"});
  EXPECT_EQ(done.state, State::kDone) << done.problem;
  EXPECT_EQ(done.said[1], "STLS\r\n");
  EXPECT_THAT(Converse(StartTls::kPop3, {"-ERR busy\r\n"}).problem, HasSubstr("\"-ERR busy\""));
  EXPECT_THAT(Converse(StartTls::kPop3, {"+OK\r\n", "-ERR no\r\n"}).problem, HasSubstr("STLS"));
  EXPECT_EQ(Converse(StartTls::kPop3, {"+OKAY\r\n"}).state, State::kFailed);
}

TEST(StartTlsTest, FtpStartsTls) {
  const Conversation done = Converse(
      StartTls::kFtp, {"120 in a minute\r\n",
                       "220-Welcome\r\nany text\r\n220-more\r\n220 ready\r\n", "234 begin\r\n"});
  EXPECT_EQ(done.state, State::kDone) << done.problem;
  EXPECT_THAT(done.said, ::testing::ElementsAre("", "", "AUTH TLS\r\n", ""));
  EXPECT_THAT(Converse(StartTls::kFtp, {"421 busy\r\n"}).problem,
              HasSubstr("\"421 busy\" where 220 was due"));
  EXPECT_THAT(Converse(StartTls::kFtp, {"220 x\r\n", "502 not here\r\n"}).problem,
              HasSubstr("\"502 not here\" to AUTH TLS"));
  EXPECT_EQ(Converse(StartTls::kFtp, {"hello\r\n"}).state, State::kFailed);
}

// Returns an LDAPMessage with an extended response, with `length_bytes` more bytes than needed in
// its lengths.
std::string LdapResponse(char result, const std::string& words, int length_bytes = 0) {
  const auto element = [&](char tag, const std::string& contents) {
    std::string text(1, tag);
    if (length_bytes > 0) {
      text += static_cast<char>(0x80 | length_bytes);
      text += std::string(static_cast<size_t>(length_bytes) - 1, '\0');
    }
    return text + static_cast<char>(contents.size()) + contents;
  };
  const std::string response =
      element(0x0a, std::string(1, result)) + element(0x04, "") + element(0x04, words);
  return element(0x30, element(0x02, "\x01") + element(0x78, response));
}

TEST(StartTlsTest, LdapStartsTls) {
  for (const int length_bytes : {0, 1, 4}) {
    const Conversation done = Converse(StartTls::kLdap, {LdapResponse(0, "", length_bytes)});
    EXPECT_EQ(done.state, State::kDone) << length_bytes << done.problem;
    EXPECT_EQ(done.said[0],
              std::string("\x30\x1d\x02\x01\x01\x77\x18\x80\x16") + "1.3.6.1.4.1.1466.20037");
  }
  EXPECT_EQ(Converse(StartTls::kLdap, {LdapResponse(52, "no TLS here")}).problem,
            "the server refuses StartTLS with the result 52: \"no TLS here\"");
  EXPECT_THAT(Converse(StartTls::kLdap, {"220 ftp\r\n"}).problem, HasSubstr("not an LDAP message"));
  EXPECT_THAT(Converse(StartTls::kLdap, {std::string("\x30\x80\x02\x01\x01", 5)}).problem,
              HasSubstr("not an LDAP message"));
  EXPECT_THAT(Converse(StartTls::kLdap, {std::string("\x30\x03\x02\x01\x01", 5)}).problem,
              HasSubstr("not an LDAP message"));
  EXPECT_EQ(Converse(StartTls::kLdap, {LdapResponse(0, "").substr(0, 9)}).state, State::kTalking);
}

TEST(StartTlsTest, XmppStartsTls) {
  const std::string header =
      "<?xml version='1.0'?><stream:stream xmlns='jabber:client' from='a>b' version='1.0'>";
  const std::string features =
      "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"
      "</stream:features>";
  const std::string proceed = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
  const Conversation done = Converse(StartTls::kXmpp, {header, features, proceed}, "Chat.example");
  EXPECT_EQ(done.state, State::kDone) << done.problem;
  EXPECT_THAT(done.said[0], HasSubstr(" to='chat.example' version='1.0'"));
  EXPECT_EQ(done.said[2], "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
  EXPECT_EQ(Converse(StartTls::kXmpp, {header + features, "<proceed></proceed>"}).state,
            State::kDone);
  const Conversation unnamed = Converse(StartTls::kXmpp, {}, "x' onload='");
  EXPECT_THAT(unnamed.said[0], ::testing::Not(HasSubstr("to=")));
  EXPECT_EQ(
      Converse(StartTls::kXmpp, {header + "<stream:features><bind/></stream:features>"}).problem,
      "the server does not offer STARTTLS");
  EXPECT_EQ(Converse(StartTls::kXmpp, {header + "<stream:features/>"}).problem,
            "the server does not offer STARTTLS");
  EXPECT_THAT(Converse(StartTls::kXmpp, {header + "<stream:error>"}).problem,
              HasSubstr("to an XMPP stream"));
  EXPECT_THAT(Converse(StartTls::kXmpp, {"<html>"}).problem, HasSubstr("to an XMPP stream"));
  EXPECT_THAT(Converse(StartTls::kXmpp, {header + features, "<failure/>"}).problem,
              HasSubstr("\"<failure/>\" to <starttls/>"));
  EXPECT_THAT(Converse(StartTls::kXmpp, {"<" + std::string(3000, 'x')}).problem,
              HasSubstr("XML tag of more than 2048 bytes"));
}

// Returns a handshake packet of a server with these capabilities.
std::string MysqlGreeting(int capabilities) {
  std::string payload =
      "\x0a"
      "8.0.1" +
      std::string(1, '\0') +
      "1234"
      "saltsalt" +
      std::string(1, '\0');
  payload += {static_cast<char>(capabilities & 0xff), static_cast<char>(capabilities >> 8)};
  return std::string(1, static_cast<char>(payload.size())) + std::string(3, '\0') + payload;
}

TEST(StartTlsTest, MysqlStartsTls) {
  const Conversation done = Converse(StartTls::kMysql, {MysqlGreeting(0xffff)});
  EXPECT_EQ(done.state, State::kDone) << done.problem;
  ASSERT_EQ(done.said[1].size(), 36u);
  EXPECT_EQ(done.said[1].substr(0, 6), std::string("\x20\0\0\x01\0\x8a", 6));
  EXPECT_EQ(Converse(StartTls::kMysql, {MysqlGreeting(0xf7ff)}).problem,
            "the server does not offer TLS");
  EXPECT_EQ(Converse(StartTls::kMysql, {std::string("\x09\0\0\0\xff\x10\x04"
                                                    "Banned",
                                                    13)})
                .problem,
            "the server refuses connections: \"Banned\"");
  EXPECT_THAT(Converse(StartTls::kMysql, {"220 ftp\r\n"}).problem,
              HasSubstr("not a MySQL handshake"));
  EXPECT_THAT(Converse(StartTls::kMysql, {std::string("\x02\0\0\0\x0a"
                                                      "8",
                                                      6)})
                  .problem,
              HasSubstr("not a MySQL handshake"));
}

TEST(StartTlsTest, NoInputOfAServerIsHarmful) {
  // Sends every protocol every byte, and each protocol's own messages, truncated and repeated.
  const std::vector<std::string> words = {
      "220 x\r\n",           "250 STARTTLS\r\n",    "* OK\r\n",           "+OK\r\n",
      LdapResponse(0, ""),   MysqlGreeting(0xffff), "<stream:features/>", std::string(300, '\xff'),
      std::string(300, '\0')};
  for (const StartTls protocol : AllStartTls()) {
    for (const std::string& first : words) {
      for (const std::string& second : words) {
        for (size_t cut = 0; cut <= first.size(); cut += 1 + first.size() / 7) {
          const Conversation end = Converse(protocol, {first.substr(0, cut), second, first});
          EXPECT_EQ(end.problem.empty(), end.state != State::kFailed);
        }
      }
    }
  }
}

TEST(StartTlsTest, PostgresStartsTls) {
  const Conversation done = Converse(StartTls::kPostgres, {"S"});
  EXPECT_EQ(done.state, State::kDone);
  EXPECT_EQ(done.said[0], std::string("\0\0\0\x08\x04\xd2\x16\x2f", 8));
  EXPECT_EQ(Converse(StartTls::kPostgres, {"N"}).problem, "the server does not offer TLS");
  EXPECT_THAT(Converse(StartTls::kPostgres, {"E"}).problem, HasSubstr("answered \"E\""));
}

TEST(StartTlsTest, BytesAfterTheLastMessageAreRejected) {
  for (const auto& [protocol, greeting, last] :
       {std::tuple{StartTls::kPostgres, "", "S"},
        std::tuple{StartTls::kImap, "* OK\r\n", "t1 OK\r\n"},
        std::tuple{StartTls::kPop3, "+OK\r\n", "+OK\r\n"},
        std::tuple{StartTls::kFtp, "220 x\r\n", "234 x\r\n"},
        std::tuple{StartTls::kXmpp, "<stream:features><starttls/></stream:features>",
                   "<proceed/>"}}) {
    StartTlsDialogue dialogue(protocol);
    dialogue.Feed(AsBytes(greeting));
    EXPECT_EQ(dialogue.Feed(AsBytes(absl::string_view(std::string(last) + "injected"))),
              State::kFailed);
    EXPECT_THAT(dialogue.problem(), HasSubstr("clear text"));
  }
}

TEST(StartTlsTest, LimitsAreEnforcedAndNothingRawIsQuoted) {
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
