// RawBackend: a backend of BoringSSL alone, which can do things that TlsEngine never does.
#ifndef TRESTLE_TESTS_PROXY_RAW_BACKEND_H_
#define TRESTLE_TESTS_PROXY_RAW_BACKEND_H_

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/strings/string_view.h"
#include "tests/tls/tls_fixture.h"
#include "trestle/base/bytes.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/transport.h"

namespace trestle {

class RawBackend final : public TransportHandler {
 public:
  RawBackend(Scheduler& loop, std::unique_ptr<Transport> transport, SSL_CTX* context)
      : transport_(std::move(transport)), tls_(context, /*is_server=*/true) {
    transport_->SetHandler(this);
    start_ = loop.RunAfter(absl::ZeroDuration(), [this] { OnReadable(); });
  }
  ~RawBackend() { transport_->SetHandler(nullptr); }

  void OnReadable() override {
    std::array<uint8_t, 16384> bytes;
    while (true) {
      const IoResult result = transport_->Read(absl::MakeSpan(bytes));
      if (result.state != IoState::kOk) break;
      tls_.GiveInput(AsText(ByteView(bytes.data(), result.bytes)));
    }
    int error = tls_.Handshake();
    if (error == SSL_ERROR_NONE) received += tls_.ReadAll(&error);
    if (error == SSL_ERROR_SSL) {
      const int reason = ERR_GET_REASON(ERR_peek_error());
      if (reason >= SSL_AD_REASON_OFFSET) alert_heard = reason - SSL_AD_REASON_OFFSET;
    }
    const std::string out = tls_.TakeOutput();
    if (!out.empty()) transport_->Write(AsBytes(out));
    if (after_output && !out.empty()) after_output(*transport_);
  }
  void OnWritable() override {}

  /// Sends after the handshake; session tickets come first.
  void Send(absl::string_view bytes) {
    tls_.Write(bytes);
    transport_->Write(AsBytes(tls_.TakeOutput()));
  }

  SSL* ssl() { return tls_.ssl(); }

  absl::AnyInvocable<void(Transport&)> after_output;
  std::string received;
  int alert_heard = -1;

 private:
  std::unique_ptr<Transport> transport_;
  testing::RawPeer tls_;
  Timer start_;
};

}  // namespace trestle

#endif  // TRESTLE_TESTS_PROXY_RAW_BACKEND_H_
