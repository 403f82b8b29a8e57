// RawClient: BoringSSL alone as a client of a block, for functions that TlsPeer lacks: encrypted
// hellos, sessions offered for other names, hand-made hellos.
#ifndef TRESTLE_TESTS_PROXY_RAW_CLIENT_H_
#define TRESTLE_TESTS_PROXY_RAW_CLIENT_H_

#include <openssl/ssl.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "tests/tls/tls_fixture.h"
#include "trestle/io/transport.h"
#include "trestle/testing/simulated_loop.h"

namespace trestle::testing {

class RawClient {
 public:
  static constexpr int kNoAlert = -1;

  /// Creates a client at the other end of `transport`; it trusts every server.
  RawClient(SimulatedLoop& loop, std::unique_ptr<Transport> transport, SSL_CTX* context)
      : loop_(loop), transport_(std::move(transport)), peer_(context, /*is_server=*/false) {
    SSL_set_app_data(ssl(), this);
    SSL_set_info_callback(ssl(), [](const SSL* ssl, int type, int value) {
      if (type == SSL_CB_READ_ALERT && (value >> 8) == SSL3_AL_FATAL) {
        static_cast<RawClient*>(SSL_get_app_data(ssl))->alert_ = value & 0xff;
      }
    });
  }

  SSL* ssl() { return peer_.ssl(); }

  /// Encrypts its hello with the first config of `list`, whose public name is in the outer hello.
  void UseEch(const std::string& list) {
    EXPECT_TRUE(SSL_set1_ech_config_list(ssl(), reinterpret_cast<const uint8_t*>(list.data()),
                                         list.size()));
  }

  /// Offers one application protocol.
  void Offer(absl::string_view protocol) {
    const std::string wire = static_cast<char>(protocol.size()) + std::string(protocol);
    EXPECT_EQ(
        SSL_set_alpn_protos(ssl(), reinterpret_cast<const uint8_t*>(wire.data()), wire.size()), 0);
  }

  /// Requests `name`, continues the handshake as far as possible, and then sends `text`.
  void Join(const std::string& name, absl::string_view text) {
    SSL_set_tlsext_host_name(ssl(), name.c_str());
    Pump();
    if (!done()) return;
    peer_.Write(text);
    Pump();
  }

  bool done() { return SSL_in_init(ssl()) == 0; }
  int alert() const { return alert_; }

  /// Carries bytes in both directions until none are left.
  void Pump() {
    do {
      peer_.Handshake();
      peer_.ReadAll();
      const std::string out = peer_.TakeOutput();
      if (!out.empty()) transport_->Write(AsBytes(out));
      loop_.RunReady();
    } while (Receive());
  }

  /// Sends TLS's pending output, without reading.
  void SendOutput() { Say(peer_.TakeOutput()); }

  /// Sends bytes below TLS.
  void Say(absl::string_view bytes) {
    EXPECT_EQ(transport_->Write(AsBytes(bytes)).bytes, bytes.size());
    loop_.RunReady();
  }

  /// Sends a FIN without close_notify.
  void End() {
    transport_->ShutdownWrite(StreamEnd::kClean);
    loop_.RunReady();
  }

 private:
  bool Receive() {
    std::array<uint8_t, 16 * 1024> buffer;
    const IoResult result = transport_->Read(MutableByteView(buffer.data(), buffer.size()));
    peer_.GiveInput(AsText(ByteView(buffer.data(), result.bytes)));
    return result.bytes > 0;
  }

  SimulatedLoop& loop_;
  std::unique_ptr<Transport> transport_;
  RawPeer peer_;
  int alert_ = kNoAlert;
};

}  // namespace trestle::testing

#endif  // TRESTLE_TESTS_PROXY_RAW_CLIENT_H_
