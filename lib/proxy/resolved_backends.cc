#include "trestle/proxy/resolved_backends.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace trestle {
namespace {

// The part of an answer's time after which the next look-up begins.
constexpr double kEarliest = 0.80;
constexpr double kLatest = 0.95;

// A random number from 0 to 1 (splitmix64): the time and the name differ among processes.
double Jitter(absl::string_view name, MonotonicTime now) {
  uint64_t x = static_cast<uint64_t>(absl::ToInt64Nanoseconds(now.since_start()));
  for (const char byte : name) x = (x ^ static_cast<uint8_t>(byte)) * 0x100000001b3;
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return static_cast<double>((x ^ (x >> 31)) >> 11) / static_cast<double>(uint64_t{1} << 53);
}

using Addresses = std::vector<ResolvedAddress>;

void SortUnique(Addresses& addresses) {
  const auto key = [](const ResolvedAddress& address) {
    return std::make_pair(address.endpoint.ToString(), address.priority);
  };
  // Of two records for one address, the one with the better priority counts.
  absl::c_stable_sort(addresses, [&](const auto& a, const auto& b) { return key(a) < key(b); });
  const auto same = [](const auto& a, const auto& b) { return a.endpoint == b.endpoint; };
  addresses.erase(std::unique(addresses.begin(), addresses.end(), same), addresses.end());
}

bool Has(const Addresses& addresses, const Endpoint& endpoint) {
  return absl::c_any_of(addresses, [&](const auto& item) { return item.endpoint == endpoint; });
}

// Returns the endpoints of `a` that `b` lacks.
std::vector<Endpoint> Missing(const Addresses& a, const Addresses& b) {
  std::vector<Endpoint> missing;
  for (const ResolvedAddress& item : a) {
    if (!Has(b, item.endpoint)) missing.push_back(item.endpoint);
  }
  return missing;
}

std::string Joined(const std::vector<Endpoint>& endpoints) {
  return absl::StrJoin(endpoints, " ", [](std::string* out, const Endpoint& endpoint) {
    out->append(endpoint.ToString());
  });
}

}  // namespace

absl::string_view EnumName(NameCondition condition) {
  switch (condition) {
    case NameCondition::kAsked:
      return "asked";
    case NameCondition::kCurrent:
      return "current";
    case NameCondition::kKept:
      return "kept";
    case NameCondition::kDenied:
      return "denied";
    case NameCondition::kLost:
      return "lost";
  }
  return "lost";
}

std::ostream& operator<<(std::ostream& out, NameCondition condition) {
  return out << EnumName(condition);
}

std::string NameChange::ToString() const {
  std::string line = absl::StrCat(now.target.ToString(), ": ", EnumName(now.condition));
  if (before != now.condition) absl::StrAppend(&line, " (was ", EnumName(before), ")");
  if (!added.empty()) absl::StrAppend(&line, ", new: ", Joined(added));
  if (!removed.empty()) absl::StrAppend(&line, ", gone: ", Joined(removed));
  const size_t count = now.endpoints.size();
  absl::StrAppend(&line, ", ", count, count == 1 ? " address" : " addresses");
  if (now.error.has_value()) absl::StrAppend(&line, "; ", now.error->detail);
  return line;
}

// The names and addresses of one list of backends.
struct ResolvedBackends::Group {
  std::weak_ptr<BackendGroup> group;  // Its users own it.
  std::vector<Endpoint> endpoints;
  std::vector<Name*> names;

  void Publish() const;
};

struct ResolvedBackends::State {
  std::map<std::string, std::unique_ptr<Name>> names;  // By their text.
  absl::flat_hash_map<std::string, std::shared_ptr<Group>> groups;
  absl::AnyInvocable<void()> when_answered;
  Timer call;
  bool telling = false;  // A name's observer is being called.
};

// One name: a look-up at a time, and the timer of the next one.
class ResolvedBackends::Name {
 public:
  Name(ResolvedBackends& owner, const NamedTarget& target)
      : owner_(owner), target_(std::make_shared<const NamedTarget>(target)) {
    status_.target = target;
    Ask();
  }

  void AddUser(std::shared_ptr<Group> group) { users_.push_back(std::move(group)); }

  bool answered() const { return status_.condition != NameCondition::kAsked; }

  bool is_used() const {
    return absl::c_any_of(users_, [](const auto& user) { return !user->group.expired(); });
  }

  NameStatus status() const {
    NameStatus status = status_;
    if (answered_at_.has_value()) status.answer_age = now() - *answered_at_;
    return status;
  }

  void AddTo(BackendGroup::List& list) const {
    for (const ResolvedAddress& address : addresses_) {
      list.push_back({address.endpoint, target_, address.priority, address.weight});
    }
  }

 private:
  MonotonicTime now() const { return owner_.scheduler_.MonotonicNow(); }
  const ResolvedBackendsOptions& options() const { return owner_.options_; }

  void DropUnused() {
    const auto unused = [](const std::shared_ptr<Group>& user) { return user->group.expired(); };
    users_.erase(std::remove_if(users_.begin(), users_.end(), unused), users_.end());
  }

  void Ask() {
    ++status_.lookups;
    limit_ = owner_.scheduler_.RunAfter(options().lookup_timeout, [this] {
      lookup_.reset();
      OnAnswer(MakeError(ErrorCode::kTimeout, Leg::kBack, Phase::kDial,
                         absl::StrCat("no answer of DNS within ",
                                      absl::FormatDuration(options().lookup_timeout))));
    });
    lookup_ = owner_.resolver_.Resolve(
        *target_, [this](absl::StatusOr<ResolvedName> answer) { OnAnswer(std::move(answer)); });
  }

  void AskAfter(absl::Duration delay) {
    limit_.reset();
    lookup_.reset();
    next_ = owner_.scheduler_.RunAfter(delay, [this] {
      DropUnused();
      if (is_used()) return Ask();
      owner_.Forget(*target_);  // Destroys this.
    });
  }

  void OnAnswer(absl::StatusOr<ResolvedName> answer) {
    const NameCondition before = status_.condition;
    Addresses addresses;
    if (!answer.ok()) {
      ++status_.failures;
      status_.error = ToError(answer.status());
      addresses = AfterFailure();
    } else if (answer->addresses.empty() &&
               answer->coverage == ResolvedName::Coverage::kMoreToCome) {
      return;
    } else if (answer->addresses.empty()) {
      addresses = AfterDenial(*answer);
    } else {
      addresses = AfterAnswer(*answer);
    }
    Use(std::move(addresses), before);
  }

  Addresses AfterAnswer(ResolvedName& answer) {
    failures_in_a_row_ = denials_in_a_row_ = 0;
    status_.error.reset();
    answered_at_ = now();
    const absl::Duration ttl =
        std::clamp(answer.ttl, options().shortest_ttl, options().longest_ttl);
    keep_until_ = now() + ttl + options().keep_after_failure;
    if (answer.coverage == ResolvedName::Coverage::kAll) keep_parts_until_ = keep_until_;
    const size_t all = answer.addresses.size();
    Addresses addresses = Usable(std::move(answer.addresses));
    status_.condition = addresses.empty() ? NameCondition::kDenied : NameCondition::kCurrent;
    if (addresses.empty()) {
      status_.error =
          *ToError(MakeError(ErrorCode::kNoBackend, Leg::kBack, Phase::kDial,
                             absl::StrCat("DNS has ", all, all == 1 ? " address" : " addresses",
                                          ", but none may be used: 0.0.0.0, [::], port 0 and this "
                                          "proxy's own address are left out")));
    }
    KeepOthers(answer.coverage, addresses);
    if (answer.coverage == ResolvedName::Coverage::kMoreToCome) return addresses;
    const bool is_part = answer.coverage == ResolvedName::Coverage::kPart;
    AskAfter(Jittered(is_part ? std::min(ttl, options().longest_retry) : ttl));
    return addresses;
  }

  // Adds what the rest of an answer may still have, in place of the family that failed.
  void KeepOthers(ResolvedName::Coverage coverage, Addresses& addresses) const {
    if (coverage == ResolvedName::Coverage::kAll || now() >= keep_parts_until_) return;
    const bool all = coverage == ResolvedName::Coverage::kMoreToCome || target_->is_service();
    const Addresses fresh = addresses;
    for (const ResolvedAddress& old : addresses_) {
      const bool answered = absl::c_any_of(fresh, [&](const ResolvedAddress& address) {
        return address.endpoint.family() == old.endpoint.family();
      });
      const bool room = addresses.size() < options().max_addresses;
      if ((all || !answered) && room && !Has(fresh, old.endpoint)) addresses.push_back(old);
    }
    SortUnique(addresses);
  }

  // One denial may be a mistake of an operator, or the moment between two versions of a zone.
  Addresses AfterDenial(const ResolvedName& answer) {
    failures_in_a_row_ = 0;
    status_.error = *ToError(MakeError(ErrorCode::kNoBackend, Leg::kBack, Phase::kDial,
                                       "DNS says that the name has no address"));
    const bool believed = ++denials_in_a_row_ > 1 || addresses_.empty();
    status_.condition = believed ? NameCondition::kDenied : NameCondition::kKept;
    AskAfter(Jittered(believed
                          ? std::clamp(answer.ttl, options().shortest_ttl,
                                       std::max(options().longest_denial, options().shortest_ttl))
                          : options().first_retry));
    return believed ? Addresses() : addresses_;
  }

  Addresses AfterFailure() {
    const int doublings = std::min(failures_in_a_row_++, 16);
    const absl::Duration retry =
        std::min(options().first_retry * (1 << doublings), options().longest_retry);
    const absl::Duration left = addresses_.empty() ? absl::ZeroDuration() : keep_until_ - now();
    const bool kept = left > absl::ZeroDuration();
    status_.condition = kept ? NameCondition::kKept : NameCondition::kLost;
    AskAfter(kept ? std::min(Jittered(retry), left) : Jittered(retry));
    return kept ? addresses_ : Addresses();
  }

  absl::Duration Jittered(absl::Duration time) const {
    return time * (kEarliest + (kLatest - kEarliest) * Jitter(target_->name, now()));
  }

  Addresses Usable(Addresses addresses) {
    SortUnique(addresses);
    const size_t all = addresses.size();
    const auto unusable = [this](const ResolvedAddress& address) {
      const bool can_dial = address.endpoint.is_ip() && address.endpoint.CheckDialable().ok();
      return !can_dial || (owner_.options_.may_use && !owner_.options_.may_use(address.endpoint));
    };
    addresses.erase(std::remove_if(addresses.begin(), addresses.end(), unusable), addresses.end());
    if (addresses.size() > options().max_addresses) addresses.resize(options().max_addresses);
    status_.refused += all - addresses.size();
    return addresses;
  }

  void Use(Addresses addresses, NameCondition before) {
    const std::vector<Endpoint> added = Missing(addresses, addresses_);
    const std::vector<Endpoint> removed = Missing(addresses_, addresses);
    const bool differs = addresses != addresses_;
    if (differs) {
      addresses_ = std::move(addresses);
      status_.endpoints.clear();
      for (const ResolvedAddress& address : addresses_) {
        status_.endpoints.push_back(address.endpoint);
      }
      if (before != NameCondition::kAsked) ++status_.changes;
      for (const std::shared_ptr<Group>& user : users_) user->Publish();
    }
    if (owner_.observer_ != nullptr && (differs || before != status_.condition)) {
      const NameStatus now = status();
      owner_.state_->telling = true;
      owner_.observer_->OnNameChanged({now, before, added, removed});
      owner_.state_->telling = false;
    }
    owner_.CheckAnswered();
  }

  ResolvedBackends& owner_;
  const std::shared_ptr<const NamedTarget> target_;
  NameStatus status_;
  Addresses addresses_;  // Sorted, without duplicates.
  std::optional<MonotonicTime> answered_at_;
  MonotonicTime keep_until_;
  MonotonicTime keep_parts_until_;  // By the last answer that covered all.
  int failures_in_a_row_ = 0;
  int denials_in_a_row_ = 0;
  std::vector<std::shared_ptr<Group>> users_;
  std::unique_ptr<Lookup> lookup_;
  Timer limit_;
  Timer next_;
};

void ResolvedBackends::Group::Publish() const {
  const std::shared_ptr<BackendGroup> used = group.lock();
  if (used == nullptr) return;
  auto list = std::make_shared<BackendGroup::List>();
  for (const Endpoint& endpoint : endpoints) list->push_back({endpoint, nullptr});
  for (const Name* name : names) name->AddTo(*list);
  used->Replace(std::move(list));
}

ResolvedBackends::ResolvedBackends(Scheduler& scheduler, Resolver& resolver,
                                   ResolvedBackendsOptions options, NameObserver* observer)
    : scheduler_(scheduler),
      resolver_(resolver),
      options_(std::move(options)),
      observer_(observer),
      state_(std::make_unique<State>()) {}

ResolvedBackends::~ResolvedBackends() = default;

absl::Status ResolvedBackends::Follow(Backends& backends) {
  if (backends.names.empty()) return absl::OkStatus();
  const std::string text = backends.ToString();
  auto& groups = state_->groups;
  if (const auto known = groups.find(text); known != groups.end()) {
    backends.group = known->second->group.lock();
    if (backends.group != nullptr) return absl::OkStatus();
  }
  ForgetUnused(backends.names);
  size_t names = state_->names.size();
  for (const NamedTarget& target : backends.names) {
    names += state_->names.count(target.ToString()) == 0 ? 1 : 0;
  }
  if (names > options_.max_names) {
    return ConfigurationError(
        absl::StrCat("there are more than ", options_.max_names, " names of backends"));
  }
  auto used = std::make_shared<BackendGroup>(text);
  auto group = std::make_shared<Group>();
  group->group = used;
  group->endpoints = backends.endpoints;
  for (const NamedTarget& target : backends.names) {
    Name& name = NameFor(target);
    if (absl::c_linear_search(group->names, &name)) continue;
    group->names.push_back(&name);
    name.AddUser(group);
  }
  group->Publish();
  groups[text] = std::move(group);
  backends.group = std::move(used);
  return absl::OkStatus();
}

ResolvedBackends::Name& ResolvedBackends::NameFor(const NamedTarget& target) {
  std::unique_ptr<Name>& name = state_->names[target.ToString()];
  if (name == nullptr) name = std::make_unique<Name>(*this, target);
  return *name;
}

// Names that were dropped don't count. In an observer's call, the name that calls it may be one.
void ResolvedBackends::ForgetUnused(const std::vector<NamedTarget>& wanted) {
  absl::erase_if(state_->groups, [](const auto& entry) { return entry.second->group.expired(); });
  if (state_->telling) return;
  for (auto it = state_->names.begin(); it != state_->names.end();) {
    const auto is_it = [&](const NamedTarget& target) { return target.ToString() == it->first; };
    const bool stays = it->second->is_used() || absl::c_any_of(wanted, is_it);
    it = stays ? std::next(it) : state_->names.erase(it);
  }
}

void ResolvedBackends::Forget(const NamedTarget& target) {
  absl::erase_if(state_->groups, [](const auto& entry) { return entry.second->group.expired(); });
  state_->names.erase(target.ToString());
}

void ResolvedBackends::WhenAnswered(absl::AnyInvocable<void()> done) {
  state_->when_answered = std::move(done);
  CheckAnswered();
}

void ResolvedBackends::CheckAnswered() {
  if (!state_->when_answered) return;
  const auto waits = [](const auto& entry) { return !entry.second->answered(); };
  if (absl::c_any_of(state_->names, waits)) return;
  state_->call = scheduler_.RunAfter(
      absl::ZeroDuration(),
      [done = std::exchange(state_->when_answered, nullptr)]() mutable { done(); });
}

std::vector<NameStatus> ResolvedBackends::names() const {
  std::vector<NameStatus> names;
  for (const auto& [text, name] : state_->names) {
    if (name->is_used()) names.push_back(name->status());
  }
  return names;
}

}  // namespace trestle
