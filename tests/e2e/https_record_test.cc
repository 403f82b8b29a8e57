// HTTPS records as ech_tool writes and parses them, compared with dnspython.

#include "examples/ech_tool/https_record.h"

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/process.h"

namespace trestle::examples {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr absl::Duration kPatience = absl::Seconds(30);

HttpsRecord RecordFor(const std::string& name) {
  HttpsRecord record;
  record.name = name;
  record.alpn = {"h2", "http/1.1"};
  record.ech = std::string("\x00\x04\xfe\x0d\x00\x00", 6);
  return record;
}

// Runs a line of Python with the record's data in presentation form.
std::string Python(const std::string& program, const std::string& data) {
  const e2e::CommandResult result =
      e2e::RunCommand({"/usr/bin/python3", "-c",
                       absl::StrCat("import sys, dns.rdata; text = sys.argv[1]\n", program), data},
                      kPatience);
  EXPECT_EQ(result.exit_status, 0) << result.errors;
  return std::string(absl::StripAsciiWhitespace(result.output));
}

// Returns the text after the type.
std::string DataOf(const std::string& line, const std::string& type) {
  return line.substr(line.find(absl::StrCat(" ", type, " ")) + type.size() + 2);
}

std::vector<PublishedRecord> Read(const std::string& text) {
  auto records = ReadHttpsRecords(text);
  EXPECT_TRUE(records.ok()) << records.status() << " " << text;
  return records.value_or(std::vector<PublishedRecord>());
}

std::string FaultOf(const std::string& text) {
  return std::string(ReadHttpsRecords(text).status().message());
}

TEST(HttpsRecordTest, DnspythonParsesBothFormsAlike) {
  std::vector<HttpsRecord> records = {RecordFor("www.example"), RecordFor("a.b.example")};
  records[0].alpn.clear();
  records[1].port = 8443;
  for (const HttpsRecord& record : records) {
    const std::string wire = absl::BytesToHexString(WireForm(record));
    EXPECT_EQ(Python("print(dns.rdata.from_text('IN', 'HTTPS', text).to_wire().hex())",
                     DataOf(PresentationForm(record), "HTTPS")),
              wire);
    EXPECT_EQ(Python("print(dns.rdata.from_text('IN', 'TYPE65', text).to_wire().hex())",
                     DataOf(GenericForm(record), "TYPE65")),
              wire);
  }
}

TEST(HttpsRecordTest, RecordsOfDnspythonAreParsed) {
  const HttpsRecord record = RecordFor("www.example");
  const std::string text = Python("print(dns.rdata.from_text('IN', 'HTTPS', text).to_text())",
                                  DataOf(PresentationForm(record), "HTTPS"));
  const std::vector<PublishedRecord> read = Read(text);
  ASSERT_EQ(read.size(), 1u);
  EXPECT_EQ(read[0].ech, record.ech);
}

TEST(HttpsRecordTest, TheLineIsAsInRfc9848) {
  EXPECT_EQ(PresentationForm(RecordFor("www.example")),
            "www.example. 3600 IN HTTPS 1 . alpn=\"h2,http/1.1\" ech=\"AAT+DQAA\"");
  EXPECT_EQ(GenericForm(RecordFor("www.example")),
            "www.example. 3600 IN TYPE65 \\# 29 000100"
            "0001000c02683208687474702f312e31"
            "00050006"
            "0004fe0d0000");
}

TEST(HttpsRecordTest, AnotherPortHasItsOwnOwnerAndTheSiteAsTarget) {
  HttpsRecord record = RecordFor("www.example");
  record.port = 8443;
  EXPECT_EQ(PresentationForm(record),
            "_8443._https.www.example. 3600 IN HTTPS 1 www.example. alpn=\"h2,http/1.1\" "
            "port=8443 ech=\"AAT+DQAA\"");
}

TEST(HttpsRecordTest, OwnRecordsAreParsedInBothForms) {
  const HttpsRecord record = RecordFor("www.example");
  for (const std::string& line : {PresentationForm(record), GenericForm(record)}) {
    const std::vector<PublishedRecord> read = Read(line);
    ASSERT_EQ(read.size(), 1u) << line;
    EXPECT_EQ(read[0].owner, "www.example.");
    EXPECT_EQ(read[0].priority, 1);
    EXPECT_EQ(read[0].ech, record.ech);
  }
}

TEST(HttpsRecordTest, ManyFormsOfOneRecordAreParsed) {
  for (const char* text : {
           "1 . ech=AAT+DQAA",
           "1 . key5=\"AAT+DQAA\"",
           "1 . mandatory=alpn alpn=\"h2\" no-default-alpn ech=\"AAT+DQAA\" ipv4hint=192.0.2.1",
           "https 1 . ech=AAT\\+DQAA",
           "www IN HTTPS 1 . ech=\\065AT+DQAA ; a comment with \" and (",
           "www 300 IN HTTPS ( 1 .\n  ech=AAT+DQAA )\n",
           "\n\n; dig\nwww. 300 IN A 192.0.2.1\r\nwww. 300 IN HTTPS 1 . ech=AAT+DQAA\r\n",
           "\\# 13 0001 00 0005 0006 0004FE0D0000",
       }) {
    const std::vector<PublishedRecord> read = Read(text);
    ASSERT_EQ(read.size(), 1u) << text;
    EXPECT_EQ(absl::Base64Escape(read[0].ech), "AAT+DQAA") << text;
  }
}

TEST(HttpsRecordTest, SeveralRecordsAreParsedInTheirOrder) {
  const std::vector<PublishedRecord> read =
      Read("a. HTTPS 1 . ech=AAT+DQAA\nb. HTTPS 0 other.\nc. 60 IN HTTPS 2 .");
  ASSERT_EQ(read.size(), 3u);
  EXPECT_EQ(read[1].owner, "b.");
  EXPECT_EQ(read[1].priority, 0);
  EXPECT_EQ(read[2].priority, 2);
  EXPECT_EQ(read[2].ech, "");
}

TEST(HttpsRecordTest, DamagedRecordsAreRejectedWithTheirLine) {
  const struct {
    const char* text;
    const char* fault;
  } kCases[] = {
      {"", "there is no HTTPS record"},
      {"www. 300 IN A 192.0.2.1", "there is no HTTPS record"},
      {"\n\nw. HTTPS x . ech=AAAA", "line 3: an HTTPS record begins with a priority"},
      {"w. HTTPS 1", "begins with a priority"},
      {"w. HTTPS 65536 .", "begins with a priority"},
      {"w. HTTPS 1 . ech=!", "isn't base64"},
      {"w. HTTPS 1 . ech=", "isn't base64"},
      {"w. HTTPS 1 . ech", "isn't base64"},
      {"w. HTTPS 1 . ech=AAAA key5=AAAA", "two parameters ech"},
      {"w. HTTPS 1 . =AAAA", "is no parameter"},
      {"w. HTTPS 1 . e\\001=AAAA", "\"e\\x01=AAAA\" is no parameter"},
      {"w. HTTPS 1 . ech=\"AAAA", "line 1: a quoted text has no end"},
      {"w. HTTPS 1 . ech=\"AAAA\nB\"", "line 1: a quoted text has no end"},
      {"w. HTTPS ( 1 .\n", "a parenthesis isn't closed"},
      {"w. HTTPS 1 . )", "a parenthesis isn't opened"},
      {"w. HTTPS 1 . e\\", "a backslash ends the line"},
      {"w. HTTPS 1 . e\\12", "fewer than three digits"},
      {"w. HTTPS 1 . e\\256", "over 255"},
      {"w. TYPE65 \\#", "the length that it says"},
      {"w. TYPE65 \\# 3 0001", "the length that it says"},
      {"w. TYPE65 \\# 2 00zz", "the length that it says"},
      {"w. TYPE65 \\# 2 0001", "no data of an HTTPS record"},
      {"w. TYPE65 \\# 4 00014000", "no data of an HTTPS record"},
      {"w. TYPE65 \\# 5 0001000005", "no data of an HTTPS record"},
      {"w. TYPE65 \\# 8 0001000005000200", "no data of an HTTPS record"},
      {"w. TYPE65 \\# 11 0001000005000000050000", "no data of an HTTPS record"},
  };
  for (const auto& bad : kCases) EXPECT_THAT(FaultOf(bad.text), HasSubstr(bad.fault)) << bad.text;
}

TEST(HttpsRecordTest, ProtocolsAreCheckedBeforeTheyArePublished) {
  EXPECT_THAT(*ParseAlpnList("h2,http/1.1"), ElementsAre("h2", "http/1.1"));
  EXPECT_THAT(*ParseAlpnList(""), IsEmpty());
  for (const std::string& bad : {std::string(","), std::string("h2,"), std::string("a b"),
                                 std::string("a\"b"), std::string(256, 'a')}) {
    EXPECT_FALSE(ParseAlpnList(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace trestle::examples
