// Http2Session: the common part of both sides of an HTTP/2 connection, with nghttp2: frames,
// bodies, windows and budgets. In this folder, only the files of Http2Session, Http2Server and
// Http2Client call nghttp2.
#ifndef TRESTLE_INTEGRATIONS_HTTP_HTTP2_SESSION_H_
#define TRESTLE_INTEGRATIONS_HTTP_HTTP2_SESSION_H_

#include <nghttp2/nghttp2.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "integrations/http/frame_budget.h"
#include "integrations/http/http_exchange.h"

namespace trestle {

/// The head of a message while its fields come in, with the limits of `Http1Limits`.
class Http2Head {
 public:
  /// Adds a field, or records why the message is rejected.
  void Add(absl::string_view name, absl::string_view value, const Http1Limits& limits);

  /// Returns the value of a pseudo-header field such as ":path"; empty if there is none.
  const std::string& Pseudo(absl::string_view name) const;

  HttpFields fields;
  std::optional<HttpRefusal> refusal;

 private:
  std::vector<HttpFields::Field> pseudo_;
  size_t bytes_ = 0;
  size_t count_ = 0;
};

/// A request on an HTTP/2 connection, of either side.
struct Http2Stream {
  virtual ~Http2Stream() = default;

  int32_t id = 0;
  HttpExchange* exchange = nullptr;  ///< Null before the head, and once the exchange is over.
  Http2Head head;                    ///< The head or the trailers that are being read.
  bool head_done = false;            ///< The request's head, or the final response's.
  bool received_end = false;
  bool sent_end = false;
  bool deferred = false;  ///< nghttp2 waits for more of the body to send.
  bool held = false;      ///< The body to send waits until the peer accepts a change of protocol.
  size_t dropped = 0;     ///< Bytes of a body that are dropped.
};

class Http2Session {
 public:
  Http2Session(const Http2Session&) = delete;
  Http2Session& operator=(const Http2Session&) = delete;

 protected:
  Http2Session(bool server, const HttpLimits& limits, HttpCodecHook& hook);
  virtual ~Http2Session();

  // The body that is sent on a stream, and the one that is received.
  virtual BodyPipe& Outgoing(HttpExchange& exchange) = 0;
  virtual BodyPipe& Incoming(HttpExchange& exchange) = 0;
  virtual void OnOutgoingTaken(HttpExchange& exchange, size_t bytes) = 0;
  virtual void OnIncoming(Http2Stream& stream) = 0;
  // Begins a stream of the peer; null if it may not begin one.
  virtual std::unique_ptr<Http2Stream> NewStream() { return nullptr; }
  // A complete head, except for trailers.
  virtual void OnHead(Http2Stream& stream, bool end_stream) = 0;
  virtual void OnSentEnd(Http2Stream& stream) = 0;
  virtual void OnClosed(Http2Stream& stream, uint32_t error_code) = 0;
  virtual void OnGoaway() {}
  virtual void OnSettings() {}
  virtual void OnPingAck() {}

  void ReceiveBytes(absl::string_view bytes);
  void ProduceBytes(std::string& out, size_t limit);
  bool SessionOver() const;
  void LoseStreams(const absl::Status& why);

  // Submits the body of `stream`, which follows its head.
  nghttp2_data_provider ProviderOf(Http2Stream& stream);
  void ResumeBody(Http2Stream& stream);
  void TakeIncoming(Http2Stream& stream, size_t bytes);
  void Reset(Http2Stream& stream, uint32_t error_code);
  static void AppendField(std::vector<nghttp2_nv>& list, absl::string_view name,
                          absl::string_view value);

  const HttpLimits& limits_;
  HttpCodecHook& hook_;
  nghttp2_session* session_ = nullptr;
  absl::flat_hash_map<int32_t, std::unique_ptr<Http2Stream>> streams_;
  absl::Status failure_;  // The session ended because of it.
  bool in_head_ = false;  // A header block is incomplete.

 private:
  friend struct Http2SessionCallbacks;

  Http2Stream* Find(int32_t id) const;
  void OnFrame(const nghttp2_frame& frame);
  void EndIncoming(Http2Stream& stream);
  ssize_t ReadBody(Http2Stream& stream, uint8_t* out, size_t room, uint32_t* flags);
  void FailBudget();

  const bool server_;
  bool lost_ = false;  // The streams are gone; nothing is sent any more.
  FrameBudget budget_;
  std::string waiting_;  // The beginning of a frame's header.
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP_HTTP2_SESSION_H_
