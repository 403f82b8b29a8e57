// Http2RequestReader: reads the first request of an HTTP/2 connection and writes responses, with
// nghttp2. No other file uses nghttp2.
#ifndef TRESTLE_INTEGRATIONS_HTTP2_REQUEST_READER_H_
#define TRESTLE_INTEGRATIONS_HTTP2_REQUEST_READER_H_

#include <nghttp2/nghttp2.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "integrations/http1/http_message.h"
#include "trestle/base/bytes.h"

namespace trestle {

class Http2RequestReader {
 public:
  enum class State : uint8_t { kReading, kComplete, kRefused };

  explicit Http2RequestReader(const Http1Limits& limits);
  ~Http2RequestReader();
  Http2RequestReader(const Http2RequestReader&) = delete;
  Http2RequestReader& operator=(const Http2RequestReader&) = delete;

  /// Reads more bytes of the client: the preface, SETTINGS, and so on, up to the first request's
  /// head.
  State Feed(ByteView bytes);

  /// The request's :authority and :path, once complete. Empty if it has none.
  const std::string& authority() const { return authority_; }
  const std::string& path() const { return path_; }
  /// The request's Host field, if any.
  const std::string& host() const { return host_; }
  /// The reason of kRefused.
  const HttpRefusal& refusal() const { return refusal_; }

  /// Returns the server's bytes that answer the request with `status` and end the connection.
  std::string AnswerAndEnd(int status);

  /// Returns the server's bytes that ask the client to use HTTP/1.1 (RFC 9113 7).
  std::string DemandHttp1();

 private:
  friend struct Http2Callbacks;
  // Returns the number of pending bytes that do not end within a frame's header. nghttp2 counts
  // each call that ends there as a CONTINUATION frame, and rejects more than a few of them.
  size_t WholeHeaders();
  void OnField(absl::string_view name, absl::string_view value);
  void Refuse(int status, std::string reason);
  std::string End(uint32_t error_code);
  std::string Collect();

  const Http1Limits limits_;
  nghttp2_session* session_ = nullptr;
  State state_ = State::kReading;
  std::string waiting_;
  std::string answer_;  // The bytes that a server would have sent so far.
  size_t unread_ =
      NGHTTP2_CLIENT_MAGIC_LEN;  // Remaining bytes of the preface or of the current frame.
  int32_t stream_ = 0;           // The first request's; 0 until it begins.
  size_t head_bytes_ = 0;
  size_t fields_ = 0;
  std::string authority_;
  std::string host_;
  std::string path_;
  HttpRefusal refusal_;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP2_REQUEST_READER_H_
