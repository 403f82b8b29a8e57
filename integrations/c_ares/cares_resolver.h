// CaresResolver: a Resolver of DNS and /etc/hosts on the host's loop, with Debian's libc-ares. It
// needs no thread of its own.
#ifndef TRESTLE_INTEGRATIONS_C_ARES_CARES_RESOLVER_H_
#define TRESTLE_INTEGRATIONS_C_ARES_CARES_RESOLVER_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "trestle/base/endpoint.h"
#include "trestle/io/resolver.h"
#include "trestle/linux/fd_loop.h"

namespace trestle {

/// Options of a CaresResolver.
struct CaresResolverOptions {
  /// DNS servers, in order of preference. Empty: those of /etc/resolv.conf, which is read again
  /// when it changes and no look-up is under way.
  std::vector<Endpoint> servers = {};
  /// The time for which one server may stay silent before the next try, and the number of rounds
  /// through all servers. The time doubles in each round.
  absl::Duration server_timeout = absl::Seconds(2);
  int rounds = 2;
  /// How long the second family (A or AAAA) may follow the first before the first is used alone
  /// (RFC 8305 3). It is added when it comes.
  absl::Duration resolution_delay = absl::Milliseconds(50);
  /// Also tries the search domains of resolv.conf. Off, because a name then depends on where the
  /// program runs.
  bool search_domains = false;
  /// The most look-ups at a time; others wait.
  size_t max_lookups = 64;
  /// The most hosts of one service; those with a worse priority are left out.
  size_t max_hosts = 32;
  /// Reads the hosts file that the environment variable CARES_HOSTS names. For tests.
  bool hosts_from_environment = false;
};

/// Resolves hosts by A and AAAA, asked at the same time, and services by SRV (RFC 2782). The
/// addresses of hosts come from /etc/hosts first. Truncated answers are asked for again by TCP.
///
/// What another answer than that of the asked server says is ignored: another ID, port, address or
/// question. DNS itself isn't authenticated: identity is proven by TLS, and by the configured name.
class CaresResolver final : public Resolver {
 public:
  /// Fails with ErrorCode::kConfiguration if `options` are invalid, or if resolv.conf can't be
  /// used. `loop` must outlive the resolver.
  static absl::StatusOr<std::unique_ptr<CaresResolver>> Create(FdLoop& loop,
                                                               CaresResolverOptions options = {});

  /// All look-ups must be gone.
  ~CaresResolver() override;

  [[nodiscard]] std::unique_ptr<Lookup> Resolve(const NamedTarget& target, Callback done) override;

 private:
  class Channel;
  class NameLookup;

  CaresResolver(FdLoop& loop, CaresResolverOptions options);

  FdLoop& loop_;
  const CaresResolverOptions options_;
  std::unique_ptr<Channel> channel_;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_C_ARES_CARES_RESOLVER_H_
