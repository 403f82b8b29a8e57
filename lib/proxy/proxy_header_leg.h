// ProxyHeaderLeg: reads the PROXY protocol header of a trusted peer, then opens the front leg as
// for a direct client.
#ifndef TRESTLE_LIB_PROXY_PROXY_HEADER_LEG_H_
#define TRESTLE_LIB_PROXY_PROXY_HEADER_LEG_H_

#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "lib/proxy/connection_plan.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/transport.h"
#include "trestle/wire/proxy_protocol.h"

namespace trestle {

class ProxyHeaderLeg final : public LegOpener, private TransportHandler {
 public:
  /// Writes the header's data into `origin`, which outlives the leg, before `next` opens.
  ProxyHeaderLeg(Scheduler& scheduler, std::unique_ptr<LegOpener> next, ConnectionOrigin& origin)
      : scheduler_(scheduler), next_(std::move(next)), origin_(origin) {}
  ~ProxyHeaderLeg() override;

  void Open(std::unique_ptr<Transport> raw, absl::AnyInvocable<void(absl::Status)> done) override;
  std::unique_ptr<Transport> Take() override;
  bool hello_received() const override { return header_read_ && next_->hello_received(); }
  bool anything_received() const override {
    return header_read_ ? next_->anything_received() : reader_.header_bytes() > 0;
  }
  std::string server_name() const override { return header_read_ ? next_->server_name() : ""; }
  std::optional<HelloReport> hello() const override {
    return header_read_ ? next_->hello() : std::nullopt;
  }
  std::shared_ptr<const TlsInfo> tls() const override {
    return header_read_ ? next_->tls() : nullptr;
  }
  std::string last_words() const override { return header_read_ ? next_->last_words() : ""; }

 private:
  void OnReadable() override { ReadHeader(); }
  void OnWritable() override {}
  void ReadHeader();
  void OpenNext(ByteView surplus);
  void NoteOrigin(ProxyHeader header);
  void Fail(absl::Status status);

  Scheduler& scheduler_;
  const std::unique_ptr<LegOpener> next_;
  ConnectionOrigin& origin_;
  ProxyHeaderReader reader_;
  bool header_read_ = false;
  std::unique_ptr<Transport> raw_;
  absl::AnyInvocable<void(absl::Status)> done_;
  Timer first_read_;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PROXY_PROXY_HEADER_LEG_H_
