// Minimise: finds a smaller scenario that breaks a promise as well.
#include <cstddef>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "tests/simulation/world.h"

namespace trestle::simulation {
namespace {

class Minimiser {
 public:
  explicit Minimiser(Scenario scenario) : smallest_(std::move(scenario)) {}

  Scenario Find() {
    do {
      smaller_ = false;
      RemoveEach(&Scenario::events, 0);
      RemoveEach(&Scenario::clients, 1);
      RemoveEach(&Scenario::dials, 1);
      for (size_t i = 0; i < smallest_.clients.size(); ++i) Calm(i);
      for (size_t i = 0; i < smallest_.dials.size(); ++i) CalmDial(i);
      Try([](Scenario& s) { s.tls12 = s.resumes = false; });
      Try([](Scenario& s) { s.max_connections = s.max_handshakes = 0; });
      Try([](Scenario& s) { s.signature_delay = absl::ZeroDuration(); });
    } while (smaller_);
    return smallest_;
  }

 private:
  // Keeps a change that leaves a failure and makes the description shorter.
  void Try(absl::FunctionRef<void(Scenario&)> change) {
    Scenario candidate = smallest_;
    change(candidate);
    if (Describe(candidate).size() >= Describe(smallest_).size()) return;
    if (RunScenario(candidate).empty()) return;
    smallest_ = std::move(candidate);
    smaller_ = true;
  }

  template <typename Part>
  void RemoveEach(std::vector<Part> Scenario::*parts, size_t least) {
    for (size_t i = (smallest_.*parts).size(); i > 0; --i) {
      if ((smallest_.*parts).size() <= least) return;
      Try([&](Scenario& s) {
        (s.*parts).erase((s.*parts).begin() + static_cast<std::ptrdiff_t>(i - 1));
      });
    }
  }

  static void CalmEnd(EndPlan& end) {
    end.truncates = false;
    end.leaves = end.pauses_at = absl::InfiniteDuration();
  }

  void Calm(size_t client) {
    Try([&](Scenario& s) { s.clients[client].end.out = {}; });
    Try([&](Scenario& s) { CalmEnd(s.clients[client].end); });
    Try([&](Scenario& s) { s.clients[client].end.bytes = 8; });
    Try([&](Scenario& s) { s.clients[client].opening = Opening::kTls; });
  }

  void CalmDial(size_t dial) {
    Try([&](Scenario& s) { s.dials[dial].in = s.dials[dial].end.out = {}; });
    Try([&](Scenario& s) { CalmEnd(s.dials[dial].end); });
    Try([&](Scenario& s) { s.dials[dial].end.bytes = 8; });
    Try([&](Scenario& s) { s.dials[dial].result = DialPlan::Result::kAccept; });
  }

  Scenario smallest_;
  bool smaller_ = false;
};

}  // namespace

Scenario Minimise(Scenario scenario) { return Minimiser(std::move(scenario)).Find(); }

}  // namespace trestle::simulation
