#include "tests/proxy/front_scene.h"

#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/log/check.h"
#include "trestle/pki/trust_store.h"

namespace trestle::testing {
namespace {

// The position of the alert in a record of its own.
constexpr size_t kAlertAt = 6;
constexpr char kAlertRecord = 21;

// A socket that fails on reads.
class BrokenSocket final : public Transport {
 public:
  explicit BrokenSocket(const std::string& words)
      : failure_(MakeError(ErrorCode::kTransport, Phase::kRelay, words)) {}

  IoResult Read(MutableByteView) override { return {0, IoState::kFailed}; }
  IoResult Write(ByteView) override { return {0, IoState::kFailed}; }
  IoResult ShutdownWrite(StreamEnd) override { return {0, IoState::kFailed}; }
  void Abort() override {}
  void SetHandler(TransportHandler*) override {}
  absl::Status status() const override { return failure_; }
  TransportInfo info() const override { return {}; }

 private:
  const absl::Status failure_;
};

}  // namespace

FrontScene::FrontScene() : context_(MakeRawContext()) {
  tls.certificates = *CertificateStore::Create({pki.IssueCredential(Leaf())}, loop.Now());
  proxy.backend = backend.endpoint;
  SSL_CTX_set_info_callback(context_.get(), [](const SSL* ssl, int type, int value) {
    constexpr int kFatal = SSL3_AL_FATAL << 8;
    if (type == SSL_CB_READ_ALERT && value >= kFatal) {
      static_cast<FrontScene*>(SSL_get_app_data(ssl))->alert_ = value - kFatal;
    }
  });
}

FrontScene::~FrontScene() = default;

LeafSpec FrontScene::Leaf() { return LeafFor("app.test"); }

void FrontScene::Offer(const std::string& protocol) {
  const std::string wire = static_cast<char>(protocol.size()) + protocol;
  CHECK_EQ(SSL_CTX_set_alpn_protos(context_.get(), reinterpret_cast<const uint8_t*>(wire.data()),
                                   wire.size()),
           0);
}

void FrontScene::AskForCertificates(ClientAuthPolicy policy, const std::string& crls) {
  policy.certificate = ClientCertificate::kRequired;
  policy.trust = *TrustStore::Create(pki.ca_pem(), crls);
  ClientAuthOptions options;
  options.otherwise = std::move(policy);
  tls.client_authentication = *ClientAuthentication::Create(std::move(options));
}

void FrontScene::Start() {
  proxy.front_tls = *ServerTlsConfig::Create(tls);
  proxy.connection.limiter = *ConnectionLimiter::Create(limits);
  auto made = TlsTerminator::Create(loop, dialer, std::move(proxy), &observer);
  CHECK_OK(made.status());
  block_ = *std::move(made);
}

void FrontScene::Connect() {
  if (transport_ != nullptr) earlier_.push_back(std::move(transport_));
  transport_ = ConnectTo(*block_, loop);
  speaks_tls_ = ended_ = false;
  peer_ = std::make_unique<RawPeer>(context_.get(), /*is_server=*/false);
  SSL_set_app_data(peer_->ssl(), this);
  SSL_set_tlsext_host_name(peer_->ssl(), "app.test");
}

void FrontScene::SayHello(size_t bytes) {
  Connect();
  speaks_tls_ = true;
  peer_->Handshake();
  Say(absl::string_view(peer_->TakeOutput()).substr(0, bytes));
}

void FrontScene::Join(const std::string& name) {
  Connect();
  speaks_tls_ = true;
  SSL_set_tlsext_host_name(peer_->ssl(), name.c_str());
  Pump();
}

void FrontScene::Say(absl::string_view bytes) {
  if (transport_ == nullptr) Connect();
  CHECK_EQ(transport_->Write(AsBytes(bytes)).bytes, bytes.size());
  loop.RunReady();
}

void FrontScene::Send(absl::string_view text) {
  peer_->Write(text);
  Pump();
}

void FrontScene::End() {
  ended_ = true;
  transport_->ShutdownWrite(StreamEnd::kClean);
  loop.RunReady();
}

void FrontScene::Cut() {
  transport_->Abort();
  transport_.reset();
  loop.RunReady();
}

void FrontScene::ConnectByBrokenSocket(const std::string& words) {
  block_->Serve(std::make_unique<BrokenSocket>(words));
  loop.RunReady();
}

void FrontScene::Pump() {
  do {
    if (speaks_tls_) peer_->Handshake();
    if (speaks_tls_) peer_->ReadAll();
    const std::string out = peer_->TakeOutput();
    if (!out.empty() && !ended_) transport_->Write(AsBytes(out));
    loop.RunReady();
  } while (Receive());
  if (speaks_tls_) peer_->ReadAll();
}

bool FrontScene::Receive() {
  std::array<uint8_t, 16 * 1024> buffer;
  const IoResult result = transport_->Read(MutableByteView(buffer.data(), buffer.size()));
  if (result.bytes == 0) return false;
  const absl::string_view bytes = AsText(ByteView(buffer.data(), result.bytes));
  if (speaks_tls_) {
    peer_->GiveInput(bytes);
  } else if (bytes.size() > kAlertAt && bytes.front() == kAlertRecord) {
    alert_ = static_cast<uint8_t>(bytes[kAlertAt]);
  }
  return true;
}

void FrontScene::Finish() {
  loop.RunReady();
  if (transport_ != nullptr) Pump();
  loop.RunFor(ConnectionOptions().close_timeout);
}

}  // namespace trestle::testing
