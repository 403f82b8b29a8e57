// RawClient: BoringSSL itself as a client of a block, for what TlsPeer doesn't do: encrypted
// hellos, sessions offered to other names, hellos made by hand.
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

  /// A client at the other end of `transport`; trusts anybody.
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

  /// Encrypts its hello under the first config of `list`, whose public name stands outside.
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

  /// Asks for `name`, makes the handshake as far as it gets, and sends `text`, if it gets so far.
  void Join(const std::string& name, absl::string_view text) {
    SSL_set_tlsext_host_name(ssl(), name.c_str());
    Pump();
    if (!done()) return;
    peer_.Write(text);
    Pump();
  }

  bool done() { return SSL_in_init(ssl()) == 0; }
  int alert() const { return alert_; }

  /// Carries bytes both ways until nothing moves.
  void Pump() {
    do {
      peer_.Handshake();
      peer_.ReadAll();
      const std::string out = peer_.TakeOutput();
      if (!out.empty()) transport_->Write(AsBytes(out));
      loop_.RunReady();
    } while (Receive());
  }

  /// Sends what TLS has to say, without reading.
  void SendOutput() { Say(peer_.TakeOutput()); }

  /// Sends bytes below TLS.
  void Say(absl::string_view bytes) {
    EXPECT_EQ(transport_->Write(AsBytes(bytes)).bytes, bytes.size());
    loop_.RunReady();
  }

  /// FIN without close_notify.
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
