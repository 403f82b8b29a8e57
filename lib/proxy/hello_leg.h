// HelloLeg: opens an opaque front leg: reads the ClientHello, and puts all its bytes back.
#ifndef TRESTLE_LIB_PROXY_HELLO_LEG_H_
#define TRESTLE_LIB_PROXY_HELLO_LEG_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>

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

  /// `ja4_sha256` may be null: no fingerprint. `answer_plain_http`: see the router's option.
  /// `routed` is the hello that an earlier router read, or null; it is read again only for its
  /// fingerprint.
  HelloLeg(Scheduler& scheduler, Sha256Pointer ja4_sha256, bool answer_plain_http,
           const RoutedHello* routed)
      : scheduler_(scheduler),
        ja4_sha256_(ja4_sha256),
        answer_plain_http_(answer_plain_http),
        routed_(routed != nullptr && (ja4_sha256 == nullptr || !routed->report.ja4.empty())
                    ? routed
                    : nullptr) {}
  ~HelloLeg() override;

  void Open(std::unique_ptr<Transport> raw, absl::AnyInvocable<void(absl::Status)> done) override;
  std::unique_ptr<Transport> Take() override;
  bool hello_received() const override {
    return routed_ != nullptr || reader_.state() == HelloState::kDone;
  }
  bool anything_received() const override { return routed_ != nullptr || reader_.segments() > 0; }
  LegFacts facts() const override;
  std::string last_words() const override;

 private:
  void OnReadable() override { ReadHello(); }
  void OnWritable() override {}
  void ReadHello();
  void Finish(absl::Status status);

  Scheduler& scheduler_;
  const Sha256Pointer ja4_sha256_;
  const bool answer_plain_http_;
  const RoutedHello* const routed_;
  ClientHelloReader reader_;
  std::unique_ptr<Transport> raw_;
  absl::AnyInvocable<void(absl::Status)> done_;
  Timer first_read_;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PROXY_HELLO_LEG_H_
