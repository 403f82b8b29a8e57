// Every hello of the kit gives the same result in every split.
#include <cstddef>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "trestle/base/bytes.h"
#include "trestle/testing/client_hello_kit.h"
#include "trestle/wire/client_hello.h"

namespace trestle {

class ClientHelloReaderPeer {
 public:
  static size_t ExaminedBytes(const ClientHelloReader& reader) { return reader.examined_bytes_; }
};

namespace {

using testing::AllKitHellos;
using testing::Flight;
using testing::ForEachSplit;
using testing::KitHello;
using testing::SplitPlan;

constexpr HelloLimits kManyRecords = {16 * 1024, 20 * 1024, {}};

// Returns all fields of a hello as text, so that a difference is readable.
std::string Describe(const ClientHello& hello) {
  std::string text =
      absl::StrCat(hello.legacy_version, "|", AsText(hello.random), "|", AsText(hello.session_id),
                   "|", AsText(hello.cipher_suites.bytes()), "|", AsText(hello.compression_methods),
                   "|", hello.server_name);
  for (absl::string_view protocol : hello.alpn) absl::StrAppend(&text, "|", protocol);
  for (const HelloExtension& extension : hello.extensions) {
    absl::StrAppend(&text, "|", extension.type, "=", AsText(extension.body));
  }
  for (const HelloKeyShare& share : hello.key_shares) {
    absl::StrAppend(&text, "|", share.group, ":", share.share_bytes);
  }
  absl::StrAppend(&text, "|", AsText(hello.supported_versions.bytes()), "|",
                  AsText(hello.supported_groups.bytes()), "|",
                  AsText(hello.signature_algorithms.bytes()), "|", hello.has_pre_shared_key,
                  hello.has_early_data, hello.ech.has_value(), "|", AsText(hello.message));
  return text;
}

// Feeds a flight and compares the result with that of the unsplit message. Reports only the first
// difference.
void ExpectSame(const Flight& flight, const std::string& expected) {
  ClientHelloReader reader(kManyRecords);
  std::string all;
  for (const std::string& segment : flight.segments) {
    reader.Feed(AsBytes(segment));
    all += segment;
  }
  ASSERT_EQ(reader.state(), HelloState::kDone) << flight.label << ": " << reader.error();
  ASSERT_TRUE(Describe(reader.hello()) == expected) << flight.label;
  ASSERT_TRUE(AsText(reader.replay()) == all) << flight.label;
  ASSERT_EQ(reader.segments(), flight.segments.size()) << flight.label;
}

std::string Expected(const KitHello& kit) {
  ClientHello hello;
  const absl::Status status = ParseClientHello(AsBytes(kit.message), {}, hello);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(hello.server_name, kit.server_name);
  return Describe(hello);
}

class EverySplitTest : public ::testing::TestWithParam<KitHello> {};

TEST_P(EverySplitTest, GivesTheSameResult) {
  const KitHello& kit = GetParam();
  const std::string expected = Expected(kit);
  SplitPlan plan;
  // The cost of all splits is quadratic in the size; the middle of large hellos adds no new cases.
  plan.every_segment_cut = plan.every_record_cut = kit.message.size() < 4096;
  const size_t count = ForEachSplit(kit.message, plan, [&](const Flight& flight) {
    if (!HasFatalFailure()) ExpectSame(flight, expected);
  });
  RecordProperty("splits", static_cast<int>(count));
  std::cout << kit.name << ": " << kit.message.size() << " bytes, " << count << " splits\n";
}

INSTANTIATE_TEST_SUITE_P(Kit, EverySplitTest, ::testing::ValuesIn(AllKitHellos("a.test")),
                         [](const auto& info) { return info.param.name; });

TEST(RandomPartitionTest, TenThousandPartitionsGiveTheSameResult) {
  size_t count = 0;
  for (const KitHello& kit : AllKitHellos("x.wild.test")) {
    if (kit.message.size() > 4096) continue;
    const std::string expected = Expected(kit);
    SplitPlan plan;
    plan.every_segment_cut = plan.every_record_cut = false;
    plan.random_partitions = 600;
    plan.max_random_cuts = 40;
    plan.seed = 20260526;
    count += ForEachSplit(kit.message, plan, [&](const Flight& flight) {
      if (!HasFatalFailure()) ExpectSame(flight, expected);
    });
  }
  EXPECT_GE(count, 10000u);
}

// Every proper prefix of a flight needs more bytes, in every split: never an early "done".
TEST(PrefixTest, NoProperPrefixIsDone) {
  for (const KitHello& kit : AllKitHellos("a.test")) {
    if (kit.message.size() > 4096) continue;
    const std::string wire = testing::InRecords(kit.message, {kit.message.size() / 2});
    ClientHelloReader reader;
    for (size_t i = 0; i + 1 < wire.size(); ++i) {
      ASSERT_EQ(reader.Feed(AsBytes(absl::string_view(&wire[i], 1))), HelloState::kNeedMore);
    }
    EXPECT_EQ(reader.Feed(AsBytes(absl::string_view(&wire.back(), 1))), HelloState::kDone);
  }
}

// Counts the bytes that the reader examines or copies (except for the replay). In every split, the
// sum is a small multiple of the size, because nothing is parsed again.
TEST(LinearWorkTest, EveryByteIsExaminedOnce) {
  for (size_t size : {size_t{512}, size_t{2048}, size_t{8192}, size_t{16384}}) {
    const std::string message = testing::PostQuantumHello("a.test").PadTo(size).Message();
    SplitPlan plan;
    plan.every_segment_cut = plan.every_record_cut = false;
    ForEachSplit(message, plan, [&](const Flight& flight) {
      size_t total = 0;
      ClientHelloReader reader(kManyRecords);
      for (const std::string& segment : flight.segments) {
        reader.Feed(AsBytes(segment));
        total += segment.size();
      }
      ASSERT_EQ(reader.state(), HelloState::kDone);
      // Each byte is copied once and parsed once; a partial record header is examined once per
      // byte.
      const size_t headers = 15 * reader.hello().records;
      ASSERT_LE(ClientHelloReaderPeer::ExaminedBytes(reader), 2 * message.size() + headers + 100)
          << flight.label << " of " << total;
    });
  }
}

}  // namespace
}  // namespace trestle
