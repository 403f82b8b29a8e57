#include "tests/watch/probe_fixture.h"

#include <algorithm>
#include <array>

namespace trestle::testing {

class ProbedServer::Connection final : private TransportHandler {
 public:
  Connection(ProbedServer& server, std::unique_ptr<Transport> raw)
      : server_(server), raw_(std::move(raw)) {
    if (server_.replies_.empty()) {
      StartTls();
    } else {
      raw_->SetHandler(this);
      Reply();
    }
  }

  bool open() const { return open_; }

 private:
  void Reply() {
    const std::string& reply = server_.replies_[next_reply_++];
    if (!reply.empty()) raw_->Write(AsBytes(reply));
    if (next_reply_ == server_.replies_.size()) return StartTls();
    OnReadable();
  }

  void StartTls() {
    stream_ = std::make_unique<TlsStream>(
        TlsEngine::NewServer(server_.config_, server_.loop_, Leg::kFront), std::move(raw_),
        server_.loop_);
    stream_->Handshake([this](const absl::Status& status) {
      server_.last_server_name_ = stream_->tls_info().server_name;
      if (!status.ok()) return End();
      stream_->SetHandler(this);
      OnReadable();
    });
  }

  void OnReadable() override {
    std::array<uint8_t, 512> buffer;
    Transport& transport = stream_ == nullptr ? *raw_ : *stream_;
    const IoResult result = transport.Read(absl::MakeSpan(buffer));
    if (result.state == IoState::kWouldBlock) return;
    if (result.state != IoState::kOk) return End();
    if (stream_ != nullptr) return OnReadable();
    server_.heard_.emplace_back(AsText(ByteView(buffer.data(), result.bytes)));
    Reply();
  }
  void OnWritable() override {}

  void End() {
    if (stream_ != nullptr) stream_->ShutdownWrite(StreamEnd::kClean);
    open_ = false;
  }

  ProbedServer& server_;
  std::unique_ptr<Transport> raw_;
  std::unique_ptr<TlsStream> stream_;
  size_t next_reply_ = 0;
  bool open_ = true;
};

ProbedServer::ProbedServer(Scheduler& loop, MemoryDialer& dialer, const Endpoint& endpoint,
                           std::shared_ptr<const ServerTlsConfig> config, const MemoryLink& link)
    : loop_(loop), config_(std::move(config)) {
  dialer.Listen(
      endpoint, [this](std::unique_ptr<Transport> raw) { Accept(std::move(raw)); },
      std::max(link.latency, absl::Milliseconds(1)), link, link);
}

ProbedServer::~ProbedServer() = default;

void ProbedServer::Accept(std::unique_ptr<Transport> raw) {
  ++accepted_;
  while (!connections_.empty() && !connections_.front()->open()) connections_.pop_front();
  connections_.push_back(std::make_unique<Connection>(*this, std::move(raw)));
}

size_t ProbedServer::open() const {
  return static_cast<size_t>(std::count_if(connections_.begin(), connections_.end(),
                                           [](const auto& c) { return c->open(); }));
}

std::shared_ptr<const ServerTlsConfig> ProbeTest::ConfigFor(const PemPair& pair,
                                                            TlsVersion version) const {
  ServerTlsOptions options;
  options.certificates =
      *CertificateStore::Create({*Credential::FromPem(pair.chain, pair.key)}, loop_.Now());
  options.parameters.max_version = version;
  return *ServerTlsConfig::Create(std::move(options));
}

LeafSpec ProbeTest::Leaf(const std::string& name, absl::Duration valid_for) const {
  LeafSpec leaf;
  leaf.dns_names = {name};
  leaf.not_after = loop_.Now() + valid_for;
  return leaf;
}

std::shared_ptr<const LegProbeConfig> ProbeTest::ConfigOf(LegProbeOptions options) const {
  if (options.checker == nullptr) {
    ChainCheckerOptions checker;
    checker.trust = *TrustStore::Create(pki_.ca_pem());
    options.checker = *ChainChecker::Create(checker);
  }
  const auto config = LegProbeConfig::Create(std::move(options));
  EXPECT_TRUE(config.ok()) << config.status();
  return *config;
}

ProbeReport ProbeTest::Probe(LegProbeTarget target, LegProbeOptions options) {
  std::optional<ProbeReport> report;
  LegProbe probe(loop_, dialer_, ConfigOf(std::move(options)), std::move(target),
                 [&](ProbeReport r) { report = std::move(r); });
  for (int i = 0; i < 1000 && !report.has_value(); ++i) loop_.RunFor(absl::Milliseconds(100));
  EXPECT_TRUE(report.has_value());
  return report.has_value() ? *std::move(report) : ProbeReport();
}

ErrorCode ProbeTest::CodeOf(const absl::Status& status) {
  const std::optional<Error> error = GetError(status);
  EXPECT_TRUE(error.has_value()) << status;
  return error.has_value() ? error->code : ErrorCode::kInternal;
}

}  // namespace trestle::testing
