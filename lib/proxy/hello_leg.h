// HelloLeg: opens a passthrough front leg: reads the ClientHello, and puts all its bytes back, or
// the inner hello if it opened an encrypted one.
#ifndef TRESTLE_LIB_PROXY_HELLO_LEG_H_
#define TRESTLE_LIB_PROXY_HELLO_LEG_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "lib/proxy/connection_plan.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/transport.h"
#include "trestle/wire/client_hello.h"
#include "trestle/wire/ech_opener.h"

namespace trestle {

struct HelloLegOptions {
  std::array<uint8_t, 32> (*ja4_sha256)(ByteView);  ///< Null: no fingerprint.
  bool answer_plain_http;                           ///< See SniPassthroughRouterOptions.
  EchOpener* ech;                                   ///< Null: encrypted hellos are not opened.
};

class HelloLeg final : public LegOpener, private TransportHandler {
 public:
  /// If an earlier router read the hello, it is read again only for its fingerprint, or to open it.
  HelloLeg(Scheduler& scheduler, const HelloLegOptions& options, FrontContext context);
  ~HelloLeg() override;

  void Open(std::unique_ptr<Transport> raw, absl::AnyInvocable<void(absl::Status)> done) override;
  std::unique_ptr<Transport> Take() override;
  bool hello_received() const override {
    return routed_ != nullptr || reader_.state() == HelloState::kDone;
  }
  bool anything_received() const override { return routed_ != nullptr || reader_.segments() > 0; }
  std::string server_name() const override;
  std::optional<HelloReport> hello() const override;
  std::string last_words() const override;

 private:
  void OnReadable() override { ReadHello(); }
  void OnWritable() override {}
  void ReadHello();
  absl::Status OpenEncrypted();
  // Returns whether an earlier router opened the hello, so that the inner one arrives.
  bool opened_before() const {
    return context_.routed != nullptr && context_.routed->server_name_hidden;
  }
  const ClientHello& client_hello() const {
    return opening_.inner != nullptr ? opening_.inner->hello : reader_.hello();
  }
  void Finish(absl::Status status);

  Scheduler& scheduler_;
  const HelloLegOptions options_;
  FrontContext context_;
  const RoutedHello* const routed_;  // Null if the hello must be read.
  ClientHelloReader reader_;
  EchOpening opening_;
  std::unique_ptr<Transport> raw_;
  absl::AnyInvocable<void(absl::Status)> done_;
  Timer first_read_;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PROXY_HELLO_LEG_H_
