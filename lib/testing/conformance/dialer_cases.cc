// Cases about the contract of a dialer.

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "lib/testing/conformance/cases.h"

namespace trestle::testing {
namespace {

using Result = absl::StatusOr<std::unique_ptr<Transport>>;

void Listen(Stage& s) {
  s.listening = s.host().Listen([&s](std::unique_ptr<Transport> transport) {
    s.accepted_transports.push_back(std::move(transport));
  });
}

void DoneIsCalledOnceFromTheLoop(Stage& s) {
  Listen(s);
  int calls = 0;
  std::unique_ptr<Transport> dialed;
  bool inside = true;
  const std::unique_ptr<Dial> dial = s.host().dialer().Connect(s.listening, [&](Result result) {
    EXPECT_FALSE(inside) << "`done` ran inside Connect";
    ++calls;
    ASSERT_TRUE(result.ok()) << result.status();
    dialed = *std::move(result);
  });
  inside = false;
  ASSERT_TRUE(s.Until([&] { return calls > 0; }));
  s.Settle();
  EXPECT_EQ(calls, 1);
}

void ADialedTransportIsOpen(Stage& s) {
  Listen(s);
  std::unique_ptr<StageEnd> near;
  const std::unique_ptr<Dial> dial = s.host().dialer().Connect(s.listening, [&](Result result) {
    ASSERT_TRUE(result.ok()) << result.status();
    near = std::make_unique<StageEnd>(*std::move(result), s.loop(), s.random());
    EXPECT_EQ(near->Write("hello"), IoState::kOk);
  });
  ASSERT_TRUE(s.Until([&] { return near != nullptr && !s.accepted_transports.empty(); }));
  StageEnd far(std::move(s.accepted_transports.front()), s.loop(), s.random());
  s.accepted_transports.clear();
  far.ReadOn();
  EXPECT_TRUE(s.Until([&] { return far.received == "hello"; }));
}

void ADestroyedDialCallsNothing(Stage& s) {
  Listen(s);
  int calls = 0;
  s.host().dialer().Connect(s.listening, [&](Result) { ++calls; }).reset();
  std::unique_ptr<Dial> dial = s.host().dialer().Connect(s.listening, [&](Result) { ++calls; });
  // Runs in the loop, when the result may already exist.
  const Timer timer = s.loop().RunAfter(absl::ZeroDuration(), [&] {
    if (calls == 0) dial.reset();
  });
  s.Settle();
  EXPECT_EQ(calls, dial == nullptr ? 0 : 1);
  dial.reset();
}

void TheDialMayBeDestroyedInsideDone(Stage& s) {
  Listen(s);
  std::unique_ptr<Dial> dial;
  std::unique_ptr<Transport> dialed;
  auto held = std::make_shared<int>(7);
  int calls = 0;
  int seen = 0;
  dial =
      s.host().dialer().Connect(s.listening, [&dial, &dialed, &calls, &seen, held](Result result) {
        ++calls;
        dial.reset();
        seen = *held;  // The captures live as long as the call.
        if (result.ok()) dialed = *std::move(result);
      });
  EXPECT_TRUE(s.Until([&] { return calls > 0; }));
  s.Settle();
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(seen, 7);
  EXPECT_NE(dialed, nullptr);
}

void ARefusedDialIsATransportError(Stage& s) {
  std::optional<absl::Status> failure;
  bool inside = true;
  const std::unique_ptr<Dial> dial =
      s.host().dialer().Connect(s.host().RefusingEndpoint(), [&](Result result) {
        EXPECT_FALSE(inside) << "`done` ran inside Connect";
        failure = result.status();
      });
  inside = false;
  ASSERT_TRUE(s.Until([&] { return failure.has_value(); }));
  const std::optional<Error> error = GetError(*failure);
  ASSERT_TRUE(error.has_value()) << "not one of MakeError: " << *failure;
  EXPECT_EQ(error->code, ErrorCode::kTransport) << *error;
}

void ManyDialsAtOnceKeepApart(Stage& s) {
  constexpr size_t kDials = 20;
  Listen(s);
  std::vector<std::unique_ptr<StageEnd>> near;
  std::vector<std::unique_ptr<Dial>> dials;
  for (size_t i = 0; i < kDials; ++i) {
    dials.push_back(s.host().dialer().Connect(s.listening, [&](Result result) {
      ASSERT_TRUE(result.ok()) << result.status();
      near.push_back(std::make_unique<StageEnd>(*std::move(result), s.loop(), s.random()));
    }));
  }
  ASSERT_TRUE(
      s.Until([&] { return near.size() == kDials && s.accepted_transports.size() == kDials; }));
  std::vector<std::unique_ptr<StageEnd>> far;
  for (std::unique_ptr<Transport>& transport : s.accepted_transports) {
    far.push_back(std::make_unique<StageEnd>(std::move(transport), s.loop(), s.random()));
    far.back()->ReadOn();
  }
  s.accepted_transports.clear();
  for (size_t i = 0; i < kDials; ++i) near[i]->Send(std::string(1, static_cast<char>('a' + i)));
  std::string all;
  EXPECT_TRUE(s.Until([&] {
    all.clear();
    for (const auto& end : far) {
      if (end->received.size() == 1) all += end->received;
    }
    return all.size() == kDials;
  }));
  for (size_t i = 0; i < kDials; ++i) {
    EXPECT_NE(all.find(static_cast<char>('a' + i)), std::string::npos);
  }
}

// A free port of the own machine may be the one that the system gives the dialing socket.
void NoSocketConnectsWithItself(Stage& s) {
  constexpr int kMostDials = 200;
  for (int i = 0; i < kMostDials; ++i) {
    const Endpoint endpoint = s.host().FreeEndpoint();
    if (endpoint == Endpoint()) return;  // The host dials no ports.
    std::optional<Result> result;
    const std::unique_ptr<Dial> dial = s.host().dialer().Connect(
        endpoint, [&result](Result dialed) { result.emplace(std::move(dialed)); });
    ASSERT_TRUE(s.Until([&] { return result.has_value(); }));
    ASSERT_FALSE(result->ok()) << endpoint.ToString() << " is connected with itself";
  }
}

constexpr ConformanceCase kCases[] = {
    {"DoneIsCalledOnceFromTheLoop", "Connect: calls `done` once, from the loop.",
     Alone<DoneIsCalledOnceFromTheLoop>},
    {"ADialedTransportIsOpen", "Connect: with an open transport.", Alone<ADialedTransportIsOpen>},
    {"ADestroyedDialCallsNothing", "Dial: destroying it cancels the attempt: no callback follows.",
     Alone<ADestroyedDialCallsNothing>},
    {"TheDialMayBeDestroyedInsideDone", "Connect: the result may be destroyed inside `done`.",
     Alone<TheDialMayBeDestroyedInsideDone>},
    {"ARefusedDialIsATransportError", "Connect: or an error: ErrorCode::kTransport.",
     Alone<ARefusedDialIsATransportError>},
    {"ManyDialsAtOnceKeepApart", "Dialer: opens connections.", Alone<ManyDialsAtOnceKeepApart>},
    {"NoSocketConnectsWithItself", "Connect: rejects a connection of a socket with itself.",
     Alone<NoSocketConnectsWithItself>},
};

}  // namespace

absl::Span<const ConformanceCase> DialerCases() { return kCases; }

}  // namespace trestle::testing
