// SpiffeAgent: the certificates and CAs of --spiffe_agent, for both legs of a proxy.
#ifndef TRESTLE_EXAMPLES_SUPPORT_SPIFFE_AGENT_H_
#define TRESTLE_EXAMPLES_SUPPORT_SPIFFE_AGENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "integrations/spiffe/spiffe_source.h"
#include "integrations/spiffe/spiffe_status.h"
#include "integrations/spiffe/x509_context.h"
#include "trestle/linux/epoll_loop.h"
#include "trestle/linux/tcp_dialer.h"
#include "trestle/pki/finding.h"

namespace trestle::examples {

/// Returns whether --spiffe_clients is set: the bundles verify clients.
bool SpiffeVerifiesClients();

/// Returns whether --spiffe_backends is set: the bundles verify backends, which get the SVID.
bool SpiffeVerifiesBackends();

/// Fails if one of the flags --spiffe_… is set, for programs that have no use for it. `why` follows
/// the flag's name.
absl::Status RefuseSpiffe(absl::string_view why);

/// Follows the agent on a program's main loop, whose thread makes all calls.
class SpiffeAgent {
 public:
  /// Reads the flags --spiffe_…, and waits on `loop` for the first SVID, for at most --spiffe_wait.
  /// Null without --spiffe_agent; fails for other flags without it. `loop` must outlive the agent.
  static absl::StatusOr<std::unique_ptr<SpiffeAgent>> FromFlags(EpollLoop& loop);

  SpiffeAgent(const SpiffeAgent&) = delete;
  SpiffeAgent& operator=(const SpiffeAgent&) = delete;

  /// Returns the SVID and the bundles of now, which count as used from then on. Never null.
  const std::shared_ptr<const X509Context>& Use();

  /// Returns the patterns of --spiffe_clients and --spiffe_backends.
  const std::vector<std::string>& clients() const { return clients_; }
  const std::vector<std::string>& backends() const { return backends_; }

  /// Sets what is called when there is something new to use. Calls it at once if there is already.
  void OnUpdate(std::function<void()> call);

  SpiffeStatus status() const { return source_->status(); }

  /// Returns findings about the agent: an SVID that is late.
  std::vector<Finding> Findings() const;

 private:
  explicit SpiffeAgent(EpollLoop& loop) : dialer_(loop) {}

  absl::Status Start(EpollLoop& loop);
  void OnEvent(SpiffeSource::Event event, const absl::Status& status);

  TcpDialer dialer_;
  std::vector<std::string> clients_;
  std::vector<std::string> backends_;
  std::function<void()> on_update_;  // May be empty.
  uint64_t used_ = 0;                // Of the updates.
  std::string logged_fault_;
  absl::Status last_;  // Of the last event.
  std::unique_ptr<SpiffeSource> source_;
};

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_SPIFFE_AGENT_H_
