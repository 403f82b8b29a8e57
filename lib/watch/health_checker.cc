#include "trestle/watch/health_checker.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"

namespace trestle {
namespace {

// How soon changes of the lists below are taken over.
constexpr absl::Duration kBetweenLooks = absl::Seconds(1);

// The part of the interval by which chance changes it.
constexpr double kJitter = 0.1;

std::string NameOf(const GroupedBackend& backend) {
  return backend.name == nullptr ? "" : backend.name->ToString();
}

}  // namespace

std::string HealthStatus::Reason() const {
  const auto because = [](absl::string_view what, const std::optional<Error>& error) {
    return absl::StrCat(what, error.has_value() ? absl::StrCat(": ", error->detail) : "");
  };
  if (state.condition == BackendCondition::kDraining) return state.drained_by;
  if (state.condition == BackendCondition::kEjected) return because("connections", state.failure);
  return because(EnumName(kind), error);
}

std::string HealthChange::ToString() const {
  const bool back =
      before == BackendCondition::kEjected && now.state.condition < BackendCondition::kEjected;
  return absl::StrCat(now.endpoint.ToString(),
                      now.name.empty() ? "" : absl::StrCat(" of ", now.name),
                      now.server_name.empty() ? "" : absl::StrCat(" as ", now.server_name), " is ",
                      EnumName(now.state.condition), " (was ", EnumName(before), "), by ",
                      back ? "connections" : now.Reason());
}

// A list of backends that blocks use, and where it comes from.
struct HealthChecker::List {
  std::shared_ptr<const HealthCheck> check;
  std::shared_ptr<const BackendGroup> source;  // Null: `backends` never changes.
  std::shared_ptr<const BackendGroup::List> backends;
  std::vector<std::shared_ptr<Item>> items;  // One for each of `backends`.
  std::weak_ptr<BackendGroup> group;         // Its users own it.
};

struct HealthChecker::State {
  // An address, the name that led to it, and a check.
  using Key = std::tuple<std::string, std::string, const HealthCheck*>;
  // A check, an earlier group or null, and without one the addresses.
  using ListKey = std::tuple<const HealthCheck*, const BackendGroup*, std::string>;

  std::vector<std::shared_ptr<Item>> UsedItems() const {
    std::vector<std::shared_ptr<Item>> used;
    for (const auto& [key, known] : items) {
      if (std::shared_ptr<Item> item = known.lock()) used.push_back(std::move(item));
    }
    return used;
  }

  std::mt19937_64 random;
  std::map<Key, std::weak_ptr<Item>> items;
  size_t checked = 0;  // Items with a check.
  std::map<ListKey, std::unique_ptr<List>> lists;
  std::deque<std::weak_ptr<Item>> waiting;  // For one of the running checks to end.
  size_t running = 0;
  std::map<std::string, std::set<std::string>> draining;  // Texts of endpoints, by what drains.
  // Changes by connections, which come from any thread.
  std::shared_ptr<std::atomic<uint64_t>> changes = std::make_shared<std::atomic<uint64_t>>(0);
  uint64_t told_changes = 0;
  bool some_start_slowly = false;
  Timer next_look;
};

// One backend and its checks.
class HealthChecker::Item : public std::enable_shared_from_this<Item> {
 public:
  Item(HealthChecker& owner, std::shared_ptr<const HealthCheck> check, GroupedBackend backend)
      : owner_(owner),
        check_(std::move(check)),
        backend_(std::move(backend)),
        state_(std::make_shared<BackendState>(owner.options_.slow_start, owner.state_->changes)) {
    since_ = now();
    if (is_checked()) ++owner_.state_->checked;
    status_.endpoint = backend_.endpoint;
    status_.name = NameOf(backend_);
    status_.kind = check_->kind;
    const bool speaks_tls =
        check_->kind == HealthCheckKind::kTls || check_->kind == HealthCheckKind::kHttp;
    if (check_->tls && speaks_tls) {
      status_.server_name = !check_->verify_name.empty()   ? check_->verify_name
                            : !check_->server_name.empty() ? check_->server_name
                            : backend_.name != nullptr     ? backend_.name->certificate_name()
                                                           : "";
    }
  }

  ~Item() {
    if (is_checked()) --owner_.state_->checked;
    if (run_ != nullptr) EndRun();
  }

  // Not in the constructor: the call needs a shared pointer.
  void Begin() {
    if (is_checked()) CheckAfter(absl::ZeroDuration());
  }

  void Run() {
    ++owner_.state_->running;
    began_ = now();
    run_ = std::make_unique<HealthCheckRun>(
        owner_.scheduler_, owner_.dialer_, check_, backend_, owner_.options_.timeout,
        [this](absl::Status status) { OnResult(std::move(status)); });
  }

  const std::shared_ptr<BackendState>& state() const { return state_; }

  HealthStatus status() const {
    HealthStatus status = status_;
    status.state = state_->StatusAt(now());
    status.state_age = now() - since_;
    return status;
  }

  void SetDraining(std::string by) {
    state_->SetDraining(std::move(by), now());
    Tell();
  }

  /// Reports the condition if it has changed.
  void Tell() {
    HealthStatus status = this->status();
    const BackendCondition condition = status.state.condition;
    if (condition == BackendCondition::kSlowStart) owner_.state_->some_start_slowly = true;
    if (condition == told_) return;
    since_ = now();
    status.state_age = absl::ZeroDuration();
    const BackendCondition before = std::exchange(told_, condition);
    if (owner_.observer_ != nullptr) owner_.observer_->OnHealthChanged({status, before});
  }

 private:
  MonotonicTime now() const { return owner_.scheduler_.MonotonicNow(); }
  bool is_checked() const { return check_->kind != HealthCheckKind::kNone; }

  void CheckAfter(absl::Duration delay) {
    next_ = owner_.scheduler_.RunAfter(delay, [this] {
      if (owner_.state_->running < owner_.options_.max_concurrent) return Run();
      owner_.state_->waiting.push_back(weak_from_this());
    });
  }

  void OnResult(absl::Status status) {
    // Lists may give up the item in what follows.
    const std::shared_ptr<Item> self = shared_from_this();
    EndRun();
    ++status_.checks;
    status_.took = now() - began_;
    status_.error = ToError(status);
    const bool good = status.ok();
    if (!good) ++status_.failures;
    in_a_row_ = good == last_good_ ? in_a_row_ + 1 : 1;
    last_good_ = good;
    const double chance = 1 - kJitter + 2 * kJitter * owner_.Chance();
    CheckAfter(owner_.options_.interval * chance);
    Judge(good);
  }

  void Judge(bool good) {
    const bool first = !judged_up_.has_value();
    const uint32_t needed = first ? 1 : good ? owner_.options_.rise : owner_.options_.fall;
    if (judged_up_ == good || in_a_row_ < needed) return;
    judged_up_ = good;
    if (!first) ++status_.changes;
    state_->SetChecked(good, now());
    Tell();
  }

  // The next one that waits begins from the loop.
  void EndRun() {
    State& state = *owner_.state_;
    --state.running;
    run_.reset();
    while (!state.waiting.empty()) {
      const std::shared_ptr<Item> next = state.waiting.front().lock();
      state.waiting.pop_front();
      if (next == nullptr) continue;
      return next->CheckAfter(absl::ZeroDuration());
    }
  }

  HealthChecker& owner_;
  const std::shared_ptr<const HealthCheck> check_;
  const GroupedBackend backend_;
  const std::shared_ptr<BackendState> state_;
  HealthStatus status_;  // Without the state.
  BackendCondition told_ = BackendCondition::kUnchecked;
  MonotonicTime since_;            // Of `told_`.
  MonotonicTime began_;            // Of the check.
  std::optional<bool> judged_up_;  // By checks.
  bool last_good_ = false;
  uint32_t in_a_row_ = 0;
  std::unique_ptr<HealthCheckRun> run_;  // Null between checks.
  Timer next_;
};

HealthChecker::HealthChecker(Scheduler& scheduler, Dialer& dialer, HealthCheckerOptions options,
                             HealthObserver* observer)
    : scheduler_(scheduler),
      dialer_(dialer),
      options_(options),
      observer_(observer),
      state_(std::make_unique<State>()) {
  state_->random.seed(options_.seed);
}

HealthChecker::~HealthChecker() {
  state_->waiting.clear();
  state_->lists.clear();
}

absl::Status HealthChecker::Check(const Backends& backends, const HealthCheck* check) const {
  const auto is_limit = [](absl::Duration time) {
    return time > absl::ZeroDuration() && time < absl::InfiniteDuration();
  };
  if (options_.slow_start < absl::ZeroDuration() ||
      options_.slow_start == absl::InfiniteDuration()) {
    return ConfigurationError("the slow start of backends is neither negative nor infinite");
  }
  if (!is_limit(options_.interval) || !is_limit(options_.timeout)) {
    return ConfigurationError("interval and timeout of health checks are above 0 and finite");
  }
  if (options_.fall == 0 || options_.rise == 0 || options_.max_concurrent == 0) {
    return ConfigurationError("fall, rise and max_concurrent of health checks are at least 1");
  }
  if (check == nullptr) return ConfigurationError("there is no health check");
  if (absl::Status checked = CheckBackends(backends); !checked.ok()) return checked;
  return CheckHealthCheck(*check);
}

absl::Status HealthChecker::Watch(Backends& backends, std::shared_ptr<const HealthCheck> check) {
  if (absl::Status checked = Check(backends, check.get()); !checked.ok()) return checked;
  const State::ListKey key(check.get(), backends.group.get(),
                           backends.group == nullptr ? backends.ToString() : "");
  if (const auto same = state_->lists.find(key); same != state_->lists.end()) {
    if (std::shared_ptr<BackendGroup> group = same->second->group.lock()) {
      backends.group = std::move(group);
      return absl::OkStatus();
    }
  }
  auto now = std::make_shared<const BackendGroup::List>(BackendsNow(backends));
  if (check->kind != HealthCheckKind::kNone &&
      state_->checked + std::max<size_t>(now->size(), 1) > options_.max_backends) {
    return ConfigurationError(
        absl::StrCat("there are more than ", options_.max_backends, " backends to check"));
  }
  auto used = std::make_shared<BackendGroup>(
      backends.group != nullptr ? backends.group->description() : backends.ToString());
  auto list = std::make_unique<List>();
  list->check = std::move(check);
  list->source = backends.group;
  list->backends = std::move(now);
  list->group = used;
  TakeOver(*list);
  state_->lists[key] = std::move(list);
  backends.group = std::move(used);
  if (state_->next_look == nullptr) Tick();
  return absl::OkStatus();
}

// Finds or makes the items of a list whose backends are new, and publishes it.
void HealthChecker::TakeOver(List& list) {
  const std::shared_ptr<BackendGroup> group = list.group.lock();
  if (group == nullptr) return;
  std::vector<std::shared_ptr<Item>> items;
  auto published = std::make_shared<BackendGroup::List>();
  for (const GroupedBackend& backend : *list.backends) {
    const std::string endpoint = backend.endpoint.ToString();
    std::weak_ptr<Item>& known =
        state_->items[State::Key(endpoint, NameOf(backend), list.check.get())];
    std::shared_ptr<Item> item = known.lock();
    if (item == nullptr) {
      item = std::make_shared<Item>(*this, list.check, backend);
      known = item;
      if (std::string by = DrainedBy(endpoint); !by.empty()) item->SetDraining(std::move(by));
      item->Begin();
    }
    published->push_back(backend);
    published->back().state = item->state();
    items.push_back(std::move(item));
  }
  list.items = std::move(items);
  group->Replace(std::move(published));
}

// Returns what drains the backend, joined; empty for nothing.
std::string HealthChecker::DrainedBy(const std::string& endpoint) const {
  std::vector<absl::string_view> by;
  for (const auto& [what, endpoints] : state_->draining) {
    if (endpoints.count(endpoint) > 0) by.push_back(what);
  }
  return absl::StrJoin(by, ", ");
}

void HealthChecker::SetDraining(const std::string& by, const std::vector<Endpoint>& endpoints) {
  std::set<std::string>& draining = state_->draining[by];
  draining.clear();
  for (const Endpoint& endpoint : endpoints) draining.insert(endpoint.ToString());
  for (const std::shared_ptr<Item>& item : state_->UsedItems()) {
    item->SetDraining(DrainedBy(item->status().endpoint.ToString()));
  }
}

void HealthChecker::Refresh() {
  auto& lists = state_->lists;
  for (auto it = lists.begin(); it != lists.end();) {
    it = it->second->group.expired() ? lists.erase(it) : std::next(it);
  }
  for (const auto& [key, list] : lists) {
    if (list->source == nullptr) continue;
    std::shared_ptr<const BackendGroup::List> now = list->source->current();
    if (now == list->backends) continue;
    list->backends = std::move(now);
    TakeOver(*list);
  }
  for (auto it = state_->items.begin(); it != state_->items.end();) {
    it = it->second.expired() ? state_->items.erase(it) : std::next(it);
  }
}

// Reports changes that connections have made, and the ends of slow starts.
void HealthChecker::TellChanges() {
  const uint64_t changes = *state_->changes;
  if (changes == state_->told_changes && !state_->some_start_slowly) return;
  state_->told_changes = changes;
  state_->some_start_slowly = false;
  for (const std::shared_ptr<Item>& item : state_->UsedItems()) item->Tell();
}

void HealthChecker::Tick() {
  state_->next_look = scheduler_.RunAfter(kBetweenLooks, [this] {
    Refresh();
    TellChanges();
    state_->lists.empty() ? state_->next_look.reset() : Tick();
  });
}

double HealthChecker::Chance() {
  return std::uniform_real_distribution<double>(0, 1)(state_->random);
}

std::vector<HealthStatus> HealthChecker::Find(const Endpoint& endpoint) const {
  std::vector<HealthStatus> found;
  const std::string text = endpoint.ToString();
  for (auto it = state_->items.lower_bound(State::Key(text, "", nullptr));
       it != state_->items.end() && std::get<0>(it->first) == text; ++it) {
    if (const std::shared_ptr<Item> item = it->second.lock()) found.push_back(item->status());
  }
  return found;
}

size_t HealthChecker::size() const { return state_->items.size(); }

std::vector<HealthStatus> HealthChecker::backends(size_t most) const {
  std::vector<HealthStatus> backends;
  for (const auto& [key, known] : state_->items) {
    if (backends.size() == most) break;
    if (const std::shared_ptr<Item> item = known.lock()) backends.push_back(item->status());
  }
  return backends;
}

}  // namespace trestle
