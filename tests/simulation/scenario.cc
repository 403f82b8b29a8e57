#include "tests/simulation/scenario.h"

#include <algorithm>
#include <random>

#include "absl/strings/str_cat.h"

namespace trestle::simulation {
namespace {

using testing::MemoryLink;

class Maker {
 public:
  explicit Maker(uint64_t seed) : random_(seed) {}

  Scenario Make(uint64_t seed) {
    Scenario scenario;
    scenario.seed = seed;
    // A third of all runs have no fault: they must end well.
    faults_ = !OneIn(3);
    for (size_t i = 1 + Below(6); i > 0; --i) scenario.clients.push_back(Client());
    for (size_t i = 2 * scenario.clients.size(); i > 0; --i) scenario.dials.push_back(Dial());
    for (size_t i = Below(4); i > 0; --i) scenario.events.push_back(Event());
    scenario.buffer_bytes = 1 + Below(66'000);
    scenario.turn_bytes = 1 + Below(300'000);
    scenario.tls12 = OneIn(3);
    scenario.resumes = OneIn(2);
    if (faults_ && OneIn(6)) scenario.max_connections = 1 + Below(4);
    if (faults_ && OneIn(6)) scenario.max_handshakes = 1 + Below(2);
    if (OneIn(4)) scenario.signature_delay = Millis(200);
    return scenario;
  }

 private:
  uint64_t Below(uint64_t bound) { return random_() % bound; }
  bool OneIn(uint64_t n) { return Below(n) == 0; }
  bool FaultIn(uint64_t n) { return faults_ && OneIn(n); }
  absl::Duration Millis(uint64_t bound) { return absl::Milliseconds(Below(bound)); }

  MemoryLink Link() {
    MemoryLink link;
    link.capacity_bytes = 512 + Below(70'000);
    link.chunk_bytes = 1 + Below(20'000);
    link.random_chunks = true;
    link.seed = random_();
    link.latency = absl::Microseconds(Below(OneIn(4) ? 20'000 : 2'000));
    if (FaultIn(12)) link.reset_after_bytes = Below(40'000);
    if (FaultIn(20)) link.stall_after_bytes = Below(40'000);
    return link;
  }

  EndPlan End() {
    EndPlan end;
    end.bytes = 8 + Below(OneIn(8) ? 120'000 : 3'000);
    end.out = Link();
    end.truncates = FaultIn(16);
    if (FaultIn(10)) end.leaves = Millis(400);
    if (OneIn(10)) end.pauses_at = Millis(300);
    return end;
  }

  ClientPlan Client() {
    ClientPlan client;
    client.start = Millis(2'000);
    client.block = static_cast<Block>(Below(3));
    if (FaultIn(8)) client.opening = static_cast<Opening>(1 + Below(3));
    client.end = End();
    return client;
  }

  DialPlan Dial() {
    DialPlan dial;
    if (FaultIn(8)) dial.result = OneIn(3) ? DialPlan::Result::kSilence : DialPlan::Result::kRefuse;
    dial.delay = Millis(50);
    dial.answers_at_end = OneIn(2);
    dial.in = Link();
    dial.end = End();
    return dial;
  }

  EventPlan Event() {
    EventPlan event;
    event.kind = OneIn(2) ? EventPlan::Kind::kReload : EventPlan::Kind::kClockStep;
    if (FaultIn(5)) event.kind = OneIn(2) ? EventPlan::Kind::kDrain : EventPlan::Kind::kShutdown;
    event.at = Millis(3'000);
    event.step = absl::Minutes(static_cast<int64_t>(Below(121)) - 60);
    return event;
  }

  std::mt19937_64 random_;
  bool faults_ = false;
};

bool IsFaulty(const MemoryLink& link) {
  return link.reset_after_bytes.has_value() || link.stall_after_bytes.has_value();
}

std::string DescribeLink(const MemoryLink& link) {
  std::string text = absl::StrCat(link.capacity_bytes, " B, reads of up to ", link.chunk_bytes,
                                  " B, ", absl::FormatDuration(link.latency));
  if (link.reset_after_bytes.has_value()) {
    absl::StrAppend(&text, ", reset after ", *link.reset_after_bytes, " B");
  }
  if (link.stall_after_bytes.has_value()) {
    absl::StrAppend(&text, ", stalls after ", *link.stall_after_bytes, " B");
  }
  return text;
}

std::string DescribeEnd(const EndPlan& end) {
  std::string text = absl::StrCat("sends ", end.bytes, " B over {", DescribeLink(end.out), "}");
  if (end.truncates) absl::StrAppend(&text, ", truncates");
  if (end.leaves != absl::InfiniteDuration()) {
    absl::StrAppend(&text, ", leaves after ", absl::FormatDuration(end.leaves));
  }
  if (end.pauses_at != absl::InfiniteDuration()) {
    absl::StrAppend(&text, ", pauses after ", absl::FormatDuration(end.pauses_at));
  }
  return text;
}

}  // namespace

bool EndPlan::faulty() const {
  return truncates || leaves != absl::InfiniteDuration() || IsFaulty(out);
}

bool DialPlan::faulty() const { return result != Result::kAccept || IsFaulty(in) || end.faulty(); }

Scenario MakeScenario(uint64_t seed) { return Maker(seed).Make(seed); }

std::string Describe(const Scenario& scenario) {
  static constexpr const char* kBlocks[] = {"offload", "bridge", "passthrough"};
  static constexpr const char* kOpenings[] = {"TLS", "unknown name", "garbage", "silence"};
  static constexpr const char* kResults[] = {"accepts", "refuses", "is silent"};
  static constexpr const char* kEvents[] = {"clock step", "reload", "drain", "shutdown"};
  std::string text =
      absl::StrCat("seed ", scenario.seed, ": buffers of ", scenario.buffer_bytes, " B, turns of ",
                   scenario.turn_bytes, " B", scenario.tls12 ? ", TLS 1.2" : "",
                   scenario.resumes ? ", resumption" : "", ", connections ",
                   scenario.max_connections, ", handshakes ", scenario.max_handshakes,
                   ", signatures after ", absl::FormatDuration(scenario.signature_delay), "\n");
  for (const ClientPlan& client : scenario.clients) {
    absl::StrAppend(&text, "  client at ", absl::FormatDuration(client.start), ", ",
                    kBlocks[static_cast<int>(client.block)], ", ",
                    kOpenings[static_cast<int>(client.opening)], ", ", DescribeEnd(client.end),
                    "\n");
  }
  for (const DialPlan& dial : scenario.dials) {
    absl::StrAppend(&text, "  dial: ", kResults[static_cast<int>(dial.result)], " after ",
                    absl::FormatDuration(dial.delay), " over {", DescribeLink(dial.in), "}, ",
                    DescribeEnd(dial.end), dial.answers_at_end ? ", answers at the end" : "", "\n");
  }
  for (const EventPlan& event : scenario.events) {
    absl::StrAppend(&text, "  ", kEvents[static_cast<int>(event.kind)], " at ",
                    absl::FormatDuration(event.at), " by ", absl::FormatDuration(event.step), "\n");
  }
  return text;
}

}  // namespace trestle::simulation
