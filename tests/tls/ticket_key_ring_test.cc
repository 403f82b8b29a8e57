// Ticket keys: written and parsed, rotated by time, shared by nodes with different clocks, and
// removed.
#include "trestle/tls/ticket_key_ring.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tls/tls_fixture.h"
#include "trestle/tls/ticket_keys.h"

namespace trestle::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const absl::Time kStart = absl::FromUnixSeconds(1'767'225'600);  // 2026-01-01

std::string Seal(TicketKeyRing& ring, absl::string_view text, absl::Time now) {
  std::string ticket(text.size() + TicketKeyRing::kOverheadBytes, '\0');
  ticket.resize(ring.Seal(
      AsBytes(text), MutableByteView(reinterpret_cast<uint8_t*>(&ticket[0]), ticket.size()), now));
  return ticket;
}

std::optional<std::string> Open(TicketKeyRing& ring, absl::string_view ticket, absl::Time now) {
  std::string text(ticket.size(), '\0');
  size_t bytes = 0;
  const MutableByteView out(reinterpret_cast<uint8_t*>(&text[0]), text.size());
  if (!ring.Open(AsBytes(ticket), out, bytes, now)) return std::nullopt;
  text.resize(bytes);
  return text;
}

std::string Base64Key(char seed, size_t bytes = 48) {
  std::string secret;
  for (size_t i = 0; i < bytes; ++i)
    secret.push_back(static_cast<char>(seed + static_cast<int>(i)));
  return absl::Base64Escape(secret);
}

std::string ParseFailure(const std::string& text) {
  const auto keys = ParseTicketKeys(text);
  if (keys.ok()) return "";
  EXPECT_EQ(CodeOf(keys.status()), ErrorCode::kConfiguration);
  return GetError(keys.status())->detail;
}

std::vector<TicketKey> Parsed(const std::string& text) {
  auto keys = ParseTicketKeys(text);
  EXPECT_TRUE(keys.ok()) << keys.status();
  return *std::move(keys);
}

// ---- Keys as text ----

TEST(TicketKeysTest, TextRoundTrips) {
  const std::vector<TicketKey> keys = RotateTicketKeys({}, kStart, absl::Hours(12));
  const std::string text = FormatTicketKeys(keys);
  const std::vector<TicketKey> back = Parsed(absl::StrCat("# a comment\r\n\n", text, "\n"));
  ASSERT_EQ(back.size(), keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    EXPECT_EQ(AsText(back[i].secret()), AsText(keys[i].secret()));
    EXPECT_EQ(back[i].seal_from(), keys[i].seal_from());
  }
  EXPECT_EQ(FormatTicketKeys(back), text);
}

TEST(TicketKeysTest, WithoutTimesTheLastButOneIsActive) {
  const std::string a = Base64Key('a');
  const std::string b = Base64Key('b');
  const std::string c = Base64Key('c');
  const auto sealed_by = [&](const std::string& text) {
    const auto ring = *TicketKeyRing::FromKeys(Parsed(text));
    const std::string ticket = Seal(*ring, "session", kStart);
    std::string names;
    for (const std::string& key : {a, b, c}) {
      if (Open(**TicketKeyRing::FromKeys(Parsed(key)), ticket, kStart).has_value()) {
        names += key == a ? "a" : key == b ? "b" : "c";
      }
    }
    return names;
  };
  EXPECT_EQ(sealed_by(a), "a");
  EXPECT_EQ(sealed_by(absl::StrCat(a, "\n", b)), "a");
  EXPECT_EQ(sealed_by(absl::StrCat(a, "\n", b, "\n", c)), "b");
}

TEST(TicketKeysTest, DamagedTextIsRejectedAndNotQuoted) {
  const std::string key = Base64Key('k');
  EXPECT_EQ(ParseFailure(key), "");
  EXPECT_THAT(ParseFailure(""), HasSubstr("no ticket keys"));
  EXPECT_THAT(ParseFailure("# only a comment\n"), HasSubstr("no ticket keys"));
  EXPECT_THAT(ParseFailure(absl::StrCat("#\n", key, " tomorrow")), HasSubstr("line 2"));
  EXPECT_THAT(ParseFailure(absl::StrCat(key, " 2026-01-01T00:00:00Z more")),
              HasSubstr("more than a key and a time"));
  EXPECT_THAT(ParseFailure(absl::StrCat(key, "\n", Base64Key('j'), " 2026-01-01T00:00:00Z")),
              HasSubstr("differ in whether they have a time"));
  EXPECT_THAT(ParseFailure("secret!!"), HasSubstr("isn't base64"));
  EXPECT_THAT(ParseFailure("secret!!"), Not(HasSubstr("secret!!")));
  EXPECT_THAT(ParseFailure(Base64Key('k', 31)), HasSubstr("31 bytes"));
  EXPECT_THAT(ParseFailure(Base64Key('k', 97)), HasSubstr("97 bytes"));
  EXPECT_EQ(ParseFailure(Base64Key('k', 32)), "");
  EXPECT_EQ(ParseFailure(Base64Key('k', 96)), "");
  std::string many;
  for (int i = 0; i < 17; ++i) absl::StrAppend(&many, Base64Key(static_cast<char>('A' + i)), "\n");
  EXPECT_THAT(ParseFailure(many), HasSubstr("17 ticket keys"));
}

// CVE-2020-13777: GnuTLS used an all-zero key for its first hours.
TEST(TicketKeysTest, WeakSecretsAreRejected) {
  EXPECT_THAT(ParseFailure(absl::Base64Escape(std::string(48, '\0'))), HasSubstr("no secret"));
  EXPECT_THAT(ParseFailure(absl::Base64Escape(std::string(48, 'x'))), HasSubstr("no secret"));
  const TicketKey one = TicketKey::Random(kStart);
  const TicketKey two = TicketKey::Random(kStart);
  EXPECT_NE(AsText(one.secret()), AsText(two.secret()));
  EXPECT_TRUE(TicketKey::Create(one.secret(), kStart).ok());
}

TEST(TicketKeysTest, SecretsAreWiped) {
  alignas(TicketKey) unsigned char place[sizeof(TicketKey)];
  TicketKey* const key = new (place) TicketKey(TicketKey::Random(kStart));
  const std::string secret(AsText(key->secret()));
  const auto holds_secret = [&] {
    return std::search(place, place + sizeof(place), secret.begin(), secret.begin() + 8,
                       [](unsigned char a, char b) {
                         return a == static_cast<unsigned char>(b);
                       }) != place + sizeof(place);
  };
  EXPECT_TRUE(holds_secret());
  key->~TicketKey();
  EXPECT_FALSE(holds_secret());
}

TEST(TicketKeysTest, RotationKeepsOneKeyAheadAndOneBehind) {
  const absl::Duration every = absl::Hours(12);
  std::vector<TicketKey> keys = RotateTicketKeys({}, kStart, every);
  ASSERT_EQ(keys.size(), 2u);
  EXPECT_EQ(keys[0].seal_from(), kStart);
  EXPECT_EQ(keys[1].seal_from(), kStart + every);
  const std::string first(AsText(keys[0].secret()));
  const std::string second(AsText(keys[1].secret()));

  EXPECT_EQ(FormatTicketKeys(RotateTicketKeys(keys, kStart + every / 2, every)),
            FormatTicketKeys(keys))
      << "no rotation is due";
  keys = RotateTicketKeys(keys, kStart + every, every);
  ASSERT_EQ(keys.size(), 3u);
  EXPECT_EQ(AsText(keys[0].secret()), first);
  EXPECT_EQ(AsText(keys[1].secret()), second);
  keys = RotateTicketKeys(keys, kStart + 2 * every, every);
  ASSERT_EQ(keys.size(), 3u);
  EXPECT_EQ(AsText(keys[0].secret()), second) << "the first key has expired";
  keys = RotateTicketKeys(keys, kStart + 20 * every, every);
  ASSERT_EQ(keys.size(), 3u) << "nodes that still use the last key keep their sessions";
  EXPECT_EQ(keys[0].seal_from(), kStart + 3 * every);
  EXPECT_EQ(keys[1].seal_from(), kStart + 20 * every);
  EXPECT_EQ(keys[2].seal_from(), kStart + 21 * every);
}

// ---- The ring ----

TEST(TicketKeyRingTest, OpensItsOwnTicketsOnly) {
  const auto ring = TicketKeyRing::InMemory();
  const auto other = TicketKeyRing::InMemory();
  const std::string ticket = Seal(*ring, "a session", kStart);
  EXPECT_EQ(ticket.size(), 9 + TicketKeyRing::kOverheadBytes);
  EXPECT_EQ(Open(*ring, ticket, kStart), "a session");
  EXPECT_EQ(Open(*other, ticket, kStart), std::nullopt);
  EXPECT_NE(Seal(*ring, "a session", kStart), ticket) << "each ticket has its own nonce";
  for (size_t i = 0; i < ticket.size(); ++i) {
    std::string altered = ticket;
    altered[i] = static_cast<char>(altered[i] ^ 1);
    EXPECT_EQ(Open(*ring, altered, kStart), std::nullopt) << "byte " << i;
  }
  for (size_t bytes = 0; bytes < ticket.size(); ++bytes) {
    EXPECT_EQ(Open(*ring, ticket.substr(0, bytes), kStart), std::nullopt) << bytes;
  }
  EXPECT_EQ(Open(*ring, Seal(*ring, "", kStart), kStart), "");
}

TEST(TicketKeyRingTest, SealsInPlaceAndOnlyIfThereIsRoom) {
  const auto ring = TicketKeyRing::InMemory();
  uint8_t buffer[8 + TicketKeyRing::kOverheadBytes] = {'1', '2', '3', '4', '5', '6', '7', '8'};
  const size_t bytes =
      ring->Seal(ByteView(buffer, 8), MutableByteView(buffer, sizeof(buffer)), kStart);
  ASSERT_EQ(bytes, sizeof(buffer));
  EXPECT_EQ(Open(*ring, AsText(ByteView(buffer, bytes)), kStart), "12345678");
  EXPECT_EQ(ring->Seal(ByteView(buffer, 8), MutableByteView(buffer, sizeof(buffer) - 1), kStart),
            0u);
}

TEST(TicketKeyRingTest, InMemoryKeysOpenTicketsForOneMorePeriod) {
  const absl::Duration every = absl::Hours(12);
  const auto ring = TicketKeyRing::InMemory(every);
  const std::string early = Seal(*ring, "early", kStart);
  const std::string late = Seal(*ring, "late", kStart + every - absl::Seconds(1));
  EXPECT_EQ(late.substr(0, 16), early.substr(0, 16));
  EXPECT_NE(Seal(*ring, "next", kStart + every).substr(0, 16), early.substr(0, 16));
  EXPECT_EQ(Open(*ring, early, kStart + 2 * every - absl::Seconds(1)), "early");
  EXPECT_EQ(Open(*ring, early, kStart + 2 * every), std::nullopt);
  EXPECT_EQ(Open(*ring, late, kStart + 2 * every), std::nullopt);
}

TEST(TicketKeyRingTest, OneBadJumpOfTheClockDoesNotStopTheRotation) {
  const absl::Duration every = absl::Hours(12);
  const auto ring = TicketKeyRing::InMemory(every);
  Seal(*ring, "before", kStart);
  Seal(*ring, "meanwhile", kStart + 60 * every);
  const std::string after = Seal(*ring, "after", kStart + absl::Minutes(1));
  EXPECT_EQ(Open(*ring, after, kStart + absl::Minutes(2)), "after");
  const std::string next = Seal(*ring, "next", kStart + 2 * every);
  EXPECT_NE(next.substr(0, 16), after.substr(0, 16));
  EXPECT_EQ(Open(*ring, after, kStart + 3 * every), std::nullopt);
}

TEST(TicketKeyRingTest, OneBadJumpOfTheClockDoesNotStopCallsOfTheSource) {
  int asked = 0;
  auto ring = *TicketKeyRing::FromSource(
      [&](absl::Time) -> absl::StatusOr<std::vector<TicketKey>> {
        ++asked;
        return Parsed(Base64Key('a'));
      },
      kStart, absl::Minutes(1));
  Seal(*ring, "meanwhile", kStart + absl::Hours(24 * 30));
  Seal(*ring, "after", kStart + absl::Minutes(1));
  Seal(*ring, "later", kStart + absl::Minutes(3));
  EXPECT_EQ(asked, 4);
}

TEST(TicketKeyRingTest, ReportsTheStartOfTheActiveKey) {
  const absl::Duration every = absl::Hours(12);
  const auto ring = TicketKeyRing::InMemory(every);
  EXPECT_EQ(ring->SealingSince(kStart), absl::InfinitePast()) << "no ticket yet";
  Seal(*ring, "first", kStart);
  EXPECT_EQ(ring->SealingSince(kStart + absl::Hours(3)), kStart);
  Seal(*ring, "next", kStart + every);
  EXPECT_EQ(ring->SealingSince(kStart + every), kStart + every);

  const auto untimed = *TicketKeyRing::FromKeys(Parsed(Base64Key('a')));
  EXPECT_EQ(untimed->SealingSince(kStart), absl::InfinitePast());
}

TEST(TicketKeyRingTest, NodesWithDifferentClocksOpenEachOthersTickets) {
  const absl::Duration every = absl::Hours(1);
  const std::string text = FormatTicketKeys(RotateTicketKeys({}, kStart, every));
  const auto slow = *TicketKeyRing::FromKeys(Parsed(text));
  const auto fast = *TicketKeyRing::FromKeys(Parsed(text));
  // The change to the next key, with clocks that differ by 5 minutes.
  const absl::Time at_slow = kStart + every - absl::Minutes(2);
  const absl::Time at_fast = at_slow + absl::Minutes(5);
  const std::string of_slow = Seal(*slow, "of slow", at_slow);
  const std::string of_fast = Seal(*fast, "of fast", at_fast);
  EXPECT_NE(of_slow.substr(0, 16), of_fast.substr(0, 16)) << "they use different keys";
  EXPECT_EQ(Open(*fast, of_slow, at_fast), "of slow");
  EXPECT_EQ(Open(*slow, of_fast, at_slow), "of fast");
  // A clock before the times of all keys.
  EXPECT_EQ(Open(*fast, Seal(*slow, "x", kStart - absl::Hours(5)), at_fast), "x");
}

TEST(TicketKeyRingTest, ReplaceIsAllOrNothing) {
  const auto ring = *TicketKeyRing::FromKeys(Parsed(Base64Key('a')));
  const std::string ticket = Seal(*ring, "session", kStart);
  EXPECT_EQ(CodeOf(ring->Replace({})), ErrorCode::kConfiguration);
  const std::vector<TicketKey> twice = {Parsed(Base64Key('b'))[0], Parsed(Base64Key('b'))[0]};
  EXPECT_EQ(CodeOf(ring->Replace(twice)), ErrorCode::kConfiguration);
  std::vector<TicketKey> many;
  for (int i = 0; i < 17; ++i) many.push_back(TicketKey::Random(kStart));
  EXPECT_EQ(CodeOf(ring->Replace(many)), ErrorCode::kConfiguration);
  EXPECT_EQ(CodeOf(TicketKeyRing::FromKeys({}).status()), ErrorCode::kConfiguration);
  EXPECT_EQ(Open(*ring, ticket, kStart), "session");
  ASSERT_TRUE(ring->Replace(Parsed(absl::StrCat(Base64Key('a'), "\n", Base64Key('b'), "\n",
                                                Base64Key('c'))))
                  .ok());
  EXPECT_EQ(Open(*ring, ticket, kStart), "session");
  ASSERT_TRUE(ring->Replace(Parsed(Base64Key('b'))).ok());
  EXPECT_EQ(Open(*ring, ticket, kStart), std::nullopt);
}

TEST(TicketKeyRingTest, ASourceThatFailsLeavesTheLastKeys) {
  int asked = 0;
  absl::StatusOr<std::vector<TicketKey>> answer = Parsed(Base64Key('a'));
  auto made = TicketKeyRing::FromSource(
      [&](absl::Time) {
        ++asked;
        return answer;
      },
      kStart, absl::Minutes(1));
  ASSERT_TRUE(made.ok());
  TicketKeyRing& ring = **made;
  const std::string ticket = Seal(ring, "session", kStart);
  EXPECT_EQ(asked, 1);
  answer = absl::UnavailableError("the vault is gone");
  EXPECT_EQ(Open(ring, ticket, kStart + absl::Minutes(1)), "session");
  EXPECT_EQ(Open(ring, ticket, kStart + absl::Seconds(90)), "session");
  EXPECT_EQ(asked, 2) << "once a minute, not for each handshake";
  EXPECT_EQ(ring.source_failures(), 1u);
  answer = std::vector<TicketKey>();
  EXPECT_EQ(Open(ring, ticket, kStart + absl::Minutes(2)), "session");
  EXPECT_EQ(ring.source_failures(), 2u);
  answer = Parsed(Base64Key('b'));
  EXPECT_EQ(Open(ring, ticket, kStart + absl::Minutes(3)), std::nullopt);
  EXPECT_EQ(ring.source_failures(), 2u);
}

TEST(TicketKeyRingTest, ASourceThatFailsAtFirstCreatesNoRing) {
  const auto made = TicketKeyRing::FromSource(
      [](absl::Time) -> absl::StatusOr<std::vector<TicketKey>> {
        return absl::UnavailableError("the vault is gone");
      },
      kStart, absl::Minutes(1));
  EXPECT_EQ(made.status().message(), "the vault is gone");
}

}  // namespace
}  // namespace trestle::testing
