// The hosts of the conformance tests: simulated time with memory transports, and EpollLoop with
// sockets. Decorators add TLS or a prefix to another host's transports.
#ifndef TRESTLE_TESTS_CONFORMANCE_HOSTS_H_
#define TRESTLE_TESTS_CONFORMANCE_HOSTS_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "trestle/base/endpoint.h"
#include "trestle/io/dialer.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/transport.h"
#include "trestle/testing/memory_transport.h"
#include "trestle/testing/simulated_loop.h"
#include "trestle/testing/transport_conformance.h"

namespace trestle::testing {

/// Memory transports in simulated time. The seed shapes the links.
class MemoryHost : public ConformanceHost {
 public:
  explicit MemoryHost(uint64_t seed);

  Scheduler& scheduler() override { return loop_; }
  Dialer& dialer() override { return dialer_; }
  Endpoint Listen(absl::AnyInvocable<void(std::unique_ptr<Transport>)> accept) override;
  bool RunUntil(absl::FunctionRef<bool()> done) override;
  ConformanceTraits traits() const override;

  SimulatedLoop& loop() { return loop_; }

 private:
  MemoryLink RandomLink();

  SimulatedLoop loop_;
  MemoryDialer dialer_;
};

/// Changes each transport of another host, at both ends: `wrap` gets each new transport and passes
/// its own on, at once or later.
class WrappingHost : public ConformanceHost, private Dialer {
 public:
  using Accept = absl::AnyInvocable<void(std::unique_ptr<Transport>)>;

  explicit WrappingHost(std::unique_ptr<ConformanceHost> inner) : inner_(std::move(inner)) {}

  Scheduler& scheduler() override { return inner_->scheduler(); }
  Dialer& dialer() override { return *this; }
  Endpoint Listen(Accept accept) override;
  bool RunUntil(absl::FunctionRef<bool()> done) override { return inner_->RunUntil(done); }
  ConformanceTraits traits() const override { return inner_->traits(); }
  Endpoint RefusingEndpoint() override { return inner_->RefusingEndpoint(); }
  Endpoint FreeEndpoint() override { return inner_->FreeEndpoint(); }

  ConformanceHost& inner() { return *inner_; }

 protected:
  /// Ends the pending calls of `Wrap`. For destructors of derived classes.
  virtual void Wrap(std::unique_ptr<Transport> transport, bool dialed, Accept done) = 0;

 private:
  class WrappingDial;

  std::unique_ptr<Dial> Connect(const Endpoint& endpoint, Callback done) override;

  const std::unique_ptr<ConformanceHost> inner_;
};

/// TLS over the transports of another host, which connects after the handshake.
std::unique_ptr<ConformanceHost> NewTlsHost(std::unique_ptr<ConformanceHost> inner);

/// PrefixedTransports over the transports of another host: bytes are repeatedly read ahead and put
/// back.
std::unique_ptr<ConformanceHost> NewPrefixedHost(std::unique_ptr<ConformanceHost> inner,
                                                 uint64_t seed);

}  // namespace trestle::testing

#endif  // TRESTLE_TESTS_CONFORMANCE_HOSTS_H_
