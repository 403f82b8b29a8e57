#include "integrations/http2/request_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace trestle {
namespace {

constexpr size_t kFrameHeaderBytes = 9;

}  // namespace

struct Http2Callbacks {
  static Http2RequestReader& Of(void* reader) { return *static_cast<Http2RequestReader*>(reader); }

  static int OnBeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Http2RequestReader& reader = Of(user);
    if (reader.stream_ == 0) reader.stream_ = frame->hd.stream_id;
    return 0;
  }

  static int OnHeader(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name,
                      size_t name_size, const uint8_t* value, size_t value_size, uint8_t,
                      void* user) {
    Http2RequestReader& reader = Of(user);
    const bool wanted = reader.state_ == Http2RequestReader::State::kReading &&
                        frame->hd.stream_id == reader.stream_;
    if (wanted) reader.OnField(AsText({name, name_size}), AsText({value, value_size}));
    return 0;
  }

  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Http2RequestReader& reader = Of(user);
    // nghttp2 would ignore later bytes, unless they came in the same call.
    if (frame->hd.type == NGHTTP2_GOAWAY) reader.Refuse(400, "the client went before it asked");
    const bool request = frame->hd.type == NGHTTP2_HEADERS && frame->hd.stream_id == reader.stream_;
    if (!request || reader.state_ != Http2RequestReader::State::kReading) return 0;
    if (reader.authority_.empty()) reader.authority_ = std::exchange(reader.host_, {});
    reader.state_ = Http2RequestReader::State::kComplete;
    return 0;
  }

  static int OnInvalidFrame(nghttp2_session*, const nghttp2_frame*, int error, void* user) {
    Of(user).Refuse(400, absl::StrCat("no HTTP/2: ", nghttp2_strerror(error)));
    return 0;
  }

  // nghttp2 ends a connection by itself after an HTTP/2 or HPACK violation. It then ignores later
  // bytes, and this is the only sign.
  static int OnFrameSent(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type != NGHTTP2_GOAWAY) return 0;
    const nghttp2_goaway& goaway = frame->goaway;
    const absl::string_view reason = AsText({goaway.opaque_data, goaway.opaque_data_len});
    Of(user).Refuse(400, absl::StrCat("no HTTP/2: ", nghttp2_http2_strerror(goaway.error_code),
                                      reason.empty() ? "" : ": ", reason));
    return 0;
  }

  static nghttp2_session_callbacks* New() {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, OnBeginHeaders);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, OnHeader);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, OnFrame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, OnInvalidFrame);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, OnFrameSent);
    return callbacks;
  }
};

Http2RequestReader::Http2RequestReader(const Http1Limits& limits) : limits_(limits) {
  nghttp2_session_callbacks* const callbacks = Http2Callbacks::New();
  nghttp2_session_server_new(&session_, callbacks, this);
  nghttp2_session_callbacks_del(callbacks);
  // Sent only if the request is rejected. Must precede replies to the client's frames.
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, nullptr, 0);
}

Http2RequestReader::~Http2RequestReader() { nghttp2_session_del(session_); }

Http2RequestReader::State Http2RequestReader::Feed(ByteView bytes) {
  waiting_.append(AsText(bytes).data(), bytes.size());
  const size_t whole = WholeHeaders();
  if (whole == 0) return state_;
  const ssize_t taken = nghttp2_session_mem_recv(session_, AsBytes(waiting_).data(), whole);
  waiting_.erase(0, whole);
  if (taken < 0 && state_ == State::kReading) {
    Refuse(400, absl::StrCat("no HTTP/2: ", nghttp2_strerror(static_cast<int>(taken))));
  }
  if (state_ == State::kReading) answer_ += Collect();
  return state_;
}

size_t Http2RequestReader::WholeHeaders() {
  size_t end = 0;
  while (true) {
    const size_t body = std::min(waiting_.size() - end, unread_);
    end += body;
    unread_ -= body;
    if (unread_ > 0 || waiting_.size() - end < kFrameHeaderBytes) return end;
    const ByteView header = AsBytes(waiting_).subspan(end);
    unread_ = kFrameHeaderBytes + (size_t{header[0]} << 16 | size_t{header[1]} << 8 | header[2]);
  }
}

void Http2RequestReader::OnField(absl::string_view name, absl::string_view value) {
  head_bytes_ += name.size() + value.size();
  if (++fields_ > limits_.fields) return Refuse(431, "more header fields than the limit");
  if (head_bytes_ > limits_.head_bytes) return Refuse(431, "the head is over the limit of bytes");
  if (name == ":path" && value.size() > limits_.target_bytes) {
    return Refuse(414, "the target is over the limit");
  }
  if (name == ":authority") authority_ = std::string(value);
  if (name == "host") host_ = std::string(value);
  if (name == ":path") path_ = std::string(value);
}

void Http2RequestReader::Refuse(int status, std::string reason) {
  if (state_ != State::kReading) return;
  state_ = State::kRefused;
  refusal_ = {status, std::move(reason)};
}

std::string Http2RequestReader::AnswerAndEnd(int status) {
  std::string name = ":status";
  std::string value = absl::StrCat(status);
  const nghttp2_nv field = {reinterpret_cast<uint8_t*>(name.data()),
                            reinterpret_cast<uint8_t*>(value.data()), name.size(), value.size(),
                            NGHTTP2_NV_FLAG_NONE};
  if (stream_ > 0) nghttp2_submit_response(session_, stream_, &field, 1, nullptr);
  return End(NGHTTP2_NO_ERROR);
}

std::string Http2RequestReader::DemandHttp1() {
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream_, NGHTTP2_HTTP_1_1_REQUIRED);
  return End(NGHTTP2_HTTP_1_1_REQUIRED);
}

std::string Http2RequestReader::End(uint32_t error_code) {
  std::string bytes = std::move(answer_) + Collect();
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, stream_, error_code, nullptr, 0);
  return bytes + Collect();
}

std::string Http2RequestReader::Collect() {
  std::string bytes;
  const uint8_t* piece = nullptr;
  for (ssize_t size; (size = nghttp2_session_mem_send(session_, &piece)) > 0;) {
    bytes.append(reinterpret_cast<const char*>(piece), static_cast<size_t>(size));
  }
  return bytes;
}

}  // namespace trestle
