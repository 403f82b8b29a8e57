// Connection: one proxied connection from accept to close, the common skeleton of all three blocks.
// It opens the front leg, chooses and dials a backend, opens the back leg, relays, and closes both.
#ifndef TRESTLE_LIB_PROXY_CONNECTION_H_
#define TRESTLE_LIB_PROXY_CONNECTION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/proxy/back_connector.h"
#include "lib/proxy/connection_plan.h"
#include "lib/proxy/content_leg.h"
#include "lib/proxy/loan.h"
#include "trestle/io/relay.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/stream_closer.h"
#include "trestle/io/transport.h"
#include "trestle/proxy/accepted.h"
#include "trestle/proxy/observer.h"
#include "trestle/proxy/proxy_block.h"

namespace trestle {

class ConnectionSet;

class Connection final : private HelloHook {
 public:
  Connection(ConnectionSet& set, uint64_t id);
  ~Connection();

  void Start(Accepted accepted);

  /// Ends the connection on this side's decision, with last bytes on each leg, within limits.
  void Cancel(absl::string_view why);

  /// Ends the connection at once, without last bytes. Reports to the observer.
  void Cut();

  /// Returns the generation of the certificates that the client received; 0 without any, or before.
  uint64_t certificate_generation() const {
    return report_.front.tls != nullptr ? report_.front.tls->certificate_generation : 0;
  }

  bool holds_buffers() const { return relay_ != nullptr && relay_->holds_buffers(); }

 private:
  enum class Stage : uint8_t {
    kOpeningFront,
    kReadingContent,
    kOpeningBack,
    kRelaying,
    kLent,
    kClosing,
    kClosed
  };

  // State until bytes flow; then freed, because there may be many open connections.
  struct Opening {
    Opening(ConnectionSet& set, ConnectionReport& report) : request{report}, back(set, report) {}

    ConnectionOrigin origin;
    std::shared_ptr<const RoutedHello> routed;  // Null without an earlier router.
    BackRequest request;
    std::shared_ptr<const RouteCheck> check;  // Of the route chosen here, if any.
    std::unique_ptr<LegOpener> front;
    std::unique_ptr<ContentLeg> content;
    std::string last_words;  // From the content reader, for the client.
    BackConnector back;
    Answer hello_answer;         // Set while a hello waits for the backend.
    absl::Status early_failure;  // Why the hello was rejected.
  };

  // State while the legs close in order.
  struct Closing {
    std::optional<StreamCloser> front;
    std::optional<StreamCloser> back;
    int legs_open = 0;
  };

  absl::Status OnHelloComplete(const HelloToAnswer& hello);
  void OnHello(HelloToAnswer hello, Answer answer) override;
  void OnFrontOpen(absl::Status status);
  void LimitByCertificate();
  void EndWithCertificate(absl::Time end);
  void ReadContent(std::unique_ptr<ContentReader> reader, const ContentRouting& options);
  void OnContentRead(absl::Status status);
  absl::Status Choose(const RouteTarget** target);
  void OnEarlyBackOpen(absl::Status status);
  void OpenBack();
  void GoTo(const RouteTarget& target);
  void HandOver(ConnectionHandler& handler);
  void Lend(ConnectionHandler& handler);
  void OnReturned();
  Accepted TakeAccepted();
  void ReportOrigin();
  void ReportFront();
  void OnBackOpen(absl::Status status);
  void StartRelay();
  void OnRelayDone(absl::Status status);

  void LimitPhase(absl::Duration limit);
  void OnPhaseTimeout();
  void OnSilence();
  Phase stage_phase() const;

  void Fail(const absl::Status& status);
  void Close(const absl::Status& status);
  std::string LastWords();
  void CollectLegs();
  void HideName();
  void OnLegClosed();
  void Finish();

  ConnectionSet& set_;
  Stage stage_ = Stage::kOpeningFront;
  ConnectionReport report_;
  ConnectionSlot slot_;
  MonotonicTime start_;  // The moment of report_.accepted.
  MonotonicTime stage_start_;
  Timer phase_timer_;
  Timer certificate_timer_;  // Set while the certificate's expiry limits the connection.
  std::unique_ptr<Opening> opening_;
  std::unique_ptr<Transport> front_;
  std::unique_ptr<Transport> back_;
  std::unique_ptr<Inspector> inspector_;
  std::unique_ptr<Relay> relay_;
  std::unique_ptr<Loan> loan_;
  std::unique_ptr<Closing> closing_;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PROXY_CONNECTION_H_
