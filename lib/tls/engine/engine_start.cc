// Starts a TlsEngine: its SSL, its BIO, and the session that a client offers.
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "lib/tls/engine/engine_state.h"
#include "lib/tls/engine/tls_context.h"
#include "lib/tls/engine/tls_internals.h"
#include "lib/tls/sessions/session_memory.h"
#include "trestle/base/error.h"
#include "trestle/tls/client_session_cache.h"

namespace trestle {
namespace {

constexpr uint8_t kHandshakeRecord = 22;

}  // namespace

const BIO_METHOD* EngineState::BioMethod() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(0, "trestle");
    BIO_meth_set_read(made, OnBioRead);
    BIO_meth_set_write(made, OnBioWrite);
    BIO_meth_set_ctrl(made, OnBioControl);
    return made;
  }();
  return method;
}

int EngineState::OnBioRead(BIO* bio, char* out, int bytes) {
  EngineState& state = *static_cast<EngineState*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  state.plain_alert_ahead_ = state.SeesPlainAlert();
  const bool readable =
      !state.received_.empty() && state.stage_ != Stage::kFirstBytes && !state.plain_alert_ahead_;
  if (!readable) {
    if (state.received_ended_ && !state.plain_alert_ahead_) return 0;
    BIO_set_retry_read(bio);
    return -1;
  }
  const MutableByteView room(reinterpret_cast<uint8_t*>(out), static_cast<size_t>(bytes));
  const size_t taken = state.received_.CopyOut(room);
  if (!state.handshake_done()) state.boundary_.Take(room.subspan(0, taken));
  return static_cast<int>(taken);
}

int EngineState::OnBioWrite(BIO* bio, const char* data, int bytes) {
  EngineState& state = *static_cast<EngineState*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (bytes <= 0) return 0;
  const bool answers = state.is_server() && state.stage_ == Stage::kHandshake;
  if (answers && static_cast<uint8_t>(data[0]) == kHandshakeRecord) state.stage_ = Stage::kAnswered;
  state.to_send_.Append(
      ByteView(reinterpret_cast<const uint8_t*>(data), static_cast<size_t>(bytes)));
  return bytes;
}

long EngineState::OnBioControl(BIO* /*bio*/, int command, long /*number*/, void* /*pointer*/) {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

bool EngineState::Start(SSL_CTX* context) {
  ERR_clear_error();
  ssl_.reset(SSL_new(context));
  bssl::UniquePtr<BIO> bio(BIO_new(BioMethod()));
  if (ssl_ == nullptr || bio == nullptr) return false;
  BIO_set_data(bio.get(), this);
  BIO_set_init(bio.get(), 1);
  BIO* shared = bio.release();
  SSL_set_bio(ssl_.get(), shared, shared);
  SSL_set_shed_handshake_config(ssl_.get(), 1);
  record_.Attach(ssl_.get());
  record_.handshake = std::make_unique<HandshakeState>();
  return true;
}

void EngineState::StartServer(std::shared_ptr<const ServerTlsConfig> config, HelloHook* hook) {
  server_config_ = std::move(config);
  if (!Start(TlsInternals::Native(*server_config_))) {
    Fail(ErrorCode::kInternal, "out of memory");
    return;
  }
  record_.handshake->server = server_config_.get();
  record_.key_updates.SetLimit(server_config_->options().max_key_updates_per_minute);
  small_records_first_ = server_config_->options().dynamic_record_sizing;
  record_.handshake->hook = hook;
  SSL_set_accept_state(ssl_.get());
}

bool EngineState::StartClient(std::shared_ptr<const ClientTlsConfig> config, const std::string& sni,
                              PeerName name, const std::string& alpn,
                              const ClientTlsTarget& target) {
  client_config_ = std::move(config);
  if (!Start(TlsInternals::Native(*client_config_))) return false;
  SSL* ssl = ssl_.get();
  SSL_set_connect_state(ssl);
  needs_alpn_ = !alpn.empty() && !target.alpn_optional;
  // SSL_set_alpn_protos returns 0 for success, unlike similar functions.
  if (!alpn.empty() && SSL_set_alpn_protos(ssl, AsBytes(alpn).data(), alpn.size()) != 0)
    return false;
  if (client_config_->options().request_staple) SSL_enable_ocsp_stapling(ssl);
  if (!sni.empty() && !SSL_set_tlsext_host_name(ssl, sni.c_str())) return false;
  record_.info.server_name = sni;
  record_.handshake->client = client_config_.get();
  if (const auto& credential = client_config_->options().credential; credential != nullptr) {
    record_.handshake->offered = {credential};
  }
  if (target.sessions != nullptr) UseSessions(target, name, alpn);
  record_.handshake->expected_name = std::move(name);
  return true;
}

// The target key covers all that distinguishes connections to the server, and all that verification
// used.
void EngineState::UseSessions(const ClientTlsTarget& target, const PeerName& name,
                              const std::string& alpn) {
  SessionMemory& memory = TlsInternals::Memory(*target.sessions);
  const std::string& policy = client_config_->policy();
  const std::string server = target.host.empty() ? target.endpoint.ToString() : target.host;
  record_.resumption = std::make_unique<ResumptionState>(
      ResumptionState{memory, absl::StrCat(policy, server, " ", record_.info.server_name, " ",
                                           name.ToString(), " ", alpn)});
  ResumptionState& resumption = *record_.resumption;
  const uint16_t group = memory.LearnedGroup(resumption.target, scheduler_.MonotonicNow());
  if (group != 0) {
    SSL_set1_client_key_shares(ssl_.get(), &group, 1);
  }
  ClientSession session = memory.Take(resumption.target, policy, scheduler_);
  if (session.session == nullptr || !SSL_set_session(ssl_.get(), session.session.get())) return;
  resumption.offered = true;
  resumption.peer = std::move(session.peer);
}

std::unique_ptr<TlsEngine> TlsEngine::NewServer(std::shared_ptr<const ServerTlsConfig> config,
                                                Scheduler& scheduler, std::optional<Leg> leg,
                                                HelloHook* hook) {
  auto engine = std::make_unique<EngineState>(scheduler, leg);
  engine->StartServer(std::move(config), hook);
  return engine;
}

absl::StatusOr<std::unique_ptr<TlsEngine>> TlsEngine::NewClient(
    std::shared_ptr<const ClientTlsConfig> config, const ClientTlsTarget& target,
    Scheduler& scheduler, std::optional<Leg> leg) {
  std::string sni;
  if (!target.server_name.empty()) {
    absl::StatusOr<PeerName> sent = PeerName::Parse(target.server_name);
    if (!sent.ok()) return AtLeg(sent.status(), leg, Phase::kSetUp);
    if (!sent->uri.empty()) {
      return AtLeg(ConfigurationError(absl::StrCat(
                       "\"", target.server_name,
                       "\" is a URI, which can't be a server name; it can be a name to verify")),
                   leg, Phase::kSetUp);
    }
    sni = std::move(sent->dns_name);
  }
  absl::StatusOr<PeerName> name = PeerName();
  if (config->options().peer_uris.empty()) {
    name = PeerName::Parse(target.verify_name.empty() ? target.server_name : target.verify_name);
    if (!name.ok()) return AtLeg(name.status(), leg, Phase::kSetUp);
  }
  absl::StatusOr<std::string> alpn = EncodeAlpn(target.alpn);
  if (!alpn.ok()) return AtLeg(alpn.status(), leg, Phase::kSetUp);
  auto engine = std::make_unique<EngineState>(scheduler, leg);
  if (!engine->StartClient(std::move(config), sni, *std::move(name), *alpn, target)) {
    return AtLeg(ConfigurationError("the connection could not be set up"), leg, Phase::kSetUp);
  }
  return engine;
}

}  // namespace trestle
