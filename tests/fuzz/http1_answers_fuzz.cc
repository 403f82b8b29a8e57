// The first byte selects the requests, the second one how the rest, the backend's responses, is
// split into segments. Every split gives the same verdict, and accepted bytes pass unchanged. Other
// protocols pass from the client only if the backend agreed to the change.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "integrations/http1/http1_inspector.h"
#include "tests/fuzz/fuzz_input.h"
#include "trestle/testing/simulated_loop.h"

namespace trestle {
namespace {

constexpr absl::string_view kRequests[] = {
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
};
constexpr absl::string_view kBad = "GET / HTTP/1.1\nHost: a\n\n";

struct Outcome {
  std::string passed;
  std::string refusal;
  bool opaque = false;  // Bytes other than requests pass from the client.
};

std::unique_ptr<Inspector> NewInspector(Scheduler& loop) {
  Http1Options options;
  options.hosts = Http1Options::HostPolicy::kAny;
  options.allow_connect = true;
  return (*NewHttp1InspectorFactory(loop, std::move(options)))(ConnectionReport());
}

Outcome Inspect(uint8_t asked, absl::string_view answers, size_t longest) {
  testing::SimulatedLoop loop;
  const std::unique_ptr<Inspector> inspector = NewInspector(loop);
  // Sends three requests in turn; those after an upgrade wait for the backend.
  for (int i = 0; i < 3; ++i) {
    const absl::string_view request = kRequests[asked >> (2 * i) & 3];
    inspector->Inspect(Direction::kToBackend, AsBytes(request), false);
  }
  Outcome outcome;
  std::string pending;
  for (size_t size = 1; !answers.empty(); ++size) {
    const size_t bytes = std::min(answers.size(), size * 7 % longest + 1);
    pending.append(answers.data(), bytes);
    answers.remove_prefix(bytes);
    while (!pending.empty()) {
      const Verdict verdict =
          inspector->Inspect(Direction::kToClient, AsBytes(pending), answers.empty());
      if (verdict.action() == Verdict::Action::kBlock) {
        outcome.refusal = verdict.reason();
        return outcome;
      }
      if (verdict.action() == Verdict::Action::kHold && !answers.empty()) break;
      Require(verdict.action() == Verdict::Action::kForward, "answers are passed on or refused");
      Require(verdict.bytes() > 0 && verdict.bytes() <= pending.size(), "there is progress");
      outcome.passed += pending.substr(0, verdict.bytes());
      pending.erase(0, verdict.bytes());
    }
  }
  const Verdict last = inspector->Inspect(Direction::kToBackend, AsBytes(kBad), false);
  outcome.opaque = last.action() == Verdict::Action::kForward;
  return outcome;
}

}  // namespace
}  // namespace trestle

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using trestle::Require;
  if (size < 2 || size > 60 * 1024) return 0;
  const absl::string_view answers(reinterpret_cast<const char*>(data) + 2, size - 2);
  const trestle::Outcome whole = trestle::Inspect(data[0], answers, answers.size() + 1);
  Require(absl::StartsWith(answers, whole.passed), "answers pass as they are");
  Require(!whole.refusal.empty() || whole.passed == answers, "nothing is left out");
  if (whole.opaque) {
    const bool changed = absl::StrContains(answers, " 101") &&
                         absl::StrContainsIgnoreCase(answers, "upgrade:") &&
                         absl::StrContainsIgnoreCase(answers, "websocket");
    Require(changed || absl::StrContains(answers, " 2"), "nobody is let through unasked");
  }
  for (size_t longest : {size_t{1}, size_t{data[1]} + 1}) {
    const trestle::Outcome cut = trestle::Inspect(data[0], answers, longest);
    Require(cut.refusal == whole.refusal, "cuts don't change the verdict");
    Require(cut.opaque == whole.opaque, "cuts don't change the agreement");
    Require(!whole.refusal.empty() || cut.passed == whole.passed, "cuts don't change what passes");
    Require(absl::StartsWith(answers, cut.passed), "answers pass as they are");
  }
  return 0;
}
