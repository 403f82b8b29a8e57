#include "integrations/spiffe/spiffe_source.h"

#include <algorithm>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "trestle/base/error.h"
#include "trestle/pki/sha256.h"
#include "trestle/pki/spiffe_id.h"

namespace trestle {
namespace {

// The longest sleep towards a date, because the system's clock may be set.
constexpr absl::Duration kLongestSleep = absl::Minutes(1);

bool IsTime(absl::Duration duration) {
  return duration >= absl::Milliseconds(1) && duration <= absl::Hours(24);
}

absl::Status CheckOptions(const SpiffeSourceOptions& options) {
  if (options.agent.family() != Endpoint::Family::kUnix) {
    return ConfigurationError(
        "the SPIFFE agent must have a Unix-domain socket: its stream has private keys");
  }
  if (!options.id.empty()) {
    if (absl::Status id = SpiffeId::Parse(options.id).status(); !id.ok()) return id;
  }
  if (!IsTime(options.answer_timeout) || !IsTime(options.first_pause) ||
      !IsTime(options.longest_pause) || options.first_pause > options.longest_pause) {
    return ConfigurationError(
        "the times of a SPIFFE source must be from a millisecond to a day, the first pause at most "
        "the longest");
  }
  if (!(options.late_part >= 0 && options.late_part <= 1)) {
    return ConfigurationError("the part of a lifetime must be from 0 to 1");
  }
  return absl::OkStatus();
}

absl::StatusOr<X509Context> ReadContext(ByteView message, const std::string& wanted,
                                        absl::Time now) {
  const absl::StatusOr<WorkloadUpdate> update = DecodeWorkloadUpdate(message);
  if (!update.ok()) return update.status();
  return MakeX509Context(*update, wanted, now);
}

}  // namespace

absl::StatusOr<std::unique_ptr<SpiffeSource>> SpiffeSource::Start(Scheduler& scheduler,
                                                                  Dialer& dialer,
                                                                  SpiffeSourceOptions options,
                                                                  Listener listener) {
  if (absl::Status checked = CheckOptions(options); !checked.ok()) return checked;
  auto source = absl::WrapUnique(
      new SpiffeSource(scheduler, dialer, std::move(options), std::move(listener)));
  source->Connect();
  return source;
}

SpiffeSource::SpiffeSource(Scheduler& scheduler, Dialer& dialer, SpiffeSourceOptions options,
                           Listener listener)
    : scheduler_(scheduler),
      dialer_(dialer),
      options_(std::move(options)),
      listener_(std::move(listener)),
      random_(options_.seed),
      pause_(options_.first_pause) {
  status_.agent = options_.agent.ToString();
}

SpiffeSource::~SpiffeSource() = default;

SpiffeStatus SpiffeSource::status() const { return status_; }

void SpiffeSource::Connect() {
  deadline_ = scheduler_.RunAfter(options_.answer_timeout, [this] {
    Lose(MakeError(
        ErrorCode::kTimeout, Phase::kSetUp,
        absl::StrCat("no answer within ", absl::FormatDuration(options_.answer_timeout))));
  });
  dial_ = dialer_.Connect(options_.agent, [this](absl::StatusOr<std::unique_ptr<Transport>> made) {
    OnDialed(std::move(made));
  });
}

void SpiffeSource::OnDialed(absl::StatusOr<std::unique_ptr<Transport>> transport) {
  dial_.reset();
  if (!transport.ok()) return Lose(transport.status());
  GrpcCall call;
  call.path = kFetchX509SvidPath;
  call.fields = {{kWorkloadField, "true"}};
  call.max_message_bytes = options_.max_message_bytes;
  GrpcStream::Owner& owner = *this;
  stream_ = std::make_unique<GrpcStream>(scheduler_, *std::move(transport), call, owner);
}

void SpiffeSource::OnMessage(ByteView message) {
  deadline_.reset();
  status_.connected = true;
  pause_ = options_.first_pause;
  const std::array<uint8_t, 32> digest = Sha256(message);
  if (context_ != nullptr && digest == last_) {
    // An agent that returned says the same again.
    status_.fault.clear();
    return;
  }
  absl::StatusOr<X509Context> context = ReadContext(message, options_.id, scheduler_.Now());
  if (!context.ok()) {
    ++status_.refused;
    status_.fault = ToError(context.status())->detail;
    return Tell(Event::kRefused, context.status());
  }
  last_ = digest;
  Use(*std::move(context));
}

void SpiffeSource::Use(X509Context context) {
  context_ = std::make_shared<const X509Context>(std::move(context));
  ++status_.updates;
  status_.fault.clear();
  status_.id = context_->id.ToString();
  status_.trust_domains.clear();
  for (const TrustDomainCas& bundle : context_->bundles) {
    status_.trust_domains.push_back(bundle.trust_domain);
  }
  status_.not_before = context_->not_before();
  status_.not_after = context_->not_after();
  status_.late = false;
  WatchAge();
  Tell(Event::kUpdated, absl::OkStatus());
}

void SpiffeSource::OnEnd(absl::Status why) { Lose(std::move(why)); }

void SpiffeSource::Lose(absl::Status why) {
  dial_.reset();
  stream_.reset();
  deadline_.reset();
  status_.connected = false;
  ++status_.losses;
  const std::optional<Error> error = ToError(why);
  status_.fault = error->detail;
  const double part = std::uniform_real_distribution<double>(0.5, 1)(random_);
  again_ = scheduler_.RunAfter(pause_ * part, [this] { Connect(); });
  pause_ = std::min(2 * pause_, options_.longest_pause);
  Tell(Event::kLost,
       MakeError(error->code, Phase::kSetUp,
                 absl::StrCat("the SPIFFE agent ", status_.agent, ": ", error->detail)));
}

void SpiffeSource::WatchAge() {
  const absl::Duration lifetime = status_.not_after - status_.not_before;
  const absl::Time due = status_.not_after - lifetime * options_.late_part;
  const absl::Duration left = due - scheduler_.Now();
  if (left > absl::ZeroDuration()) {
    late_ = scheduler_.RunAfter(std::min(left, kLongestSleep), [this] { WatchAge(); });
    return;
  }
  late_.reset();
  if (std::exchange(status_.late, true)) return;
  Tell(Event::kLate,
       MakeError(
           ErrorCode::kCertificateExpired, Phase::kSetUp,
           absl::StrCat(
               "the agent has not renewed the SVID of ", status_.id, ", which ends at ",
               absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", status_.not_after, absl::UTCTimeZone()))));
}

void SpiffeSource::Tell(Event event, const absl::Status& status) {
  if (listener_ != nullptr) listener_(event, status);
}

}  // namespace trestle
