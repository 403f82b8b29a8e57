#include "tests/pki/pem_rules.h"

#include <cstddef>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/pki/pki_fixture.h"

namespace trestle::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string FaultOf(const PemPlace& place, const std::string& text) {
  return ConfigurationFault(place.read(text));
}

void ExpectHarmlessTextIsFine(const PemPlace& place) {
  const std::string& good = place.good;
  EXPECT_EQ(FaultOf(place, good), "");
  EXPECT_EQ(FaultOf(place, "\xef\xbb\xbf" + good), "") << "byte order mark";
  EXPECT_EQ(FaultOf(place, "# comment\n\n\xef\xbb\xbf" + good), "")
      << "a file with a byte order mark after another one";
  EXPECT_EQ(FaultOf(place, absl::StrReplaceAll(good, {{"\n", "\r\n"}})), "");
  EXPECT_EQ(FaultOf(place, absl::StrReplaceAll(good, {{"-----\n", "----- \t\n"}})), "");
  EXPECT_EQ(
      FaultOf(place, "Bag Attributes\n    friendlyName: a\nKey Attributes: <No Attributes>\n" +
                         good + "trailing text\n"),
      "");
}

void ExpectNoBlockIsSkipped(const PemPlace& place) {
  const struct {
    std::string prefix;  // Before the first BEGIN.
    std::string fault;
  } kRows[] = {
      {"  ", "line 2: \"-----BEGIN\" doesn't begin its line: \"  \" is before it"},
      {"> ", "line 2: \"-----BEGIN\" doesn't begin its line: \"> \" is before it"},
      {"\"", "line 2: \"-----BEGIN\" doesn't begin its line: \"\\x22\" is before it"},
      {"-----END CERTIFICATE-----", "line 2: an END and a BEGIN are on one line"},
  };
  for (const auto& row : kRows) {
    EXPECT_THAT(FaultOf(place, "\n" + row.prefix + place.good),
                StartsWith(absl::StrCat(place.what, ", ", row.fault)));
  }
  // A second BEGIN, after the first block was read.
  EXPECT_THAT(FaultOf(place, place.good + " " + place.good),
              HasSubstr("\"-----BEGIN\" doesn't begin its line"));
}

void ExpectOtherKindsAreRefused(const PemPlace& place) {
  for (const char* label : {"PKCS7", "DER", "TRUSTED CERTIFICATE", "CERTIFICATE REQUEST",
                            "OPENSSH PRIVATE KEY", "certificate"}) {
    EXPECT_THAT(FaultOf(place, "one\ntwo\n" + PemBlockOf(label, "0") + place.good),
                StartsWith(absl::StrCat(place.what, ", line 3: found a PEM block \"", label,
                                        "\", which is not used here")));
  }
}

void ExpectDamagedBlocksAreRefused(const PemPlace& place) {
  const size_t end = place.good.find("-----END");
  const std::string rest = place.good.substr(place.good.find('\n', end) + 1);
  const std::string begin = place.good.substr(0, end);
  EXPECT_THAT(FaultOf(place, "\n" + begin + rest),
              StartsWith(absl::StrCat(place.what, ", line 2: the PEM block ")));
  EXPECT_THAT(FaultOf(place, begin), HasSubstr("is damaged: it has no END line"));
  EXPECT_THAT(FaultOf(place, begin + "-----END OTHER-----\n"),
              HasSubstr("is damaged: it ends with \"-----END OTHER-----\""));
  EXPECT_THAT(FaultOf(place, "-----BEGIN-----\n" + place.good),
              HasSubstr("line 1: the BEGIN line is malformed: \"-----BEGIN-----\""));
  EXPECT_THAT(FaultOf(place, absl::StrReplaceAll(place.good, {{"M", "!"}})),
              HasSubstr("is damaged"));
}

// Valid base64 that is no certificate, list, key or config.
void ExpectBlocksThatDoNotParseAreRefused(const PemPlace& place) {
  const size_t begin = place.good.find("-----BEGIN ") + 11;
  const std::string label = place.good.substr(begin, place.good.find("-----\n") - begin);
  EXPECT_THAT(FaultOf(place, "one\n\n" + PemBlockOf(label, "0\x01 and more")),
              StartsWith(absl::StrCat(place.what, ", line 3: ")));
}

}  // namespace

void ExpectPemRules(const PemPlace& place) {
  SCOPED_TRACE(place.what);
  ExpectHarmlessTextIsFine(place);
  ExpectNoBlockIsSkipped(place);
  ExpectOtherKindsAreRefused(place);
  ExpectDamagedBlocksAreRefused(place);
  ExpectBlocksThatDoNotParseAreRefused(place);
  EXPECT_THAT(FaultOf(place, "\xff\xfe-\0"), HasSubstr("is UTF-16 text"));
}

}  // namespace trestle::testing
