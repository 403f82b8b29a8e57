// HelloLeg: opens an opaque front leg: reads the ClientHello, and puts every byte of it back.
#ifndef TRESTLE_LIB_PROXY_HELLO_LEG_H_
#define TRESTLE_LIB_PROXY_HELLO_LEG_H_

#include <array>
#include <cstdint>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "lib/proxy/connection_plan.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/transport.h"
#include "trestle/wire/client_hello.h"

namespace trestle {

class HelloLeg final : public LegOpener, private TransportHandler {
 public:
  using Sha256Pointer = std::array<uint8_t, 32> (*)(ByteView);

  /// `ja4_sha256` may be null: no fingerprint then.
  HelloLeg(Scheduler& scheduler, Sha256Pointer ja4_sha256)
      : scheduler_(scheduler), ja4_sha256_(ja4_sha256) {}
  ~HelloLeg() override;

  void Open(std::unique_ptr<Transport> raw, absl::AnyInvocable<void(absl::Status)> done) override;
  std::unique_ptr<Transport> Take() override;
  bool hello_received() const override { return reader_.state() == HelloState::kDone; }
  LegFacts facts() const override;
  TransportInfo info() const override { return raw_->info(); }

 private:
  void OnReadable() override { ReadHello(); }
  void OnWritable() override {}
  void ReadHello();
  void Finish(absl::Status status);

  Scheduler& scheduler_;
  const Sha256Pointer ja4_sha256_;
  ClientHelloReader reader_;
  std::unique_ptr<Transport> raw_;
  absl::AnyInvocable<void(absl::Status)> done_;
  Timer first_read_;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PROXY_HELLO_LEG_H_
