// Two TlsEngines over a wire that the input cuts, delays and corrupts. Each byte of the input is a
// step of the two programs or of the wire. What one engine reads is what the other wrote, and an
// end is clean only if it was sent. As a libFuzzer program, BoringSSL encrypts nothing: mutations
// then reach the messages of the handshake (CRYPTO_set_fuzzer_mode), and may change the content.
#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "tests/fuzz/fuzz_input.h"
#include "trestle/base/error.h"
#include "trestle/pki/trust_store.h"
#include "trestle/testing/simulated_loop.h"
#include "trestle/testing/test_pki.h"
#include "trestle/tls/certificate_store.h"
#include "trestle/tls/client_authentication.h"
#include "trestle/tls/client_session_cache.h"
#include "trestle/tls/client_tls_config.h"
#include "trestle/tls/server_tls_config.h"
#include "trestle/tls/tls_engine.h"

namespace trestle {
namespace {

#if defined(FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION)
constexpr bool kEncrypts = false;
#else
constexpr bool kEncrypts = true;
#endif

// The configurations that the first byte of an input selects.
struct Setup {
  Setup() : pki(testing::SimulatedLoop().Now()) {
    for (const bool tls12 : {false, true}) {
      for (const bool client_certificate : {false, true}) {
        servers[tls12][client_certificate] = NewServer(tls12, client_certificate);
      }
    }
    ClientTlsOptions options;
    options.ca_pem = pki.ca_pem();
    options.credential = pki.IssueCredential({{"client.test"}});
    client = *ClientTlsConfig::Create(std::move(options));
  }

  std::shared_ptr<const ServerTlsConfig> NewServer(bool tls12, bool client_certificate) const {
    ServerTlsOptions options;
    options.certificates = *CertificateStore::Create({pki.IssueCredential({{"a.test"}})},
                                                     testing::SimulatedLoop().Now());
    options.alpn = {"h2", "http/1.1"};
    if (tls12) options.parameters.max_version = TlsVersion::kTls12;
    if (client_certificate) {
      ClientAuthOptions authentication;
      authentication.otherwise.certificate = ClientCertificate::kRequired;
      authentication.otherwise.trust = *TrustStore::Create(pki.ca_pem());
      options.client_authentication = *ClientAuthentication::Create(authentication);
    }
    return *ServerTlsConfig::Create(std::move(options));
  }

  const testing::TestPki pki;
  std::array<std::array<std::shared_ptr<const ServerTlsConfig>, 2>, 2> servers;
  std::shared_ptr<const ClientTlsConfig> client;
};

struct Side {
  std::unique_ptr<TlsEngine> engine;
  std::string wire;  // Bytes that the engine sent and the other side has not received.
  std::string written;
  std::string read;
  bool closed = false;      // Sent close_notify after the handshake.
  bool reads = true;        // Neither failed nor at the end of the stream.
  bool wire_ended = false;  // EndReceived() was called.
};

class Conversation {
 public:
  Conversation(const Setup& setup, uint8_t choice) {
    const auto& server = setup.servers[choice & 1][choice >> 1 & 1];
    ClientTlsTarget target;
    target.server_name = "a.test";
    target.alpn = {choice & 4 ? "http/1.1" : "h2"};
    if (choice & 8) target.sessions = &sessions_;
    sides_[0].engine = *TlsEngine::NewClient(setup.client, target, loop_, Leg::kBack);
    sides_[1].engine = TlsEngine::NewServer(server, loop_, Leg::kFront);
    for (int side : {0, 1}) Drive(side);
  }

  void Step(FuzzInput& input) {
    const uint8_t step = input.Byte();
    const int from = step & 1;
    switch (step >> 1 & 7) {
      case 0:
        return Carry(from, input.Number());
      case 1:
        return CarryAll();
      case 2:
        return Corrupt(from, input);
      case 3:
        return Write(from, input.Number());
      case 4:
        return Close(from);
      case 5:
        return EndWire(from);
      case 6:
        sides_[1].engine->QueueTickets();
        return Drive(1);
      case 7:
        loop_.RunFor(absl::Minutes(input.Byte()));
        return Drive(from);
    }
  }

  void Finish() {
    CarryAll();
    for (int side : {0, 1}) {
      EndWire(side);
      Require(!sides_[side].reads, "a stream whose bytes have ended ends");
    }
  }

 private:
  static constexpr size_t kOneRecordBytes = 17 * 1024;

  void Carry(int from, size_t bytes) {
    Side& to = sides_[1 - from];
    const std::string part = sides_[from].wire.substr(0, bytes);
    sides_[from].wire.erase(0, part.size());
    if (!to.reads || to.wire_ended) return;
    to.engine->received().Append(AsBytes(part));
    Drive(1 - from);
  }

  void CarryAll() {
    for (int turn = 0; turn < 32 && sides_[0].wire.size() + sides_[1].wire.size() > 0; ++turn) {
      Carry(turn & 1, kAll);
    }
  }

  // Removes, inserts or changes bytes on their way.
  void Corrupt(int from, FuzzInput& input) {
    std::string& wire = sides_[from].wire;
    const size_t at = input.Number() % (wire.size() + 1);
    const uint8_t how = input.Byte();
    tampered_ = true;
    switch (how & 3) {
      case 0:
        wire.erase(at, how >> 2);
        return;
      case 1:
        wire.insert(at, std::string(input.Text(how >> 2)));
        return;
      case 2:
        wire.insert(at, wire.substr(at, how >> 2));
        return;
      case 3:
        if (at < wire.size()) wire[at] = static_cast<char>(wire[at] ^ input.Byte());
        return;
    }
  }

  void Write(int side, size_t bytes) {
    Side& writer = sides_[side];
    if (writer.closed || bytes == 0) return;
    std::string text(bytes, '\0');
    for (size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>('a' + (i + bytes) % 26);
    const IoResult result = writer.engine->Write(AsBytes(text));
    if (result.state == IoState::kOk) {
      Require(result.bytes > 0 && result.bytes <= bytes, "a write takes what it was given");
      writer.written.append(text, 0, result.bytes);
    }
    Drive(side);
  }

  void Close(int side) {
    Side& closer = sides_[side];
    if (closer.engine->handshake_done() && closer.engine->status().ok()) closer.closed = true;
    closer.engine->QueueCloseNotify();
    Drive(side);
  }

  void EndWire(int side) {
    if (std::exchange(sides_[side].wire_ended, true)) return;
    sides_[side].engine->EndReceived();
    Drive(side);
  }

  // Lets the engine process what it has, and checks what it promises.
  void Drive(int side) {
    Side& self = sides_[side];
    const Side& other = sides_[1 - side];
    IoResult result{0, self.engine->Handshake()};
    std::array<uint8_t, 4096> out;
    while (result.state == IoState::kOk) {
      result = self.engine->Read(MutableByteView(out.data(), out.size()));
      if (result.state == IoState::kOk) self.read.append(AsText({out.data(), result.bytes}));
    }
    if (kEncrypts) {
      Require(absl::string_view(other.written).substr(0, self.read.size()) == self.read,
              "what is read was written");
    }
    if (result.state == IoState::kEndOfStream) {
      Require(!kEncrypts || (other.closed && self.read == other.written),
              "a clean end comes after all bytes");
    }
    if (result.state == IoState::kFailed) CheckFailure(self);
    if (result.state == IoState::kWouldBlock) {
      Require(self.engine->received().size() <= 7, "received bytes are consumed");
    } else {
      self.reads = false;
      self.engine->received().Clear();
    }
    Require(self.engine->to_send().size() <= TlsEngine::kSendLimitBytes + kOneRecordBytes,
            "what waits to be sent is bounded");
    self.wire.append(AsText(self.engine->to_send().view()));
    self.engine->to_send().Clear();
  }

  void CheckFailure(const Side& self) const {
    const auto error = GetError(self.engine->status());
    Require(error.has_value() && error->leg == self.engine->leg(), "a failure has a type and leg");
    Require(!error->detail.empty(), "a failure has a reason");
    Require(tampered_ || self.wire_ended || !sides_[0].engine->status().ok() ||
                !sides_[1].engine->status().ok(),
            "nothing fails on its own");
    Require(error->code != ErrorCode::kInternal || self.closed, "no failure is our own");
  }

  static constexpr size_t kAll = static_cast<size_t>(-1);

  testing::SimulatedLoop loop_;
  ClientSessionCache sessions_;
  std::array<Side, 2> sides_;  // The client and the server.
  bool tampered_ = false;
};

}  // namespace
}  // namespace trestle

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
#if defined(FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION)
  CRYPTO_set_fuzzer_mode(0);
  RAND_reset_for_fuzzing();
#endif
  static const auto* const setup = new trestle::Setup;
#if defined(FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION)
  CRYPTO_set_fuzzer_mode(1);
#endif
  trestle::FuzzInput input(data, size);
  trestle::Conversation conversation(*setup, input.Byte());
  for (int steps = 0; !input.empty() && steps < 200; ++steps) conversation.Step(input);
  conversation.Finish();
  return 0;
}
