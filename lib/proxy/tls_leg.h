// TlsLeg: opens a leg by a TLS handshake, as server (front) or client (back).
#ifndef TRESTLE_LIB_PROXY_TLS_LEG_H_
#define TRESTLE_LIB_PROXY_TLS_LEG_H_

#include <memory>
#include <optional>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "lib/proxy/connection_plan.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/transport.h"
#include "trestle/proxy/connection_limiter.h"
#include "trestle/tls/tls_engine.h"
#include "trestle/tls/tls_stream.h"

namespace trestle {

class TlsLeg final : public LegOpener {
 public:
  /// Creates a back leg.
  TlsLeg(Scheduler& scheduler, std::unique_ptr<TlsEngine> engine)
      : scheduler_(scheduler), engine_(std::move(engine)) {}

  /// Creates a front leg.
  TlsLeg(Scheduler& scheduler, std::unique_ptr<TlsEngine> engine, FrontContext front)
      : scheduler_(scheduler),
        engine_(std::move(engine)),
        limiter_(front.limiter),
        origin_(&front.origin) {
    engine_->SetHelloCheck(std::move(front.check_hello));
  }
  ~TlsLeg() override {
    if (limited_) limiter_->Finish();
  }

  void Open(std::unique_ptr<Transport> raw, absl::AnyInvocable<void(absl::Status)> done) override {
    if (limiter_ != nullptr && limiter_->active()) {
      engine_->SetAdmission([this] {
        absl::Status admitted = limiter_->Begin(origin_->peer, scheduler_.MonotonicNow());
        limited_ = admitted.ok();
        return admitted;
      });
    }
    stream_ = std::make_unique<TlsStream>(std::move(engine_), std::move(raw), scheduler_);
    stream_->Handshake(std::move(done));
  }

  std::unique_ptr<Transport> Take() override { return std::move(stream_); }

  bool hello_received() const override { return stream_->hello_received(); }

  bool anything_received() const override { return stream_->anything_received(); }

  std::string server_name() const override { return stream_->tls_info().server_name; }

  std::shared_ptr<const TlsInfo> tls() const override { return stream_->shared_tls_info(); }

 private:
  Scheduler& scheduler_;
  std::unique_ptr<TlsEngine> engine_;
  ConnectionLimiter* const limiter_ = nullptr;      // Of a front leg.
  const ConnectionOrigin* const origin_ = nullptr;  // Likewise.
  bool limited_ = false;                            // Counted as pending in `limiter_`.
  std::unique_ptr<TlsStream> stream_;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PROXY_TLS_LEG_H_
