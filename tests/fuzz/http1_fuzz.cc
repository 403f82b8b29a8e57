// The first byte selects how the rest is split into segments. Every split passes the same requests
// and gives the same verdict. A second inspector passes the output of the first unchanged.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "integrations/http1/http1_inspector.h"
#include "tests/fuzz/fuzz_input.h"
#include "trestle/testing/simulated_loop.h"

namespace trestle {
namespace {

struct Outcome {
  std::string passed;
  std::string refusal;
};

// The backend's response to every request, including upgrades.
constexpr absl::string_view kAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

// Applies verdicts as a relay does; the backend responds when requests wait for it.
Outcome Inspect(absl::string_view wire, size_t longest) {
  testing::SimulatedLoop loop;
  Http1Options options;
  options.hosts = Http1Options::HostPolicy::kAny;
  options.forwarding.x_forwarded = options.forwarding.forwarded = false;
  options.pipelined_requests = 1000;
  InspectorFactory factory = *NewHttp1InspectorFactory(loop, std::move(options));
  const std::unique_ptr<Inspector> inspector = factory(ConnectionReport());
  Outcome outcome;
  std::string pending;
  for (size_t size = 1; !wire.empty(); ++size) {
    const size_t bytes = std::min(wire.size(), size * 7 % longest + 1);
    pending.append(wire.data(), bytes);
    wire.remove_prefix(bytes);
    while (!pending.empty()) {
      const Verdict verdict =
          inspector->Inspect(Direction::kToBackend, AsBytes(pending), wire.empty());
      if (verdict.action() == Verdict::Action::kBlock) {
        outcome.refusal = verdict.reason();
        return outcome;
      }
      if (verdict.action() == Verdict::Action::kWait) {
        const Verdict answer = inspector->Inspect(Direction::kToClient, AsBytes(kAnswer), false);
        Require(answer.action() == Verdict::Action::kForward, "what waits waits for an answer");
        continue;
      }
      if (verdict.action() == Verdict::Action::kHold) break;
      const bool forward = verdict.action() == Verdict::Action::kForward;
      Require(verdict.bytes() > 0, "each verdict makes progress");
      Require(verdict.bytes() <= pending.size(), "no more is judged than there is");
      outcome.passed += forward ? pending.substr(0, verdict.bytes()) : verdict.text();
      pending.erase(0, verdict.bytes());
    }
    Require(!wire.empty() || pending.empty(), "nothing is undecided at the end");
  }
  return outcome;
}

}  // namespace
}  // namespace trestle

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using trestle::Require;
  if (size == 0 || size > 60 * 1024) return 0;
  const absl::string_view wire(reinterpret_cast<const char*>(data) + 1, size - 1);
  const trestle::Outcome whole = trestle::Inspect(wire, wire.size() + 1);
  for (size_t longest : {size_t{1}, size_t{data[0]} + 1}) {
    const trestle::Outcome cut = trestle::Inspect(wire, longest);
    Require(cut.refusal == whole.refusal, "cuts don't change the verdict");
    Require(!whole.refusal.empty() || cut.passed == whole.passed, "cuts don't change what passes");
  }
  if (!whole.refusal.empty()) return 0;
  const trestle::Outcome again = trestle::Inspect(whole.passed, whole.passed.size() + 1);
  Require(again.refusal.empty(), "what passed is good");
  Require(again.passed == whole.passed, "what passed is passed on unchanged");
  return 0;
}
