#include "tests/simulation/ends.h"

#include <algorithm>
#include <random>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace trestle::simulation {
namespace {

constexpr size_t kNoiseBytes = 256 * 1024;
constexpr size_t kHeaderBytes = 8;
constexpr absl::Duration kPause = absl::Seconds(20);

// "client", and the number of the client in ASCII digits.
std::string Header(size_t client) { return absl::StrCat("client", client + 10); }

}  // namespace

Ends::Ends(Scheduler& loop, const Scenario& scenario)
    : loop_(loop), scenario_(scenario), noise_(kNoiseBytes, '\0') {
  std::mt19937_64 random(scenario.seed);
  for (char& c : noise_) c = static_cast<char>(random());
  clients_.resize(scenario.clients.size());
  for (size_t i = 0; i < scenario.clients.size(); ++i) {
    const size_t body = scenario.clients[i].end.bytes - kHeaderBytes;
    requests_.push_back(Header(i) + noise_.substr(1'000 * i, body));
  }
}

absl::string_view Ends::Request(size_t client) const { return requests_[client]; }

absl::string_view Ends::Response(size_t client, size_t bytes) const {
  return absl::string_view(noise_).substr(kNoiseBytes / 2 + 1'000 * client, bytes);
}

bool Ends::ClientIsFaulty(size_t index) const {
  const ClientPlan& plan = scenario_.clients[index];
  return plan.opening != Opening::kTls || plan.end.faulty();
}

void Ends::Play(const EndPlan& plan, std::unique_ptr<SimEnd>& end, std::vector<Timer>& timers) {
  if (plan.leaves != absl::InfiniteDuration()) {
    timers.push_back(loop_.RunAfter(plan.leaves, [&end] { end.reset(); }));
  }
  if (plan.pauses_at == absl::InfiniteDuration()) return;
  timers.push_back(loop_.RunAfter(plan.pauses_at, [&end] {
    if (end != nullptr) end->SetReading(false);
  }));
  timers.push_back(loop_.RunAfter(plan.pauses_at + kPause, [&end] {
    if (end != nullptr) end->SetReading(true);
  }));
}

void Ends::StartClient(size_t index, std::unique_ptr<Transport> raw,
                       std::unique_ptr<TlsEngine> engine) {
  const ClientPlan& plan = scenario_.clients[index];
  Client& client = clients_[index];
  client.end = std::make_unique<SimEnd>(loop_, std::move(raw), std::move(engine));
  if (plan.opening != Opening::kSilence) {
    client.end->Send(Request(index));
    client.end->Finish(plan.end.truncates ? StreamEnd::kTruncated : StreamEnd::kClean);
  }
  Play(plan.end, client.end, client.timers);
}

void Ends::StartBackend(size_t dial, const DialPlan& plan, std::unique_ptr<Transport> raw,
                        std::unique_ptr<TlsEngine> engine) {
  if (backends_.size() <= dial) backends_.resize(dial + 1);
  Backend& backend = backends_[dial];
  backend.plan = &plan;
  backend.end = std::make_unique<SimEnd>(loop_, std::move(raw), std::move(engine));
  Play(plan.end, backend.end, backend.timers);
}

std::string Ends::Step() {
  for (size_t dial = 0; dial < backends_.size(); ++dial) {
    if (std::string wrong = StepBackend(dial); !wrong.empty()) return wrong;
  }
  for (size_t index = 0; index < clients_.size(); ++index) {
    if (std::string wrong = StepClient(index); !wrong.empty()) return wrong;
  }
  return "";
}

std::string Ends::StepBackend(size_t dial) {
  Backend& backend = backends_[dial];
  if (backend.end == nullptr) return "";
  if (std::string wrong = ReadRequest(dial); !wrong.empty()) return wrong;
  const EndPlan& plan = backend.plan->end;
  const bool may_answer = !backend.plan->answers_at_end || backend.end->saw_end();
  if (backend.client.has_value() && may_answer && !std::exchange(backend.answered, true)) {
    backend.end->Send(Response(*backend.client, plan.bytes));
    backend.end->Finish(plan.truncates ? StreamEnd::kTruncated : StreamEnd::kClean);
  }
  backend.sent_all = backend.end->sent_all();
  return "";
}

std::string Ends::ReadRequest(size_t dial) {
  Backend& backend = backends_[dial];
  const absl::string_view got = backend.end->received();
  if (got.size() < kHeaderBytes) {
    return backend.end->saw_end() ? absl::StrCat("dial ", dial, " ended without a request") : "";
  }
  if (!backend.client.has_value()) {
    for (size_t i = 0; i < requests_.size(); ++i) {
      if (absl::StartsWith(got, Header(i))) backend.client = i;
    }
    if (!backend.client.has_value()) return absl::StrCat("dial ", dial, " got an unsent request");
    clients_[*backend.client].dial = dial;
  }
  const size_t index = *backend.client;
  const absl::string_view sent = Request(index);
  const size_t from = std::exchange(backend.checked, got.size());
  if (got.substr(from) != sent.substr(std::min(from, sent.size()), got.size() - from)) {
    return absl::StrCat("dial ", dial, " got bytes that client ", index, " never sent");
  }
  const bool complete = got.size() == sent.size() && clients_[index].sent_all &&
                        !scenario_.clients[index].end.truncates;
  if (backend.end->saw_end() && !complete) {
    return absl::StrCat("dial ", dial, " saw a clean end of a request that was cut");
  }
  return "";
}

std::string Ends::StepClient(size_t index) {
  Client& client = clients_[index];
  if (client.end == nullptr) return "";
  if (client.end->sent_all()) client.sent_all = true;
  const absl::string_view got = client.end->received();
  if (scenario_.clients[index].opening != Opening::kTls) return "";
  if (!client.dial.has_value()) {
    if (!got.empty()) return absl::StrCat("client ", index, " got an answer to no request");
    client.ended_unanswered |= client.end->saw_end();
    return "";
  }
  const Backend& backend = backends_[*client.dial];
  const absl::string_view sent = Response(index, backend.plan->end.bytes);
  const size_t from = std::exchange(client.checked, got.size());
  if (got.substr(from) != sent.substr(std::min(from, sent.size()), got.size() - from)) {
    return absl::StrCat("client ", index, " got bytes that its backend never sent");
  }
  const bool complete =
      got.size() == sent.size() && backend.sent_all && !backend.plan->end.truncates;
  if (!client.end->saw_end()) return "";
  client.got_all = complete;
  return complete || MayEndEarly(index)
             ? ""
             : absl::StrCat("client ", index, " saw a clean end of a cut answer");
}

bool Ends::MayEndEarly(size_t index) const {
  if (scenario_.clients[index].block != Block::kOffload) return false;
  return absl::c_any_of(scenario_.dials, [](const DialPlan& dial) {
    return dial.end.leaves != absl::InfiniteDuration();
  });
}

std::string Ends::CheckComplete() const {
  for (size_t i = 0; i < clients_.size(); ++i) {
    const Client& client = clients_[i];
    if (ClientIsFaulty(i) || !client.dial.has_value()) continue;
    if (backends_[*client.dial].plan->faulty() || client.got_all) continue;
    return absl::StrCat("client ", i, " never got the end of its answer");
  }
  return "";
}

void Ends::Clear() {
  clients_.clear();
  backends_.clear();
}

}  // namespace trestle::simulation
