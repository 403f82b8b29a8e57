// TLS ends for tests of the terminator and the bridge. It has a test PKI, configs, and peers that
// complete the handshake and then act as stream peers.
#ifndef TRESTLE_TESTS_PROXY_TLS_FIXTURE_H_
#define TRESTLE_TESTS_PROXY_TLS_FIXTURE_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/stream_peer.h"
#include "trestle/testing/simulated_loop.h"
#include "trestle/testing/test_pki.h"
#include "trestle/tls/certificate_store.h"
#include "trestle/tls/client_tls_config.h"
#include "trestle/tls/client_tls_target.h"
#include "trestle/tls/server_tls_config.h"
#include "trestle/tls/tls_parameters.h"
#include "trestle/tls/tls_stream.h"

namespace trestle {

/// Returns a server's config with one ECDSA certificate for `names`.
inline std::shared_ptr<const ServerTlsConfig> ServerFor(const testing::TestPki& pki, absl::Time now,
                                                        testing::LeafSpec leaf,
                                                        std::vector<std::string> alpn = {},
                                                        TlsVersion version = TlsVersion::kTls13) {
  ServerTlsOptions options;
  options.certificates = *CertificateStore::Create({pki.IssueCredential(leaf)}, now);
  options.alpn = std::move(alpn);
  options.parameters.max_version = version;
  return *ServerTlsConfig::Create(std::move(options));
}

/// Returns a client's config that trusts `pki`.
inline std::shared_ptr<const ClientTlsConfig> ClientOf(const testing::TestPki& pki,
                                                       TlsVersion version = TlsVersion::kTls13) {
  ClientTlsOptions options;
  options.ca_pem = pki.ca_pem();
  options.parameters.max_version = version;
  return *ClientTlsConfig::Create(std::move(options));
}

/// A TLS client or server in a test.
class TlsPeer {
 public:
  /// Creates a client that connects over `raw` with `target`.
  static std::unique_ptr<TlsPeer> Client(Scheduler& loop, std::unique_ptr<Transport> raw,
                                         std::shared_ptr<const ClientTlsConfig> config,
                                         const ClientTlsTarget& target) {
    return std::make_unique<TlsPeer>(
        loop, std::move(raw), *TlsEngine::NewClient(std::move(config), target, loop, Leg::kFront));
  }

  static std::unique_ptr<TlsPeer> Server(Scheduler& loop, std::unique_ptr<Transport> raw,
                                         std::shared_ptr<const ServerTlsConfig> config) {
    return std::make_unique<TlsPeer>(loop, std::move(raw),
                                     TlsEngine::NewServer(std::move(config), loop, Leg::kBack));
  }

  TlsPeer(Scheduler& loop, std::unique_ptr<Transport> raw, std::unique_ptr<TlsEngine> engine)
      : stream_(std::make_unique<TlsStream>(std::move(engine), std::move(raw), loop)) {
    stream_->Handshake([this, &loop](absl::Status status) {
      handshake_ = std::move(status);
      info_ = stream_->tls_info();
      peer_.emplace(loop, std::move(stream_));
      if (!handshake_->ok()) return peer_->End();
      peer_->Send(early_);
      if (early_end_) peer_->End();
    });
  }

  /// Sends after the handshake.
  void Send(absl::string_view bytes) {
    if (peer_.has_value()) return peer_->Send(bytes);
    early_.append(bytes.data(), bytes.size());
  }

  void End() {
    if (peer_.has_value()) return peer_->End();
    early_end_ = true;
  }

  bool handshake_done() const { return handshake_.has_value() && handshake_->ok(); }
  /// Returns the error of the handshake or of the stream after it; OK if there is none.
  absl::Status failure() const {
    if (handshake_.has_value() && !handshake_->ok()) return *handshake_;
    return peer_.has_value() ? peer_->failure() : absl::OkStatus();
  }
  std::string received() const { return peer_.has_value() ? peer_->received() : ""; }
  bool saw_end() const { return peer_.has_value() && peer_->saw_end(); }
  const TlsInfo& info() const { return info_; }
  StreamPeer& stream() { return *peer_; }

 private:
  std::unique_ptr<TlsStream> stream_;
  std::optional<absl::Status> handshake_;
  TlsInfo info_;
  std::string early_;
  bool early_end_ = false;
  std::optional<StreamPeer> peer_;
};

}  // namespace trestle

#endif  // TRESTLE_TESTS_PROXY_TLS_FIXTURE_H_
