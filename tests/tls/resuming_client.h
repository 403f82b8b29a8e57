// ResumingClient: a client of BoringSSL alone that keeps its sessions and resumes them.
#ifndef TRESTLE_TESTS_TLS_RESUMING_CLIENT_H_
#define TRESTLE_TESTS_TLS_RESUMING_CLIENT_H_

#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "tests/tls/tls_fixture.h"

namespace trestle::testing {

/// In place of a version: TLS 1.2, by session ID.
inline constexpr uint16_t kTls12WithoutTickets = 0x12;

/// The ways in which sessions come back.
inline auto WaysToResume() {
  return ::testing::Values(uint16_t{TLS1_2_VERSION}, uint16_t{TLS1_3_VERSION},
                           kTls12WithoutTickets);
}

class ResumingClient {
 public:
  explicit ResumingClient(uint16_t version) : context_(MakeRawContext()) {
    if (version == kTls12WithoutTickets) {
      version = TLS1_2_VERSION;
      SSL_CTX_set_options(context_.get(), SSL_OP_NO_TICKET);
    }
    SSL_CTX_set_min_proto_version(context_.get(), version);
    SSL_CTX_set_max_proto_version(context_.get(), version);
    SSL_CTX_set_session_cache_mode(context_.get(), SSL_SESS_CACHE_CLIENT);
    SSL_CTX_set_app_data(context_.get(), this);
    SSL_CTX_sess_set_new_cb(context_.get(), [](SSL* ssl, SSL_SESSION* session) {
      auto* self = static_cast<ResumingClient*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
      self->sessions_.emplace_back(session);
      return 1;
    });
  }

  SSL_CTX* context() { return context_.get(); }

  /// A connection with a complete handshake, and no bytes since.
  struct Connection {
    std::unique_ptr<TlsEngine> server;
    RawPeer client;
    std::string Carry() {
      client.Carry(*server);
      return client.ReadAll();
    }
  };

  /// Connects, and offers the newest session.
  std::unique_ptr<Connection> StartConnection(std::unique_ptr<TlsEngine> server,
                                              const char* server_name) {
    auto connection =
        std::make_unique<Connection>(Connection{std::move(server), {context_.get(), false}});
    SSL* const ssl = connection->client.ssl();
    if (server_name != nullptr) SSL_set_tlsext_host_name(ssl, server_name);
    if (!sessions_.empty()) SSL_set_session(ssl, sessions_.back().get());
    connection->client.Handshake(*connection->server);
    return connection;
  }

  /// Connects, reads the tickets, and returns the server's status.
  absl::Status TryConnect(const std::shared_ptr<const ServerTlsConfig>& config, Scheduler& loop,
                          const char* server_name) {
    const auto connection =
        StartConnection(TlsEngine::NewServer(config, loop, Leg::kFront), server_name);
    connection->server->QueueTickets();
    connection->Carry();
    info_ = connection->server->info();
    return connection->server->status();
  }

  /// Connects successfully, and returns whether the session was resumed.
  bool Connect(const std::shared_ptr<const ServerTlsConfig>& config, Scheduler& loop,
               const char* server_name) {
    const absl::Status status = TryConnect(config, loop, server_name);
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(info_.local_chain.empty(), info_.resumed);
    return info_.resumed;
  }

  /// Returns the server's view of the last connection.
  const TlsInfo& info() const { return info_; }

  size_t sessions() const { return sessions_.size(); }
  void ForgetNewest() { sessions_.pop_back(); }
  void ForgetAll() { sessions_.clear(); }

 private:
  bssl::UniquePtr<SSL_CTX> context_;
  std::vector<bssl::UniquePtr<SSL_SESSION>> sessions_;
  TlsInfo info_;
};

/// Names a test by its TLS version.
inline std::string VersionName(const ::testing::TestParamInfo<uint16_t>& info) {
  if (info.param == kTls12WithoutTickets) return "Tls12WithoutTickets";
  return info.param == TLS1_2_VERSION ? "Tls12" : "Tls13";
}

}  // namespace trestle::testing

#endif  // TRESTLE_TESTS_TLS_RESUMING_CLIENT_H_
