// AsioDialer: a Dialer for TCP and Unix-domain sockets, on Asio.
#ifndef TRESTLE_INTEGRATIONS_ASIO_ASIO_DIALER_H_
#define TRESTLE_INTEGRATIONS_ASIO_ASIO_DIALER_H_

#include <memory>

#include "integrations/asio/asio_scheduler.h"
#include "trestle/io/dialer.h"

namespace trestle {

class AsioDialer final : public Dialer {
 public:
  /// Creates a dialer. `scheduler` must outlive it and all its connections.
  explicit AsioDialer(AsioScheduler& scheduler) : scheduler_(scheduler) {}

  /// Has no limit of time. Fails with ErrorCode::kTransport and a sentence with `endpoint`.
  [[nodiscard]] std::unique_ptr<Dial> Connect(const Endpoint& endpoint, Callback done) override;

 private:
  AsioScheduler& scheduler_;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_ASIO_ASIO_DIALER_H_
