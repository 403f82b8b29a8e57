// SpiffeSource: follows the X.509-SVID and the bundles that a SPIFFE agent, such as SPIRE's, has
// for this process (SPIFFE_Workload_API). What it got last stays in use while the agent is gone.
#ifndef TRESTLE_INTEGRATIONS_SPIFFE_SPIFFE_SOURCE_H_
#define TRESTLE_INTEGRATIONS_SPIFFE_SPIFFE_SOURCE_H_

#include <array>
#include <cstdint>
#include <memory>
#include <random>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "integrations/spiffe/grpc_stream.h"
#include "integrations/spiffe/spiffe_status.h"
#include "integrations/spiffe/x509_context.h"
#include "trestle/base/endpoint.h"
#include "trestle/io/dialer.h"
#include "trestle/io/scheduler.h"

namespace trestle {

struct SpiffeSourceOptions {
  /// Required: the agent's Unix-domain socket. The stream has private keys, so that it goes over no
  /// network.
  Endpoint agent;
  /// The SVID to take, if the agent has several. Empty: the first.
  std::string id = "";
  /// Time to connect and to get the first message. Later ones come when something changes.
  absl::Duration answer_timeout = absl::Seconds(10);
  /// The pause after a lost connection. It doubles after each further failure, up to the longest.
  /// Each is shortened by up to a half at random, so that the processes of a machine don't return
  /// together.
  absl::Duration first_pause = absl::Seconds(1);
  absl::Duration longest_pause = absl::Seconds(30);
  /// The part of its lifetime that is left when an SVID counts as late. Agents renew at a half of
  /// it; SPIRE adds or takes a tenth of that half at random.
  double late_part = 0.4;
  uint64_t seed = 1;                           ///< Of the pauses.
  size_t max_message_bytes = 4 * 1024 * 1024;  ///< A longer update is refused.
};

/// Runs on one loop and never blocks it.
class SpiffeSource final : private GrpcStream::Owner {
 public:
  enum class Event : uint8_t {
    kUpdated,  ///< `context` is new.
    kRefused,  ///< The agent sent what can't be used; the status has the reason.
    kLost,     ///< The agent is gone, or refuses; the status has the reason.
    kLate,     ///< The agent has not renewed the SVID in time.
  };
  /// Called from the loop. Must not destroy the source.
  using Listener = absl::AnyInvocable<void(Event, const absl::Status&)>;

  /// Starts to connect. `scheduler` and `dialer` must outlive the source; `listener` may be null.
  /// Fails with ErrorCode::kConfiguration for an agent without a Unix-domain socket, a malformed
  /// `id`, and times or parts that are out of range.
  static absl::StatusOr<std::unique_ptr<SpiffeSource>> Start(Scheduler& scheduler, Dialer& dialer,
                                                             SpiffeSourceOptions options,
                                                             Listener listener = nullptr);
  ~SpiffeSource();
  SpiffeSource(const SpiffeSource&) = delete;
  SpiffeSource& operator=(const SpiffeSource&) = delete;

  /// Returns what the agent said last, of what can be used. Null before the first update.
  const std::shared_ptr<const X509Context>& context() const { return context_; }

  SpiffeStatus status() const;

 private:
  SpiffeSource(Scheduler& scheduler, Dialer& dialer, SpiffeSourceOptions options,
               Listener listener);

  void Connect();
  void OnDialed(absl::StatusOr<std::unique_ptr<Transport>> transport);
  void OnMessage(ByteView message) override;
  void OnEnd(absl::Status why) override;
  void Use(X509Context context);
  void Lose(absl::Status why);
  void WatchAge();
  void Tell(Event event, const absl::Status& status);

  Scheduler& scheduler_;
  Dialer& dialer_;
  const SpiffeSourceOptions options_;
  Listener listener_;
  std::mt19937_64 random_;
  std::unique_ptr<Dial> dial_;
  std::unique_ptr<GrpcStream> stream_;
  Timer deadline_;  // Until the first message.
  Timer again_;
  Timer late_;
  absl::Duration pause_;
  std::shared_ptr<const X509Context> context_;
  std::array<uint8_t, 32> last_ = {};  // The digest of the message in use.
  SpiffeStatus status_;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_SPIFFE_SPIFFE_SOURCE_H_
