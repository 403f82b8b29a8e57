// A server's first message in every split: a HelloRetryRequest, or anything else.
#include "lib/wire/hello_retry.h"

#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "lib/wire/tls_records.h"
#include "trestle/testing/client_hello_kit.h"

namespace trestle::wire_internal {
namespace {

using Answer = HelloRetryScanner::Answer;
using trestle::testing::Flight;
using trestle::testing::InRecord;

std::string RetryRequest() {
  std::string message;
  EXPECT_TRUE(absl::HexStringToBytes(
      "020000360303cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c", &message));
  return message + std::string(20, '\0');
}

Answer Scan(absl::string_view bytes, size_t chunk = 0) {
  HelloRetryScanner scanner;
  Answer answer = Answer::kUndecided;
  for (size_t at = 0; at < bytes.size(); at += chunk == 0 ? bytes.size() : chunk) {
    answer = scanner.Feed(AsBytes(bytes.substr(at, chunk == 0 ? bytes.size() : chunk)));
  }
  return answer;
}

TEST(HelloRetryTest, IsDetectedInEverySplit) {
  testing::SplitPlan plan;
  ForEachSplit(RetryRequest(), plan, [](const Flight& flight) {
    HelloRetryScanner scanner;
    Answer answer = Answer::kUndecided;
    for (const std::string& segment : flight.segments) answer = scanner.Feed(AsBytes(segment));
    EXPECT_EQ(answer, Answer::kRetry) << flight.label;
    EXPECT_TRUE(scanner.at_boundary()) << flight.label;
  });
}

TEST(HelloRetryTest, IsDecidedAtTheEndOfTheRandom) {
  const std::string flight = testing::InRecords(RetryRequest());
  for (size_t size = 0; size < 5 + 38; ++size) {
    EXPECT_EQ(Scan(flight.substr(0, size)), Answer::kUndecided) << size;
  }
  EXPECT_EQ(Scan(flight.substr(0, 5 + 38)), Answer::kRetry);
}

TEST(HelloRetryTest, OtherMessagesAreNotDetected) {
  const std::string message = RetryRequest();
  for (size_t at = 0; at < 38; ++at) {
    std::string changed = message;
    changed[at] ^= 0x40;
    const bool is_length = at >= 1 && at < 4;
    EXPECT_EQ(Scan(testing::InRecords(changed), 1), is_length ? Answer::kRetry : Answer::kOther)
        << at;
  }
  EXPECT_EQ(Scan(InRecord(21, absl::string_view("\x02\x28", 2))), Answer::kOther);
  EXPECT_EQ(Scan(InRecord(23, message)), Answer::kOther);
  EXPECT_EQ(Scan("HTTP/1.1 400 Bad Request\r\n"), Answer::kOther);
}

TEST(HelloRetryTest, DetectsTheEndsOfRecords) {
  const std::string flight = absl::StrCat(testing::InRecords(RetryRequest()), InRecord(20, "\1"));
  HelloRetryScanner scanner;
  for (size_t at = 0; at < flight.size(); ++at) {
    const bool whole = at == 0 || at == flight.size() - 6;
    EXPECT_EQ(scanner.at_boundary(), whole) << at;
    scanner.Feed(AsBytes(flight).subspan(at, 1));
  }
  EXPECT_TRUE(scanner.at_boundary());
}

TEST(TlsRecordsTest, AMessageIsSplitIntoValidRecords) {
  const std::string message = std::string(16384, 'a') + "rest";
  const std::string records = InHandshakeRecords(AsBytes(message), 0x0303);
  EXPECT_EQ(records, testing::InRecords(message, {}, 0x0303));
  EXPECT_EQ(records.size(), message.size() + 2 * 5);
  EXPECT_EQ(InHandshakeRecords({}, 0x0303), "");
}

}  // namespace
}  // namespace trestle::wire_internal
