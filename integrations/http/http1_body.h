// Http1BodyReader: reads the body of an HTTP/1.1 message, and its trailers, into a BodyPipe.
#ifndef TRESTLE_INTEGRATIONS_HTTP_HTTP1_BODY_H_
#define TRESTLE_INTEGRATIONS_HTTP_HTTP1_BODY_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "integrations/http/body_pipe.h"
#include "integrations/http/http_exchange.h"
#include "integrations/http1/http_message.h"
#include "integrations/http1/message_reader.h"

namespace trestle {

class Http1BodyReader final : private MessageSink {
 public:
  enum class State : uint8_t { kReading, kComplete, kFailed };

  /// `limits` must outlive the reader.
  explicit Http1BodyReader(const HttpLimits& limits) : limits_(limits) {}

  /// Begins a body of this many bytes; 0 completes it at once.
  void BeginSized(uint64_t bytes);
  /// `from_client`: trailer fields that a client must not send fail the body. A backend's are left
  /// out.
  void BeginChunked(bool from_client);
  /// Begins a body that only the end of the stream ends.
  void BeginUnlimited();

  /// Reads bytes into `pipe`, and marks its end when the body is complete. Returns the number of
  /// bytes read; the caller passes the rest again, followed by more bytes.
  size_t Read(absl::string_view bytes, BodyPipe& pipe);

  /// Processes the end of the stream. A body that it truncates fails.
  void ReadEnd(BodyPipe& pipe);

  State state() const { return state_; }
  bool unlimited() const { return framing_ == Framing::kUnlimited; }
  /// Returns the reason of kFailed, with the status for a client.
  const HttpRefusal& refusal() const { return refusal_; }

 private:
  enum class Framing : uint8_t { kSized, kChunked, kTrailers, kUnlimited };

  void OnBody(absl::string_view piece) override;
  size_t ReadChunks(absl::string_view bytes, BodyPipe& pipe);
  size_t ReadTrailers(absl::string_view bytes, BodyPipe& pipe);
  void Complete(BodyPipe& pipe, HttpFields trailers = {});
  void Fail(int status, std::string reason);

  const HttpLimits& limits_;
  Framing framing_ = Framing::kSized;
  State state_ = State::kComplete;
  bool from_client_ = false;
  uint64_t left_ = 0;         // With kSized.
  size_t framing_bytes_ = 0;  // Since the last piece of a chunked body.
  MessageReader chunks_;
  HeadScanner scanner_;
  BodyPipe* pipe_ = nullptr;  // During `ReadChunks`.
  HttpRefusal refusal_;
};

/// Appends the next piece of a body, at most `room` bytes of it, in a chunk if `chunked`. Appends
/// the end of a chunked body with its trailers. Returns the number of bytes taken from `pipe`.
size_t AppendBody(std::string& out, BodyPipe& pipe, bool chunked, size_t room);

/// Appends a line of a head.
void AppendField(std::string& out, absl::string_view name, absl::string_view value);

/// Returns whether a trailer section may have this field (RFC 9110 6.5.1).
bool MayTrail(absl::string_view name);

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP_HTTP1_BODY_H_
