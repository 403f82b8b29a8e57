#include "trestle/watch/health_checker.h"

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <tuple>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"

namespace trestle {
namespace {

// How soon changes of the lists below are taken over.
constexpr absl::Duration kBetweenLooks = absl::Seconds(1);

// The part of the interval by which chance changes it.
constexpr double kJitter = 0.1;

// The steps of a slow start, and the least time between two.
constexpr int kSlowStartSteps = 10;
constexpr absl::Duration kShortestStep = absl::Milliseconds(100);

std::string NameOf(const GroupedBackend& backend) {
  return backend.name == nullptr ? "" : backend.name->ToString();
}

}  // namespace

absl::string_view EnumName(HealthState state) {
  switch (state) {
    case HealthState::kUnchecked:
      return "unchecked";
    case HealthState::kUp:
      return "up";
    case HealthState::kSlowStart:
      return "slow_start";
    case HealthState::kDown:
      return "down";
    case HealthState::kDraining:
      return "draining";
  }
  return "unchecked";
}

std::ostream& operator<<(std::ostream& out, HealthState state) { return out << EnumName(state); }

std::string HealthChange::ToString() const {
  return absl::StrCat(now.endpoint.ToString(),
                      now.name.empty() ? "" : absl::StrCat(" of ", now.name),
                      now.server_name.empty() ? "" : absl::StrCat(" as ", now.server_name), " is ",
                      EnumName(now.state), " (was ", EnumName(before), "), by ", EnumName(now.kind),
                      now.error.has_value() ? absl::StrCat(": ", now.error->detail) : "");
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
  // A check, an address, and the name that led to it.
  using Key = std::tuple<const HealthCheck*, std::string, std::string>;

  std::mt19937_64 random;
  std::map<Key, std::weak_ptr<Item>> items;
  std::vector<std::unique_ptr<List>> lists;
  std::deque<std::weak_ptr<Item>> waiting;  // For one of the running checks to end.
  size_t running = 0;
  std::set<std::string> draining;  // Texts of endpoints.
  Timer next_look;
  Timer next_step;  // Of slow starts; null without any.
};

// One backend and its checks.
class HealthChecker::Item : public std::enable_shared_from_this<Item> {
 public:
  Item(HealthChecker& owner, std::shared_ptr<const HealthCheck> check, GroupedBackend backend)
      : owner_(owner), check_(std::move(check)), backend_(std::move(backend)) {
    since_ = owner_.scheduler_.MonotonicNow();
    draining_ = owner_.state_->draining.count(backend_.endpoint.ToString()) > 0;
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
    if (run_ != nullptr) EndRun();
  }

  // Not in the constructor: the call needs a shared pointer.
  void Begin() {
    if (check_->kind != HealthCheckKind::kNone) CheckAfter(absl::ZeroDuration());
  }

  void Run() {
    ++owner_.state_->running;
    began_ = owner_.scheduler_.MonotonicNow();
    run_ = std::make_unique<HealthCheckRun>(
        owner_.scheduler_, owner_.dialer_, check_, backend_, owner_.options_.timeout,
        [this](absl::Status status) { OnResult(std::move(status)); });
  }

  bool is_down() const { return status_.state == HealthState::kDown; }
  bool is_draining() const { return draining_; }

  /// Returns the share of its weight that the backend has now: 1, or less in a slow start.
  double share() const {
    if (status_.state != HealthState::kSlowStart) return 1;
    const absl::Duration up_for = owner_.scheduler_.MonotonicNow() - since_;
    return std::clamp(absl::FDivDuration(up_for, owner_.options_.slow_start), 1.0 / kSlowStartSteps,
                      1.0);
  }

  HealthStatus status() const {
    HealthStatus status = status_;
    status.state_age = owner_.scheduler_.MonotonicNow() - since_;
    if (draining_) status.state = HealthState::kDraining;
    return status;
  }

  void SetDraining(bool draining) {
    if (draining == draining_) return;
    const HealthState before = status().state;
    draining_ = draining;
    const bool was_up =
        status_.state == HealthState::kUp || status_.state == HealthState::kSlowStart;
    if (!draining && was_up) status_.state = StateOfUp();
    since_ = owner_.scheduler_.MonotonicNow();
    Tell(before);
  }

  /// Ends the slow start if its time is over. Returns whether it goes on.
  bool GoOnSlowly() {
    if (status_.state != HealthState::kSlowStart) return false;
    if (owner_.scheduler_.MonotonicNow() - since_ < owner_.options_.slow_start) return true;
    status_.state = HealthState::kUp;
    Tell(HealthState::kSlowStart);
    return false;
  }

 private:
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
    status_.took = owner_.scheduler_.MonotonicNow() - began_;
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
    const HealthState before = status_.state;
    const bool first = before == HealthState::kUnchecked;
    const uint32_t needed = first ? 1 : good ? owner_.options_.rise : owner_.options_.fall;
    if (good == (before != HealthState::kDown) && !first) return;
    if (in_a_row_ < needed) return;
    const HealthState shown = status().state;
    status_.state = !good ? HealthState::kDown : first ? HealthState::kUp : StateOfUp();
    since_ = owner_.scheduler_.MonotonicNow();
    if (!first) ++status_.changes;
    Tell(shown);
  }

  HealthState StateOfUp() const {
    return owner_.options_.slow_start > absl::ZeroDuration() ? HealthState::kSlowStart
                                                             : HealthState::kUp;
  }

  void Tell(HealthState before) {
    owner_.OnStateChanged(*this);
    const HealthStatus now = status();
    if (now.state == before || owner_.observer_ == nullptr) return;
    owner_.observer_->OnHealthChanged({now, before});
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
  HealthStatus status_;
  MonotonicTime since_;  // Of the state.
  MonotonicTime began_;  // Of the check.
  bool draining_ = false;
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
  auto now = std::make_shared<const BackendGroup::List>(BackendsNow(backends));
  for (const std::unique_ptr<List>& list : state_->lists) {
    const bool same = list->check == check && list->source == backends.group &&
                      (list->source != nullptr || *list->backends == *now);
    std::shared_ptr<BackendGroup> group = same ? list->group.lock() : nullptr;
    if (group == nullptr) continue;
    backends.group = std::move(group);
    return absl::OkStatus();
  }
  if (state_->items.size() + std::max<size_t>(now->size(), 1) > options_.max_backends) {
    return ConfigurationError(
        absl::StrCat("there are more than ", options_.max_backends, " backends to check"));
  }
  const std::string description =
      backends.group != nullptr ? backends.group->description() : backends.ToString();
  auto used = std::make_shared<BackendGroup>(description);
  auto list = std::make_unique<List>();
  list->check = std::move(check);
  list->source = backends.group;
  list->backends = std::move(now);
  list->group = used;
  TakeOver(*list);
  state_->lists.push_back(std::move(list));
  backends.group = std::move(used);
  if (state_->next_look == nullptr) Tick();
  return absl::OkStatus();
}

// Finds or makes the items of a list whose backends are new.
void HealthChecker::TakeOver(List& list) {
  std::vector<std::shared_ptr<Item>> items;
  for (const GroupedBackend& backend : *list.backends) {
    std::weak_ptr<Item>& known =
        state_->items[State::Key(list.check.get(), backend.endpoint.ToString(), NameOf(backend))];
    std::shared_ptr<Item> item = known.lock();
    if (item == nullptr) {
      item = std::make_shared<Item>(*this, list.check, backend);
      known = item;
      item->Begin();
    }
    items.push_back(std::move(item));
  }
  list.items = std::move(items);
  Publish(list);
}

void HealthChecker::Publish(const List& list) {
  const std::shared_ptr<BackendGroup> group = list.group.lock();
  if (group == nullptr) return;
  auto usable = std::make_shared<BackendGroup::List>();
  auto down = std::make_shared<BackendGroup::List>();
  for (size_t i = 0; i < list.items.size(); ++i) {
    const Item& item = *list.items[i];
    if (item.is_draining()) continue;
    GroupedBackend& backend = (item.is_down() ? *down : *usable).emplace_back((*list.backends)[i]);
    const double weight = static_cast<double>(backend.weight) * item.share();
    backend.weight = std::max<uint32_t>(1, static_cast<uint32_t>(weight));
  }
  if (usable->empty() && options_.all_down == AllDown::kTryAll) usable = std::move(down);
  group->Replace(std::move(usable));
}

void HealthChecker::OnStateChanged(const Item& item) {
  for (const std::unique_ptr<List>& list : state_->lists) {
    const auto is_it = [&](const std::shared_ptr<Item>& other) { return other.get() == &item; };
    if (absl::c_any_of(list->items, is_it)) Publish(*list);
  }
  if (item.share() < 1 && state_->next_step == nullptr) PublishSlowStarts();
}

// The shares grow by steps, while there are slow starts.
void HealthChecker::PublishSlowStarts() {
  const absl::Duration step = std::max(options_.slow_start / kSlowStartSteps, kShortestStep);
  state_->next_step = scheduler_.RunAfter(step, [this] {
    bool some = false;
    std::vector<std::shared_ptr<Item>> items;
    for (const auto& [key, item] : state_->items) {
      if (std::shared_ptr<Item> used = item.lock()) items.push_back(std::move(used));
    }
    for (const std::shared_ptr<Item>& item : items) some = item->GoOnSlowly() || some;
    for (const std::unique_ptr<List>& list : state_->lists) {
      const auto is_slow = [](const std::shared_ptr<Item>& item) { return item->share() < 1; };
      if (absl::c_any_of(list->items, is_slow)) Publish(*list);
    }
    some ? PublishSlowStarts() : state_->next_step.reset();
  });
}

void HealthChecker::SetDraining(std::vector<Endpoint> endpoints) {
  state_->draining.clear();
  for (const Endpoint& endpoint : endpoints) state_->draining.insert(endpoint.ToString());
  for (const auto& [key, item] : state_->items) {
    const std::shared_ptr<Item> used = item.lock();
    if (used != nullptr) used->SetDraining(state_->draining.count(std::get<1>(key)) > 0);
  }
}

void HealthChecker::Refresh() {
  auto& lists = state_->lists;
  const auto unused = [](const std::unique_ptr<List>& list) { return list->group.expired(); };
  lists.erase(std::remove_if(lists.begin(), lists.end(), unused), lists.end());
  for (const std::unique_ptr<List>& list : lists) {
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

BackendGroup::List HealthChecker::AllOf(const Backends& backends) const {
  for (const std::unique_ptr<List>& list : state_->lists) {
    if (backends.group != nullptr && list->group.lock() == backends.group) return *list->backends;
  }
  return BackendsNow(backends);
}

void HealthChecker::Tick() {
  state_->next_look = scheduler_.RunAfter(kBetweenLooks, [this] {
    Refresh();
    state_->lists.empty() ? state_->next_look.reset() : Tick();
  });
}

double HealthChecker::Chance() {
  return std::uniform_real_distribution<double>(0, 1)(state_->random);
}

std::vector<HealthStatus> HealthChecker::backends() const {
  std::vector<HealthStatus> backends;
  for (const auto& [key, item] : state_->items) {
    if (const std::shared_ptr<Item> used = item.lock()) backends.push_back(used->status());
  }
  const auto key = [](const HealthStatus& status) {
    return std::make_tuple(status.endpoint.ToString(), status.name, status.server_name);
  };
  absl::c_sort(backends, [&](const auto& a, const auto& b) { return key(a) < key(b); });
  return backends;
}

}  // namespace trestle
