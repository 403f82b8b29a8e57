// TlsLeg: opens a leg by a TLS handshake, as server (front) or as client (back).
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
#include "trestle/proxy/handshake_limiter.h"
#include "trestle/tls/tls_engine.h"
#include "trestle/tls/tls_stream.h"

namespace trestle {

class TlsLeg final : public LegOpener {
 public:
  /// With a `limiter`, which must outlive this, full handshakes are made as far as it lets them.
  TlsLeg(Scheduler& scheduler, std::unique_ptr<TlsEngine> engine,
         HandshakeLimiter* limiter = nullptr)
      : scheduler_(scheduler), engine_(std::move(engine)), limiter_(limiter) {}
  ~TlsLeg() override {
    if (limited_) limiter_->Finish();
  }

  void Open(std::unique_ptr<Transport> raw, absl::AnyInvocable<void(absl::Status)> done) override {
    if (limiter_ != nullptr && limiter_->active()) {
      engine_->SetAdmission([this, client = raw->info().peer] {
        absl::Status admitted = limiter_->Begin(client, scheduler_.MonotonicNow());
        limited_ = admitted.ok();
        return admitted;
      });
    }
    stream_ = std::make_unique<TlsStream>(std::move(engine_), std::move(raw), scheduler_);
    stream_->Handshake(std::move(done));
  }

  std::unique_ptr<Transport> Take() override { return std::move(stream_); }

  bool hello_received() const override { return stream_->hello_received(); }

  TransportInfo info() const override { return stream_->info(); }

  LegFacts facts() const override {
    const TlsInfo& info = stream_->tls_info();
    return {info.server_name, info.alpn, stream_->shared_tls_info(), std::nullopt, {}, {}};
  }

 private:
  Scheduler& scheduler_;
  std::unique_ptr<TlsEngine> engine_;
  HandshakeLimiter* const limiter_;
  bool limited_ = false;  // Counts as under way there.
  std::unique_ptr<TlsStream> stream_;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PROXY_TLS_LEG_H_
