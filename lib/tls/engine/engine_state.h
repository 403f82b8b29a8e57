// EngineState: the implementation of TlsEngine. engine_start.cc starts it; tls_engine.cc runs it.
#ifndef TRESTLE_LIB_TLS_ENGINE_ENGINE_STATE_H_
#define TRESTLE_LIB_TLS_ENGINE_ENGINE_STATE_H_

#include <openssl/bio.h>
#include <openssl/ssl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "lib/pki/certificate_verifier.h"
#include "lib/tls/engine/connection_state.h"
#include "lib/tls/engine/record_boundary.h"
#include "trestle/base/bytes.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/error.h"
#include "trestle/base/leg.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/transport.h"
#include "trestle/tls/client_tls_config.h"
#include "trestle/tls/client_tls_target.h"
#include "trestle/tls/hello_hook.h"
#include "trestle/tls/server_tls_config.h"
#include "trestle/tls/tls_engine.h"
#include "trestle/tls/tls_info.h"

namespace trestle {

// BoringSSL reaches the queues only through the BIO's two functions. Reads return the bytes that
// are there. Writes always succeed; the callers that fill `to_send` set the bound.
class EngineState final : public TlsEngine {
 public:
  EngineState(Scheduler& scheduler, std::optional<Leg> leg)
      : received_(scheduler.buffers()),
        to_send_(scheduler.buffers()),
        scheduler_(scheduler),
        leg_(leg),
        record_(scheduler) {}

  void StartServer(std::shared_ptr<const ServerTlsConfig> config, HelloHook* hook);
  bool StartClient(std::shared_ptr<const ClientTlsConfig> config, const std::string& sni,
                   PeerName name, const std::string& alpn, const ClientTlsTarget& target);

  IoState Handshake() override;
  IoResult Read(MutableByteView out) override;
  IoResult Write(ByteView data) override;
  void QueueTickets() override;
  void QueueCloseNotify() override;
  bool holds_buffers() const override;
  ServedChain served_chain() const override;

  void SetAdmission(absl::AnyInvocable<absl::Status()> admit) override {
    if (record_.handshake != nullptr) record_.handshake->admit = std::move(admit);
  }
  void SetHelloCheck(absl::AnyInvocable<absl::Status(const HelloToAnswer&)> check) override {
    if (record_.handshake != nullptr) record_.handshake->check_hello = std::move(check);
  }
  void SetLocalAddress(const Endpoint& address) override {
    if (record_.handshake != nullptr) record_.handshake->local_address = address;
  }
  void SetAnswerCallback(absl::AnyInvocable<void()> call) override {
    record_.wait.SetAnswerCallback(std::move(call));
  }

  ByteQueue& received() override { return received_; }
  ByteQueue& to_send() override { return to_send_; }
  void EndReceived() override { received_ended_ = true; }
  const absl::Status& status() const override { return status_; }
  bool waits_for_answer() const override { return record_.wait.waiting(); }
  bool handshake_done() const override { return stage_ >= Stage::kOpen; }
  bool tickets_wait() const override { return tickets_wait_; }
  bool anything_received() const override { return any_received_; }
  bool hello_received() const override { return record_.hello_received; }
  const TlsInfo& info() const override { return record_.info; }
  std::shared_ptr<const TlsInfo> shared_info() const override { return record_.shared_info; }
  std::optional<Leg> leg() const override { return leg_; }

 private:
  // In this order. A failure, which status_ holds, leaves the stage as it is.
  enum class Stage : uint8_t {
    kFirstBytes,  // BoringSSL sees no byte before it is clear that the peer speaks TLS.
    kHandshake,
    kAnswered,  // Server: the hello was accepted and answered.
    kOpen,
    kEnded,  // close_notify was queued; reading goes on.
  };

  // Dynamic record sizing: a record that fits into one segment of a common path, with all headers;
  // and the bytes sent in such records.
  static constexpr size_t kSmallRecordBytes = 1369;
  static constexpr size_t kSmallRecordsTotal = 128 * 1024;

  bool Start(SSL_CTX* context);
  void UseSessions(const ClientTlsTarget& target, const PeerName& name, const std::string& alpn);
  // Returns whether SSL_read would only report that it needs bytes. That call alone costs a quarter
  // of a small record.
  bool NeedsBytes() const { return starved_ && received_.empty() && !received_ended_; }
  bool is_server() const { return server_config_ != nullptr; }
  void NoteBurst();
  // Returns the maximum bytes of plaintext in the next record.
  size_t RecordLimit() const {
    const bool small = small_records_first_ && burst_bytes_ < kSmallRecordsTotal;
    return small ? kSmallRecordBytes : size_t{SSL3_RT_MAX_PLAIN_LENGTH};
  }
  IoState JudgeFirstBytes();
  bool SeesPlainAlert() const;
  IoState ReadPlainAlert();
  IoState FinishHandshake();
  IoState CheckAlpn();
  void FillInfo();
  IoState Settle(int ssl_result);
  IoState WaitForAnswer();
  void FailWaiting(absl::Duration limit);
  IoState FailByErrorQueue();
  IoState FailTruncated();
  IoState FailKeyUpdates();
  IoState Fail(Error error);
  IoState Fail(ErrorCode code, std::string detail);

  static const BIO_METHOD* BioMethod();
  static int OnBioRead(BIO* bio, char* out, int bytes);
  static int OnBioWrite(BIO* bio, const char* data, int bytes);
  static long OnBioControl(BIO* bio, int command, long number, void* pointer);

  ByteQueue received_;
  ByteQueue to_send_;
  Scheduler& scheduler_;
  const std::optional<Leg> leg_;
  std::shared_ptr<const ServerTlsConfig> server_config_;  // One of the two is set.
  std::shared_ptr<const ClientTlsConfig> client_config_;
  ConnectionState record_;
  absl::Status status_;
  RecordBoundary boundary_;  // Follows BoringSSL's input during the handshake.
  Stage stage_ = Stage::kFirstBytes;
  bool any_received_ = false;
  bool received_ended_ = false;
  bool plain_alert_ahead_ = false;  // BoringSSL must not read it.
  bool starved_ = false;            // BoringSSL holds no plaintext and saw no end.
  bool tickets_wait_ = false;
  bool needs_alpn_ = false;
  bool small_records_first_ = false;
  size_t burst_bytes_ = 0;  // Written since the last long silence.
  MonotonicTime last_write_;
  bssl::UniquePtr<SSL> ssl_;  // Last: it refers to the rest.
};

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_ENGINE_ENGINE_STATE_H_
