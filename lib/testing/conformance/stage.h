// Stage: two connected transports of a host, and the common steps of the conformance cases.
#ifndef TRESTLE_LIB_TESTING_CONFORMANCE_STAGE_H_
#define TRESTLE_LIB_TESTING_CONFORMANCE_STAGE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/error.h"
#include "trestle/io/dialer.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/transport.h"
#include "trestle/testing/transport_conformance.h"

namespace trestle::testing {

/// One end of a connection. Counts the callbacks, and records violations: a callback inside a call,
/// or a number of bytes that does not match the result.
class StageEnd final : public TransportHandler {
 public:
  StageEnd(std::unique_ptr<Transport> transport, Scheduler& scheduler, uint64_t seed);
  ~StageEnd();

  /// Single calls. `Read` appends the bytes to `received`.
  IoState Read(size_t most_bytes = 16 * 1024);
  /// Writes once, at most `bytes`; returns the state. Appends the accepted bytes to `accepted`.
  IoState Write(absl::string_view bytes);
  IoState Shutdown(StreamEnd end);
  void Abort();

  /// Reads all bytes from now on, in pieces of random sizes, up to the end.
  void ReadOn();
  /// Pauses and continues `ReadOn`.
  void PauseReading() { reads_on_ = false; }

  /// Writes `bytes` in pieces of random sizes, as the peer reads; then ends the direction with
  /// `end`, if there is one. The last piece goes through WriteBeforeEnd if `end` is kClean.
  void Send(std::string bytes, std::optional<StreamEnd> end = std::nullopt);

  /// Destroys the transport.
  void Destroy() { transport_.reset(); }
  bool destroyed() const { return transport_ == nullptr; }

  Transport& transport() { return *transport_; }
  /// The code of `status()`; none while that is OK or no Error.
  std::optional<ErrorCode> code() const;

  bool all_sent() const { return unsent_.empty() && (!end_.has_value() || end_state_.has_value()); }
  bool saw_end() const { return read_end_ == IoState::kEndOfStream; }
  bool saw_failure() const { return read_end_ == IoState::kFailed; }
  bool reading_is_over() const { return read_end_.has_value(); }
  std::optional<IoState> end_state() const { return end_state_; }
  bool write_failed() const { return write_failed_; }

  int readable = 0;
  int writable = 0;
  int nested = 0;      ///< Callbacks inside a call.
  int odd_counts = 0;  ///< Results with a number of bytes that the rules or the buffer forbid.
  int overruns = 0;    ///< Reads that wrote past their buffer.
  std::string received;
  std::string accepted;
  absl::AnyInvocable<void()> on_readable;
  absl::AnyInvocable<void()> on_writable;

 private:
  void OnReadable() override;
  void OnWritable() override;
  void Kick();
  void PumpReads();
  void PumpWrites();
  IoResult Note(IoResult result, size_t most_bytes);

  std::unique_ptr<Transport> transport_;
  Scheduler& scheduler_;
  std::mt19937_64 random_;
  bool in_call_ = false;
  bool reads_on_ = false;
  bool sends_ = false;
  bool read_waits_ = false;
  bool write_waits_ = false;
  bool write_failed_ = false;
  std::string unsent_;
  std::optional<StreamEnd> end_;
  std::optional<IoState> end_state_;
  std::optional<IoState> read_end_;
  Timer kick_;
};

class Stage {
 public:
  /// Makes a host, and by `Connect` two transports: `a` is the tested one, `b` its peer. The seed
  /// selects which of them was dialed.
  Stage(ConformanceHostFactory& new_host, uint64_t seed);
  ~Stage();

  bool Connect();

  Scheduler& loop() { return host_->scheduler(); }
  ConformanceHost& host() { return *host_; }
  const ConformanceTraits& traits() const { return traits_; }
  bool Until(absl::FunctionRef<bool()> done) { return host_->RunUntil(done); }

  /// Runs everything that is pending: bytes in flight, calls that are due.
  void Settle();

  /// Makes `a` write until a write blocks. Returns false if it accepts bytes without a bound, or a
  /// write fails.
  bool FillUp();
  /// Repeat a call until its result is not kWouldBlock, or its callback does not come.
  IoState ReadWhenReady(StageEnd& end);
  IoState ShutdownWhenReady(StageEnd& end, StreamEnd how);

  /// Writes to a closed peer. Returns false if no write fails.
  bool WriteUntilFailure(StageEnd& end);

  size_t RandomSize(size_t most) { return 1 + random() % most; }
  std::string RandomBytes(size_t size);

  /// The transports that were accepted beyond those of `Connect`.
  std::vector<std::unique_ptr<Transport>> accepted_transports;
  Endpoint listening;
  std::mt19937_64 random;
  std::unique_ptr<StageEnd> a;
  std::unique_ptr<StageEnd> b;

 private:
  std::unique_ptr<ConformanceHost> host_;
  const ConformanceTraits traits_;
  std::unique_ptr<Dial> dial_;
};

}  // namespace trestle::testing

#endif  // TRESTLE_LIB_TESTING_CONFORMANCE_STAGE_H_
