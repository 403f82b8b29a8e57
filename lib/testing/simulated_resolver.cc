#include "trestle/testing/simulated_resolver.h"

#include "lib/testing/check.h"

namespace trestle::testing {

class SimulatedResolver::Waiting final : public Lookup {
 public:
  Waiting(SimulatedResolver& owner, std::vector<Step> steps, Callback done)
      : owner_(owner), steps_(std::move(steps)), done_(std::move(done)) {
    ++owner_.open_;
    Arm();
  }

  ~Waiting() override { --owner_.open_; }

 private:
  void Arm() {
    if (next_ == steps_.size()) return;
    timer_ = owner_.loop_.RunAfter(steps_[next_].delay, [this] { Deliver(); });
  }

  // The call may destroy this.
  void Deliver() {
    absl::StatusOr<ResolvedName> answer = steps_[next_++].answer;
    if (next_ == steps_.size()) return done_(std::move(answer));
    Arm();
    done_(std::move(answer));
  }

  SimulatedResolver& owner_;
  const std::vector<Step> steps_;
  Callback done_;
  size_t next_ = 0;
  Timer timer_;
};

void SimulatedResolver::Answer(absl::string_view target, const std::vector<std::string>& endpoints,
                               absl::Duration ttl, absl::Duration delay) {
  ResolvedName answer;
  answer.ttl = ttl;
  for (const std::string& text : endpoints) {
    absl::StatusOr<Endpoint> endpoint = Endpoint::Parse(text);
    CHECK(endpoint.ok());
    answer.addresses.push_back({*std::move(endpoint)});
  }
  Answer(target, std::move(answer), delay);
}

void SimulatedResolver::AnswerInSteps(absl::string_view target,
                                      std::vector<std::pair<ResolvedName, absl::Duration>> steps) {
  std::vector<Step> answers;
  for (auto& [answer, delay] : steps) {
    if (answers.size() + 1 < steps.size()) answer.coverage = ResolvedName::Coverage::kMoreToCome;
    answers.push_back({std::move(answer), delay});
  }
  answers_[target] = std::move(answers);
}

size_t SimulatedResolver::lookups(absl::string_view target) const {
  const auto found = lookups_.find(target);
  return found == lookups_.end() ? 0 : found->second;
}

std::unique_ptr<Lookup> SimulatedResolver::Resolve(const NamedTarget& target, Callback done) {
  const std::string text = target.ToString();
  ++lookups_[text];
  const auto found = answers_.find(text);
  return std::make_unique<Waiting>(
      *this, found == answers_.end() ? std::vector<Step>() : found->second, std::move(done));
}

}  // namespace trestle::testing
