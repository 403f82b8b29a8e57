#include "integrations/c_ares/cares_resolver.h"

#include <ares.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <deque>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "integrations/c_ares/cares_channel.h"
#include "trestle/base/error.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

constexpr char kResolvConf[] = "/etc/resolv.conf";

// Of answers without addresses, c-ares tells no time to live: the user's bound for them applies.
constexpr absl::Duration kDenialTtl = absl::Minutes(1);

// Returns what changes when the file is written or replaced.
std::pair<int64_t, int64_t> VersionOf(const char* path) {
  struct stat found = {};
  if (stat(path, &found) != 0) return {};
  return {static_cast<int64_t>(found.st_ino),
          found.st_mtim.tv_sec * int64_t{1'000'000'000} + found.st_mtim.tv_nsec};
}

bool IsDenial(int status) { return status == ARES_ENOTFOUND || status == ARES_ENODATA; }

absl::Status FailureOf(const NamedTarget& target, int status) {
  const bool timeout = status == ARES_ETIMEOUT;
  return MakeError(
      timeout ? ErrorCode::kTimeout : ErrorCode::kTransport, Leg::kBack, Phase::kDial,
      absl::StrCat("DNS has no answer about ", target.name, ": ", ares_strerror(status)));
}

}  // namespace

// The channel, replaced when resolv.conf changes, and the look-ups that wait for their turn.
class CaresResolver::Channel {
 public:
  Channel(FdLoop& loop, const CaresResolverOptions& options) : loop_(loop), options_(options) {}

  absl::Status Open() {
    CaresChannel::Options options;
    options.servers = options_.servers;
    options.server_timeout = options_.server_timeout;
    options.rounds = options_.rounds;
    options.search_domains = options_.search_domains;
    options.hosts_from_environment = options_.hosts_from_environment;
    auto channel = std::make_unique<CaresChannel>(loop_, std::move(options));
    version_ = VersionOf(kResolvConf);
    if (absl::Status opened = channel->Open(); !opened.ok()) return opened;
    channel_ = std::move(channel);
    return absl::OkStatus();
  }

  CaresChannel& get() { return *channel_; }
  FdLoop& loop() { return loop_; }
  const CaresResolverOptions& options() const { return options_; }

  void Add(NameLookup& lookup) {
    waiting_.push_back(&lookup);
    BeginSoon();
  }

  void Remove(NameLookup& lookup, bool began) {
    if (began) {
      --running_;
      return BeginSoon();
    }
    waiting_.erase(std::remove(waiting_.begin(), waiting_.end(), &lookup), waiting_.end());
  }

 private:
  void BeginSoon() {
    if (waiting_.empty() || begin_ != nullptr) return;
    begin_ = loop_.RunAfter(absl::ZeroDuration(), [this] {
      begin_.reset();
      BeginSome();
    });
  }

  void BeginSome();

  FdLoop& loop_;
  const CaresResolverOptions& options_;
  std::unique_ptr<CaresChannel> channel_;
  std::pair<int64_t, int64_t> version_;  // Of resolv.conf.
  std::deque<NameLookup*> waiting_;
  size_t running_ = 0;
  Timer begin_;
};

// One look-up: SRV records, if it is a service, then two questions for each host.
class CaresResolver::NameLookup final : public Lookup {
 public:
  NameLookup(Channel& channel, NamedTarget target, Callback done)
      : channel_(channel), target_(std::move(target)), done_(std::move(done)) {
    channel_.Add(*this);
  }

  ~NameLookup() override { channel_.Remove(*this, began_); }

  void Begin() {
    began_ = true;
    ++pending_;  // Answers of the hosts file come at once.
    if (target_.is_service()) {
      ++pending_;
      questions_.push_back(channel_.get().AskService(
          target_.name, [this](CaresService service) { OnService(std::move(service)); }));
    } else {
      AskHost({target_.name, target_.port, 0, 0}, kUnitWeight);
    }
    --pending_;
    Settle();
  }

 private:
  void OnService(CaresService service) {
    Note(service.status);
    if (service.status == ARES_SUCCESS) AskHostsOf(service);
    --pending_;
    Settle();
  }

  void AskHostsOf(CaresService& service) {
    std::vector<CaresService::Record>& records = service.records;
    absl::c_stable_sort(records,
                        [](const auto& a, const auto& b) { return a.priority < b.priority; });
    if (records.size() > channel_.options().max_hosts) {
      records.resize(channel_.options().max_hosts);
    }
    ttl_ = std::min(ttl_, service.ttl);
    for (CaresService::Record& record : records) {
      absl::StatusOr<std::string> host = NormalizeServerName(record.host);
      if (!host.ok() || record.port == 0) continue;  // No record that could be dialed.
      record.host = *std::move(host);
      AskHost(record, record.weight == 0 ? 1 : record.weight * kUnitWeight);
    }
  }

  void AskHost(const CaresService::Record& host, uint32_t weight) {
    for (const int family : {AF_INET6, AF_INET}) {
      ++pending_;
      questions_.push_back(channel_.get().AskHost(
          host.host, family, host.port, [this, priority = host.priority, weight](CaresHost answer) {
            OnHost(std::move(answer), priority, weight);
          }));
    }
  }

  void OnHost(CaresHost host, uint16_t priority, uint32_t weight) {
    --pending_;
    Note(host.status);
    if (host.status == ARES_SUCCESS) {
      ttl_ = std::min(ttl_, host.ttl);
      // The addresses of a host share its weight.
      const uint32_t share = std::max<uint32_t>(
          weight / static_cast<uint32_t>(target_.is_service() ? host.endpoints.size() : 1), 1);
      for (Endpoint& endpoint : host.endpoints) {
        answer_.addresses.push_back({std::move(endpoint), priority, share});
      }
    }
    Settle();
  }

  void Note(int status) {
    if (status != ARES_SUCCESS && !IsDenial(status)) failure_ = status;
  }

  // c-ares may be on the stack, or a function that begins a look-up: the user is called later.
  void Settle() {
    if (pending_ == 0) {
      call_ = channel_.loop().RunAfter(absl::ZeroDuration(), [this] { Finish(); });
    } else if (!answer_.addresses.empty() && call_ == nullptr) {
      call_ = channel_.loop().RunAfter(channel_.options().resolution_delay, [this] {
        ResolvedName answer = answer_;
        answer.ttl = ttl_;
        answer.coverage = ResolvedName::Coverage::kMoreToCome;
        done_(std::move(answer));  // May destroy this.
      });
    }
  }

  void Finish() {
    const bool found = !answer_.addresses.empty();
    if (!found && failure_ != ARES_SUCCESS) return done_(FailureOf(target_, failure_));
    answer_.ttl = found ? ttl_ : kDenialTtl;
    if (failure_ != ARES_SUCCESS) answer_.coverage = ResolvedName::Coverage::kPart;
    done_(std::move(answer_));
  }

  Channel& channel_;
  const NamedTarget target_;
  Callback done_;
  bool began_ = false;
  int pending_ = 0;  // Questions without an answer.
  int failure_ = ARES_SUCCESS;
  absl::Duration ttl_ = absl::InfiniteDuration();
  ResolvedName answer_;
  std::vector<std::unique_ptr<CaresQuestion>> questions_;
  Timer call_;
};

void CaresResolver::Channel::BeginSome() {
  // Open questions would be lost, so that the change waits for them.
  if (running_ == 0 && options_.servers.empty() && VersionOf(kResolvConf) != version_) {
    Open().IgnoreError();  // The channel of before goes on.
  }
  while (!waiting_.empty() && running_ < options_.max_lookups) {
    NameLookup* const next = waiting_.front();
    waiting_.pop_front();
    ++running_;
    next->Begin();
  }
}

absl::StatusOr<std::unique_ptr<CaresResolver>> CaresResolver::Create(FdLoop& loop,
                                                                     CaresResolverOptions options) {
  if (options.server_timeout < absl::Milliseconds(1) || options.server_timeout > absl::Minutes(1)) {
    return ConfigurationError("server_timeout must be between a millisecond and a minute");
  }
  if (options.rounds < 1 || options.rounds > 10) {
    return ConfigurationError("rounds must be between 1 and 10");
  }
  if (options.max_lookups == 0 || options.max_hosts == 0) {
    return ConfigurationError("max_lookups and max_hosts must be at least 1");
  }
  for (const Endpoint& server : options.servers) {
    if (!server.is_ip()) return ConfigurationError("a DNS server has an IP address");
    if (absl::Status dialable = server.CheckDialable(); !dialable.ok()) return dialable;
  }
  auto resolver = absl::WrapUnique(new CaresResolver(loop, std::move(options)));
  if (absl::Status opened = resolver->channel_->Open(); !opened.ok()) return opened;
  return resolver;
}

CaresResolver::CaresResolver(FdLoop& loop, CaresResolverOptions options)
    : loop_(loop),
      options_(std::move(options)),
      channel_(std::make_unique<Channel>(loop_, options_)) {}

CaresResolver::~CaresResolver() = default;

std::unique_ptr<Lookup> CaresResolver::Resolve(const NamedTarget& target, Callback done) {
  return std::make_unique<NameLookup>(*channel_, target, std::move(done));
}

}  // namespace trestle
