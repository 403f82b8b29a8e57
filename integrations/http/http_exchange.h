// The model of one request and its response, which is the same for HTTP/1.1 and HTTP/2. The codecs
// of both legs and the exchange between them meet by its interfaces.
#ifndef TRESTLE_INTEGRATIONS_HTTP_HTTP_EXCHANGE_H_
#define TRESTLE_INTEGRATIONS_HTTP_HTTP_EXCHANGE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "integrations/http/body_pipe.h"
#include "integrations/http/http_fields.h"
#include "integrations/http1/http_message.h"
#include "trestle/base/monotonic_time.h"

namespace trestle {

enum class HttpVersion : uint8_t { kHttp10, kHttp11, kHttp2 };

/// Returns "HTTP/1.1" and so on.
absl::string_view EnumName(HttpVersion version);

/// The head of a request. It is valid, and all readers understand it in the same way. `fields` has
/// neither Host, Content-Length and Expect nor fields of one connection (RFC 9110 7.6.1), except
/// `te: trailers`.
struct HttpRequest {
  HttpVersion version = HttpVersion::kHttp11;
  std::string method;
  std::string authority;  ///< As sent, with the port; may be empty in HTTP/1.0.
  std::string host;       ///< `authority` without port, normalised (see `HostOf`).
  std::string target;     ///< "/path?query", or "*" for OPTIONS.
  /// The protocol to change to: Upgrade of HTTP/1.1, :protocol of HTTP/2 (RFC 8441); or empty.
  std::string protocol;
  HttpFields fields;
  std::optional<uint64_t> content_length;
  bool has_body = false;  ///< A body follows, which may turn out to be empty.
  bool expects_continue = false;

  /// Returns `target` without its query.
  absl::string_view path() const;
};

/// The head of a response. For `fields`, see `HttpRequest`.
struct HttpResponse {
  int status = 0;
  HttpFields fields;
  /// The size of the body; or, for a response to HEAD and for 304, what it would be.
  std::optional<uint64_t> content_length;
};

/// Returns whether a response has no body, whatever its fields say (RFC 9110 6.4.1).
bool HasNoBody(int status, bool to_head);

/// One response in progress, towards the client. A server codec implements it. The codec ends it by
/// `HttpExchange::OnClientGone` or `OnResponseSent`; it is invalid from then on.
class FrontStream {
 public:
  /// Sends a 1xx response, if the client's version has them.
  virtual void SendInformational(const HttpResponse& response) = 0;

  /// Sends the head. The body and trailers follow from `HttpExchange::response_body`. A status of
  /// 101 to a request with `protocol` makes both bodies tunnels of bytes.
  virtual void SendResponse(const HttpResponse& response) = 0;

  /// Reports that `response_body` got bytes or its end.
  virtual void OnResponseBody() = 0;

  /// Reports that bytes of `request_body` were taken.
  virtual void OnRequestTaken(size_t bytes) = 0;

  /// Truncates the response so that the client detects it. Ends the stream: no callback follows.
  virtual void Abort(absl::string_view reason) = 0;

 protected:
  ~FrontStream() = default;
};

/// One request in progress, towards a backend. A client codec implements it. The codec ends it by
/// `HttpExchange::OnBackDone` or `OnBackFailed`; it is invalid from then on.
class BackStream {
 public:
  /// Reports that `request_body` got bytes or its end.
  virtual void OnRequestBody() = 0;

  /// Reports that bytes of `response_body` were taken.
  virtual void OnResponseTaken(size_t bytes) = 0;

  /// Cancels the request. Ends the stream: no callback follows.
  virtual void Cancel() = 0;

 protected:
  ~BackStream() = default;
};

/// The progress of a request at a backend that failed it. Determines whether another try is safe.
enum class BackFailure : uint8_t {
  kNotProcessed,  ///< The backend did not process it (REFUSED_STREAM, GOAWAY; RFC 9113 8.7).
  kUnanswered,    ///< A kept connection ended before the first byte of a response.
  kBroken,        ///< All others.
};

/// One request and its response, between two streams. The codecs fill and drain the bodies.
class HttpExchange {
 public:
  BodyPipe request_body;   ///< Filled by the front codec, drained by the back codec.
  BodyPipe response_body;  ///< Filled by the back codec, drained by the front codec.

  /// The front codec put bytes or the end into `request_body`.
  virtual void OnRequestBody() = 0;
  /// The rest of the request can't be read: it must be answered, or its response truncated.
  virtual void OnRequestRefused(HttpRefusal refusal) = 0;
  /// The front codec took bytes out of `response_body`.
  virtual void OnResponseTaken(size_t bytes) = 0;
  /// The client cancelled the request, or its connection ended.
  virtual void OnClientGone(const absl::Status& why) = 0;
  /// The front codec took the last byte of the response.
  virtual void OnResponseSent() = 0;

  /// The back codec took bytes out of `request_body`.
  virtual void OnRequestTaken(size_t bytes) = 0;
  virtual void OnInformational(HttpResponse response) = 0;
  virtual void OnResponse(HttpResponse response) = 0;
  /// The back codec put bytes or the end into `response_body`.
  virtual void OnResponseBody() = 0;
  /// The response is complete, and the back stream is over.
  virtual void OnBackDone() = 0;
  virtual void OnBackFailed(BackFailure failure, const absl::Status& why) = 0;

 protected:
  ~HttpExchange() = default;
};

/// Takes the requests of a front connection. Implemented by the gateway.
class FrontHandler {
 public:
  /// Begins an exchange. The handler may answer within this call. Never returns null.
  virtual HttpExchange* OnRequest(FrontStream& stream, HttpRequest request) = 0;

  /// Answers a request that the codec rejects. `request` has the parsed parts.
  virtual HttpExchange* OnRefused(FrontStream& stream, HttpRequest request,
                                  HttpRefusal refusal) = 0;

 protected:
  ~FrontHandler() = default;
};

/// Bounds of a connection's codec. Memory for bodies is at most twice `stream_bytes` for each
/// request in progress, and one read.
struct HttpLimits {
  Http1Limits head;
  /// Maximum bytes of one body between two legs: the window of an HTTP/2 stream (RFC 9113 6.9.2).
  uint32_t stream_bytes = 64 * 1024;
  /// Maximum number of requests in progress on an HTTP/2 connection.
  uint32_t streams = 100;
  /// Maximum bytes between two pieces of a chunked body: chunk sizes and extensions.
  size_t chunk_line_bytes = 4 * 1024;
  /// Maximum number of 1xx responses to a request.
  int informational = 32;
};

/// One side of one connection, without I/O.
class HttpCodec {
 public:
  virtual ~HttpCodec() = default;

  /// Takes received bytes. Call it only while `wants_bytes`.
  virtual void Receive(absl::string_view bytes) = 0;

  /// Takes the clean end of the peer's direction.
  virtual void ReceiveEnd() = 0;

  /// Ends all streams, because the connection failed.
  virtual void OnLost(const absl::Status& why) = 0;

  /// Returns false while a body waits for the other leg.
  virtual bool wants_bytes() const = 0;

  /// Appends bytes to send until `out` has about `limit` bytes, or none are left.
  virtual void Produce(std::string& out, size_t limit) = 0;

  /// Returns whether the connection ends after the bytes of `Produce`.
  virtual bool over() const = 0;

  /// Returns whether this side's direction ends after the bytes of `Produce`, while the peer's
  /// direction continues.
  virtual bool ends_writing() const { return over(); }

  /// Returns why the connection must be cut instead; OK otherwise.
  virtual absl::Status failure() const = 0;

  /// Begins to end the connection: requests in progress finish, others are not taken.
  virtual void Drain() = 0;
};

/// Called by a codec that has bytes to send, has ended, or accepts bytes again.
class HttpCodecHook {
 public:
  virtual void OnCodecReady() = 0;

  /// Returns the time of the loop's monotonic clock, for budgets.
  virtual MonotonicTime Now() const = 0;

 protected:
  ~HttpCodecHook() = default;
};

/// Server codecs, with functions for their owner's time limits.
class ServerCodec : public HttpCodec {
 public:
  /// Returns whether no request is in progress and no byte of the next one has arrived.
  virtual bool idle() const = 0;

  /// Returns whether part of a request's head has arrived, and no request is in progress.
  virtual bool in_head() const = 0;

  /// Answers the incomplete head with 408, or ends the connection.
  virtual void TimeOutHead() = 0;
};

/// Client codecs, with functions for the pool.
class ClientCodec : public HttpCodec {
 public:
  /// Begins a request. Only while `capacity` is above 0.
  virtual BackStream& Start(HttpExchange& exchange, const HttpRequest& request) = 0;

  /// Returns the number of requests that may begin now.
  virtual size_t capacity() const = 0;

  /// Returns the number of requests in progress.
  virtual size_t streams() const = 0;

  virtual HttpVersion version() const = 0;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP_HTTP_EXCHANGE_H_
