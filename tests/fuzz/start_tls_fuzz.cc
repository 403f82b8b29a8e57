// The client's side of STARTTLS dialogues. The first byte selects the protocol and the second how
// the server's bytes are split. Every split gives the same messages and the same result.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/string_view.h"
#include "tests/fuzz/fuzz_input.h"
#include "trestle/base/bytes.h"
#include "trestle/watch/start_tls.h"

namespace trestle {
namespace {

struct Outcome {
  StartTlsDialogue::State state;
  std::string sent;
  std::string problem;
};

Outcome Talk(StartTls protocol, absl::string_view server, size_t longest) {
  StartTlsDialogue dialogue(protocol, "a.test");
  Outcome outcome{dialogue.state(), dialogue.TakeOutput(), ""};
  while (!server.empty()) {
    const absl::string_view part = server.substr(0, longest);
    server.remove_prefix(part.size());
    outcome.state = dialogue.Feed(AsBytes(part));
    outcome.sent += dialogue.TakeOutput();
  }
  Require(outcome.state == dialogue.state(), "the state is the last result");
  outcome.problem = dialogue.problem();
  return outcome;
}

void Check(StartTls protocol, absl::string_view server, size_t longest) {
  const Outcome whole = Talk(protocol, server, server.size() + 1);
  const bool failed = whole.state == StartTlsDialogue::State::kFailed;
  Require(failed == !whole.problem.empty(), "a failure has a reason");
  Require(std::none_of(whole.problem.begin(), whole.problem.end(),
                       [](char c) { return absl::ascii_iscntrl(static_cast<unsigned char>(c)); }),
          "a reason fits in a line of a log");
  Require(server.size() <= StartTlsDialogue::kMaxBytes ||
              whole.state != StartTlsDialogue::State::kTalking,
          "a dialogue is bounded");
  for (const size_t bytes : {size_t{1}, longest + 1}) {
    const Outcome split = Talk(protocol, server, bytes);
    Require(
        split.state == whole.state && split.sent == whole.sent && split.problem == whole.problem,
        "a split changes nothing");
  }
}

}  // namespace
}  // namespace trestle

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  trestle::FuzzInput input(data, size);
  const auto protocols = trestle::AllStartTls();
  const trestle::StartTls protocol = protocols[input.Byte() % protocols.size()];
  const size_t longest = input.Byte();
  trestle::Check(protocol, input.Text(size), longest);
  return 0;
}
