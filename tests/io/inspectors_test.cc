// The library's inspectors, alone and in chains, over a relay.
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/stream_peer.h"
#include "trestle/base/error.h"
#include "trestle/io/inspector_chain.h"
#include "trestle/io/pattern_blocker.h"
#include "trestle/io/relay.h"
#include "trestle/testing/memory_transport.h"
#include "trestle/testing/simulated_loop.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;
using testing::MemoryLink;
using testing::NewMemoryPair;
using testing::SimulatedLoop;

// An inspector with a function for the bytes to the backend; it forwards the other direction.
class Judge final : public Inspector {
 public:
  using Function = absl::AnyInvocable<Verdict(absl::string_view pending, bool end)>;
  explicit Judge(Function function) : function_(std::move(function)) {}
  Verdict Inspect(Direction direction, ByteView pending, bool end) override {
    if (direction == Direction::kToClient) return Verdict::Forward(pending.size());
    return function_(AsText(pending), end);
  }

 private:
  Function function_;
};

std::unique_ptr<Inspector> Judging(Judge::Function function) {
  return std::make_unique<Judge>(std::move(function));
}

// Passes whole lines in upper case.
std::unique_ptr<Inspector> Capitals() {
  return Judging([](absl::string_view pending, bool) {
    const size_t line = pending.find('\n');
    if (line == absl::string_view::npos) {
      return pending.empty() ? Verdict::Forward(0) : Verdict::Hold();
    }
    std::string text(pending.substr(0, line + 1));
    for (char& c : text) c = static_cast<char>(toupper(c));
    return Verdict::Replace(line + 1, text);
  });
}

// Requires `bytes` at a time, and passes a rest at the end.
std::unique_ptr<Inspector> Blocks(size_t bytes) {
  return Judging([bytes](absl::string_view pending, bool end) {
    if (pending.size() >= bytes) return Verdict::Forward(bytes);
    return end ? Verdict::Forward(pending.size()) : Verdict::Hold();
  });
}

// Adds a mark at the end of the stream.
std::unique_ptr<Inspector> MarksEnd() {
  return Judging([](absl::string_view pending, bool end) {
    if (!end) return Verdict::Forward(pending.size());
    return Verdict::Replace(pending.size(), absl::StrCat(pending, "<end>"));
  });
}

class InspectorsTest : public ::testing::Test {
 protected:
  template <typename... Inspectors>
  static std::unique_ptr<Inspector> Chain(Inspectors... inspectors) {
    std::vector<std::unique_ptr<Inspector>> list;
    (list.push_back(std::move(inspectors)), ...);
    return std::make_unique<InspectorChain>(std::move(list));
  }

  // Sends `text` through a relay with `inspector`; returns the bytes that arrive. `chunk`: bytes
  // per read.
  std::string Through(std::unique_ptr<Inspector> inspector, const std::string& text,
                      size_t chunk = 0, bool end = true) {
    SimulatedLoop loop;
    MemoryLink link;
    link.chunk_bytes = chunk;
    auto [client_end, front] = NewMemoryPair(loop, link, link);
    auto [back, backend_end] = NewMemoryPair(loop);
    Relay relay(loop, *front, *back, inspector.get(), {});
    outcome = absl::UnknownError("still open");
    relay.Start([this](absl::Status status) { outcome = std::move(status); });
    StreamPeer client(loop, std::move(client_end));
    StreamPeer backend(loop, std::move(backend_end));
    client.Send(text);
    if (end) client.End();
    loop.RunFor(absl::Seconds(1));
    backend.End();
    loop.RunFor(absl::Seconds(1));
    last_words = client.received();
    saw_end = backend.saw_end();
    return backend.received();
  }

  std::string Reason() const {
    const std::optional<Error> error = GetError(outcome);
    return error.has_value() && error->code == ErrorCode::kBlockedByInspector ? error->detail : "";
  }

  absl::Status outcome;
  std::string last_words;
  bool saw_end = false;
};

TEST_F(InspectorsTest, AnEmptyChainPassesEverything) {
  EXPECT_EQ(Through(Chain(), "text"), "text");
  EXPECT_TRUE(outcome.ok()) << outcome;
}

TEST_F(InspectorsTest, EachInspectorSeesTheOutputOfTheOneBefore) {
  for (const size_t chunk : {1, 2, 3, 7, 100}) {
    SCOPED_TRACE(chunk);
    EXPECT_EQ(Through(Chain(Capitals(), Blocks(4), MarksEnd()), "one\ntwo\nthree\n", chunk),
              "ONE\nTWO\nTHREE\n<end>");
    EXPECT_TRUE(outcome.ok()) << outcome;
    EXPECT_TRUE(saw_end);
    EXPECT_EQ(Through(Chain(Blocks(5), Blocks(3), Capitals()), "one\ntwo\nthree\n", chunk),
              "ONE\nTWO\nTHREE\n");
    EXPECT_TRUE(outcome.ok()) << outcome;
  }
}

TEST_F(InspectorsTest, ManyInspectorsThatHoldAndForwardChangeNoByte) {
  std::mt19937_64 random(7);
  std::string text;
  for (int i = 0; i < 300'000; ++i) text.push_back(static_cast<char>(random()));
  EXPECT_EQ(Through(Chain(Blocks(1000), Blocks(77), Blocks(30'000), Blocks(1)), text, 999), text);
  EXPECT_TRUE(outcome.ok()) << outcome;
}

TEST_F(InspectorsTest, AnyMayBlockAndItsEarlierBytesArrive) {
  const auto blocks_bad = [] {
    return Judging([](absl::string_view pending, bool) {
      const size_t line = pending.find('\n');
      if (line == absl::string_view::npos) return Verdict::Hold();
      if (pending.substr(0, line) == "bad") return Verdict::Block("no bad lines", "go away");
      return Verdict::Forward(line + 1);
    });
  };
  for (const bool first : {true, false}) {
    const std::string arrived = first ? Through(Chain(blocks_bad(), Blocks(1)), "good\nbad\nmore")
                                      : Through(Chain(Blocks(1), blocks_bad()), "good\nbad\nmore");
    EXPECT_EQ(arrived, "good\n");
    EXPECT_EQ(Reason(), "no bad lines");
    EXPECT_EQ(last_words, "go away");
  }
}

TEST_F(InspectorsTest, HoldingIsLimitedAndEndsWithTheStream) {
  const auto undecided = [] {
    return Judging([](absl::string_view, bool) { return Verdict::Hold(); });
  };
  EXPECT_EQ(Through(Chain(Blocks(1), undecided()), std::string(200'000, 'x')), "");
  EXPECT_THAT(Reason(), HasSubstr("limit of its buffer"));
  EXPECT_EQ(Through(Chain(Blocks(1), undecided()), "few"), "");
  EXPECT_THAT(Reason(), HasSubstr("end of the stream"));
  EXPECT_EQ(Through(Chain(undecided(), Blocks(1)), "few"), "");
  EXPECT_NE(Reason(), "");
}

// Passes whole lines, each to the backend only after the response to the one before has passed.
class InTurns final : public Inspector {
 public:
  Verdict Inspect(Direction direction, ByteView pending, bool end) override {
    const size_t line = AsText(pending).find('\n');
    if (line == absl::string_view::npos) {
      if (end) return Verdict::Forward(pending.size());
      return Verdict::Hold();
    }
    int& mine = direction == Direction::kToBackend ? asked_ : answered_;
    if (direction == Direction::kToBackend && asked_ > answered_) return Verdict::Wait();
    ++mine;
    return Verdict::Forward(line + 1);
  }

 private:
  int asked_ = 0;
  int answered_ = 0;
};

TEST_F(InspectorsTest, AnyMayWaitForTheOtherDirection) {
  const auto in_turns = [] { return std::make_unique<InTurns>(); };
  for (const bool first : {true, false}) {
    SCOPED_TRACE(first);
    const std::unique_ptr<Inspector> chain =
        first ? Chain(std::unique_ptr<Inspector>(in_turns()), Capitals())
              : Chain(Capitals(), std::unique_ptr<Inspector>(in_turns()));
    SimulatedLoop loop;
    auto [client_end, front] = NewMemoryPair(loop);
    auto [back, backend_end] = NewMemoryPair(loop);
    Relay relay(loop, *front, *back, chain.get(), {});
    relay.Start([this](absl::Status status) { outcome = std::move(status); });
    outcome = absl::UnknownError("still open");
    StreamPeer client(loop, std::move(client_end));
    StreamPeer backend(loop, std::move(backend_end));
    client.Send("one\ntwo\nthree\n");
    client.End();
    loop.RunFor(absl::Seconds(1));
    EXPECT_EQ(backend.received(), "ONE\n");
    backend.Send("1\n");
    loop.RunFor(absl::Seconds(1));
    EXPECT_EQ(backend.received(), "ONE\nTWO\n");
    EXPECT_FALSE(backend.saw_end());
    backend.Send("2\n");
    loop.RunFor(absl::Seconds(1));
    EXPECT_EQ(backend.received(), "ONE\nTWO\nTHREE\n");
    EXPECT_TRUE(backend.saw_end());
    backend.End();
    loop.RunFor(absl::Seconds(1));
    EXPECT_EQ(client.received(), "1\n2\n");
    EXPECT_TRUE(outcome.ok()) << outcome;
  }
}

TEST_F(InspectorsTest, WaitingForAnEndedDirectionBlocks) {
  EXPECT_EQ(Through(Chain(Blocks(1), std::unique_ptr<Inspector>(new InTurns)), "one\ntwo\n"),
            "one\n");
  EXPECT_THAT(Reason(), HasSubstr("when the other direction had ended"));
}

// Has more output at the end of the stream than fits one verdict.
TEST_F(InspectorsTest, MayRequestAnotherCall) {
  int said = 0;
  const auto counts = [&said](absl::string_view pending, bool end) {
    if (!end) return Verdict::Forward(pending.size());
    if (++said > 3) return Verdict::Forward(0);
    return Verdict::Replace(pending.size(), absl::StrCat("<", said, ">")).AndAskAgain();
  };
  EXPECT_EQ(Through(Judging(counts), "text"), "text<1><2><3>");
  EXPECT_TRUE(outcome.ok()) << outcome;
  EXPECT_TRUE(saw_end);
}

TEST_F(InspectorsTest, TheOtherDirectionHasItsOwnState) {
  InspectorChain chain([] {
    std::vector<std::unique_ptr<Inspector>> list;
    list.push_back(Blocks(4));
    list.push_back(Capitals());
    return list;
  }());
  EXPECT_EQ(chain.Inspect(Direction::kToBackend, AsBytes("ab"), false).action(),
            Verdict::Action::kHold);
  const Verdict answer = chain.Inspect(Direction::kToClient, AsBytes("answer"), false);
  EXPECT_EQ(answer.action(), Verdict::Action::kForward);
  EXPECT_EQ(answer.bytes(), 6u);
  const Verdict rest = chain.Inspect(Direction::kToBackend, AsBytes("abc\n"), false);
  EXPECT_EQ(rest.action(), Verdict::Action::kReplace);
  EXPECT_EQ(rest.text(), "ABC\n");
}

class PatternBlockerTest : public InspectorsTest {
 protected:
  static std::unique_ptr<Inspector> Blocker(std::vector<std::string> patterns,
                                            bool to_client = false) {
    auto options = std::make_shared<PatternBlockerOptions>();
    options->patterns = std::move(patterns);
    options->to_client = to_client;
    options->last_words = "blocked";
    return std::make_unique<PatternBlocker>(std::move(options));
  }
};

TEST_F(PatternBlockerTest, FindsPatternsInEverySplit) {
  const std::string before = "user-agent: something\r\nx-api: ${jn";
  for (size_t chunk = 1; chunk < 50; ++chunk) {
    SCOPED_TRACE(chunk);
    const std::string arrived =
        Through(Blocker({"nothing", "${jndi:"}), before + "di:ldap}", chunk);
    EXPECT_EQ(Reason(), "found \"${jndi:\"");
    EXPECT_EQ(last_words, "blocked");
    EXPECT_TRUE(before.substr(0, before.size() - 4).find(arrived) == 0) << arrived;
  }
}

TEST_F(PatternBlockerTest, ForwardsAllOtherBytesAtOnce) {
  for (const size_t chunk : {1, 3, 100}) {
    EXPECT_EQ(Through(Blocker({"abcabd", ""}), "abcabcabc", chunk), "abcabcabc");
    EXPECT_TRUE(outcome.ok()) << outcome;
  }
  EXPECT_EQ(Through(Blocker({"abc"}), "a question?", 0, /*end=*/false), "a question?")
      << "not held until the end";
  EXPECT_EQ(Through(Blocker({"abc"}), "ends in ab"), "ends in ab");
  EXPECT_EQ(Through(Blocker({}), "anything"), "anything");
}

TEST_F(PatternBlockerTest, WorksInAChainAfterAnInspectorThatChangesBytes) {
  EXPECT_EQ(Through(Chain(Capitals(), Blocker({"SECRET"})), "fine\nsecret\n"), "FINE\n");
  EXPECT_EQ(Reason(), "found \"SECRET\"");
  EXPECT_EQ(Through(Chain(Blocker({"SECRET"}), Capitals()), "secret\n"), "SECRET\n");
}

TEST_F(PatternBlockerTest, InspectsTheConfiguredDirections) {
  PatternBlockerOptions options;
  options.patterns = {"x"};
  options.to_backend = false;
  options.to_client = true;
  PatternBlocker blocker(std::make_shared<PatternBlockerOptions>(options));
  EXPECT_EQ(blocker.Inspect(Direction::kToBackend, AsBytes("x"), false).action(),
            Verdict::Action::kForward);
  EXPECT_EQ(blocker.Inspect(Direction::kToClient, AsBytes("x"), false).action(),
            Verdict::Action::kBlock);
}

}  // namespace
}  // namespace trestle
