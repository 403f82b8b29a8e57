#include "integrations/http/http2_session.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "integrations/http/http1_body.h"
#include "trestle/base/bytes.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

constexpr int32_t kConnectionWindowBytes = 1 << 20;

// Bytes of a request that are read and dropped after its response. Some clients (curl 7.88) take an
// earlier reset for a failure, and lose the response.
constexpr size_t kDroppedBytes = 1 << 20;

absl::Status ProtocolError(bool server, std::string reason) {
  return MakeError(ErrorCode::kProtocol, server ? Leg::kFront : Leg::kBack, Phase::kRelay,
                   std::move(reason));
}

}  // namespace

void Http2Head::Add(absl::string_view name, absl::string_view value, const Http1Limits& limits) {
  if (refusal.has_value()) return;
  constexpr size_t kOverhead = 32;  // As SETTINGS_MAX_HEADER_LIST_SIZE counts (RFC 9113 6.5.2).
  bytes_ += name.size() + value.size() + kOverhead;
  if (++count_ > limits.fields) {
    refusal = {431, "more header fields than the limit"};
  } else if (bytes_ > limits.head_bytes) {
    refusal = {431, "the head is over the limit of bytes"};
  } else if (name == ":path" && value.size() > limits.target_bytes) {
    refusal = {414, "the target is over the limit"};
  } else if (absl::StartsWith(name, ":")) {
    pseudo_.push_back({std::string(name), std::string(value)});
  } else {
    fields.Add(name, value);
  }
}

const std::string& Http2Head::Pseudo(absl::string_view name) const {
  static const std::string* const kNone = new std::string();
  for (const HttpFields::Field& field : pseudo_) {
    if (field.name == name) return field.value;
  }
  return *kNone;
}

struct Http2SessionCallbacks {
  static Http2Session& Of(void* user) { return *static_cast<Http2Session*>(user); }

  static int OnBeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Http2Session& session = Of(user);
    const int32_t id = frame->hd.stream_id;
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    session.in_head_ = true;
    if (Http2Stream* const known = session.Find(id)) {
      known->head = {};
      return 0;
    }
    std::unique_ptr<Http2Stream> stream = session.NewStream();
    if (stream == nullptr) return 0;
    stream->id = id;
    session.streams_.emplace(id, std::move(stream));
    return 0;
  }

  static int OnHeader(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name,
                      size_t name_size, const uint8_t* value, size_t value_size, uint8_t,
                      void* user) {
    Http2Session& session = Of(user);
    if (Http2Stream* const stream = session.Find(frame->hd.stream_id)) {
      stream->head.Add(AsText({name, name_size}), AsText({value, value_size}),
                       session.limits_.head);
    }
    return 0;
  }

  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Of(user).OnFrame(*frame);
    return 0;
  }

  static int OnData(nghttp2_session* native, uint8_t, int32_t id, const uint8_t* data, size_t size,
                    void* user) {
    Http2Session& session = Of(user);
    // A slow stream must not use up the window of the connection: each stream has its own.
    nghttp2_session_consume_connection(native, size);
    Http2Stream* const stream = session.Find(id);
    if (stream == nullptr || stream->exchange == nullptr) {
      nghttp2_session_consume_stream(native, id, size);
      const bool was_within = stream != nullptr && stream->dropped <= kDroppedBytes;
      if (was_within && (stream->dropped += size) > kDroppedBytes) {
        session.Reset(*stream, NGHTTP2_NO_ERROR);
      }
      return 0;
    }
    session.Incoming(*stream->exchange).Append(AsText({data, size}));
    session.OnIncoming(*stream);
    return 0;
  }

  static int OnStreamClose(nghttp2_session*, int32_t id, uint32_t error_code, void* user) {
    Http2Session& session = Of(user);
    const auto found = session.streams_.find(id);
    if (found == session.streams_.end()) return 0;
    const std::unique_ptr<Http2Stream> stream = std::move(found->second);
    session.streams_.erase(found);
    session.OnClosed(*stream, error_code);
    session.hook_.OnCodecReady();
    return 0;
  }

  static int OnFrameSent(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Http2Session& session = Of(user);
    const bool reset = frame->hd.type == NGHTTP2_RST_STREAM;
    if (reset && session.server_ && frame->rst_stream.error_code != NGHTTP2_NO_ERROR) {
      session.budget_.Count(FrameKind::kReset, session.hook_.Now());
    }
    const bool may_end = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
    if (!may_end || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
    Http2Stream* const stream = session.Find(frame->hd.stream_id);
    if (stream == nullptr) return 0;
    stream->sent_end = true;
    session.OnSentEnd(*stream);
    return 0;
  }

  static ssize_t ReadBody(nghttp2_session*, int32_t, uint8_t* out, size_t room, uint32_t* flags,
                          nghttp2_data_source* source, void* user) {
    return Of(user).ReadBody(*static_cast<Http2Stream*>(source->ptr), out, room, flags);
  }

  static nghttp2_session_callbacks* New() {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, OnBeginHeaders);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, OnHeader);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, OnFrame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, OnData);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, OnStreamClose);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, OnFrameSent);
    return callbacks;
  }
};

Http2Session::Http2Session(bool server, const HttpLimits& limits, HttpCodecHook& hook)
    : limits_(limits),
      hook_(hook),
      server_(server),
      budget_(server ? NGHTTP2_CLIENT_MAGIC_LEN : 0) {
  nghttp2_session_callbacks* const callbacks = Http2SessionCallbacks::New();
  nghttp2_option* option = nullptr;
  nghttp2_option_new(&option);
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_no_closed_streams(option, 1);
  if (server) {
    nghttp2_session_server_new2(&session_, callbacks, this, option);
  } else {
    nghttp2_session_client_new2(&session_, callbacks, this, option);
  }
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(callbacks);
  std::vector<nghttp2_settings_entry> settings = {
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.stream_bytes},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(limits.head.head_bytes)},
  };
  if (server) {
    settings.push_back({NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.streams});
    settings.push_back({NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1});
  } else {
    settings.push_back({NGHTTP2_SETTINGS_ENABLE_PUSH, 0});
  }
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindowBytes);
}

Http2Session::~Http2Session() { nghttp2_session_del(session_); }

Http2Stream* Http2Session::Find(int32_t id) const {
  const auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : found->second.get();
}

void Http2Session::ReceiveBytes(absl::string_view bytes) {
  if (!failure_.ok()) return;
  if (!waiting_.empty()) {
    waiting_.append(bytes.data(), bytes.size());
    bytes = waiting_;
  }
  const size_t whole = budget_.WholeHeaders(bytes, hook_.Now());
  ssize_t taken = 0;
  if (!budget_.exceeded().has_value() && whole > 0) {
    taken = nghttp2_session_mem_recv(session_, AsBytes(bytes).data(), whole);
  }
  std::string rest(bytes.substr(whole));
  waiting_ = std::move(rest);
  if (budget_.exceeded().has_value()) {
    FailBudget();
  } else if (taken < 0) {
    failure_ = ProtocolError(
        server_, absl::StrCat("no HTTP/2: ", nghttp2_strerror(static_cast<int>(taken))));
    nghttp2_session_terminate_session(session_, NGHTTP2_PROTOCOL_ERROR);
  }
  hook_.OnCodecReady();
}

void Http2Session::FailBudget() {
  failure_ = MakeError(ErrorCode::kOverLimit, server_ ? Leg::kFront : Leg::kBack, Phase::kRelay,
                       absl::StrCat("more HTTP/2 frames of one kind than their budget: ",
                                    EnumName(*budget_.exceeded())));
  nghttp2_session_terminate_session(session_, NGHTTP2_ENHANCE_YOUR_CALM);
}

void Http2Session::ProduceBytes(std::string& out, size_t limit) {
  const uint8_t* piece = nullptr;
  while (!lost_ && out.size() < limit) {
    const ssize_t size = nghttp2_session_mem_send(session_, &piece);
    if (size < 0 && failure_.ok()) {
      failure_ = ProtocolError(server_, nghttp2_strerror(static_cast<int>(size)));
    }
    if (size <= 0) break;
    out.append(reinterpret_cast<const char*>(piece), static_cast<size_t>(size));
  }
  if (budget_.exceeded().has_value() && failure_.ok()) FailBudget();
}

bool Http2Session::SessionOver() const {
  if (lost_) return true;
  if (nghttp2_session_want_write(session_) != 0) return false;
  return !failure_.ok() || nghttp2_session_want_read(session_) == 0;
}

void Http2Session::LoseStreams(const absl::Status& why) {
  if (failure_.ok()) failure_ = why;
  lost_ = true;
  auto streams = std::move(streams_);
  streams_.clear();
  for (const auto& [id, stream] : streams) OnClosed(*stream, NGHTTP2_INTERNAL_ERROR);
}

void Http2Session::OnFrame(const nghttp2_frame& frame) {
  if (frame.hd.type == NGHTTP2_GOAWAY) return OnGoaway();
  if (frame.hd.type == NGHTTP2_SETTINGS && (frame.hd.flags & NGHTTP2_FLAG_ACK) == 0) {
    return OnSettings();
  }
  if (frame.hd.type == NGHTTP2_PING && (frame.hd.flags & NGHTTP2_FLAG_ACK) != 0) return OnPingAck();
  if (frame.hd.type != NGHTTP2_HEADERS && frame.hd.type != NGHTTP2_DATA) return;
  if (frame.hd.type == NGHTTP2_HEADERS) in_head_ = false;
  const int32_t id = frame.hd.stream_id;
  Http2Stream* stream = Find(id);
  if (stream == nullptr) return;
  const bool end = (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  if (frame.hd.type == NGHTTP2_HEADERS && !stream->head_done) {
    OnHead(*stream, end);
    stream = Find(id);
    if (stream == nullptr) return;
  } else if (frame.hd.type == NGHTTP2_HEADERS && stream->head.refusal.has_value()) {
    return Reset(*stream, NGHTTP2_ENHANCE_YOUR_CALM);
  }
  if (end) EndIncoming(*stream);
}

void Http2Session::EndIncoming(Http2Stream& stream) {
  if (stream.received_end) return;
  stream.received_end = true;
  if (stream.exchange == nullptr) return;
  HttpFields trailers = std::move(stream.head.fields);
  trailers.RemoveIf([](const HttpFields::Field& field) { return !MayTrail(field.name); });
  Incoming(*stream.exchange).End(std::move(trailers));
  OnIncoming(stream);
}

nghttp2_data_provider Http2Session::ProviderOf(Http2Stream& stream) {
  nghttp2_data_provider provider;
  provider.source.ptr = &stream;
  provider.read_callback = Http2SessionCallbacks::ReadBody;
  return provider;
}

ssize_t Http2Session::ReadBody(Http2Stream& stream, uint8_t* out, size_t room, uint32_t* flags) {
  if (stream.exchange == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  HttpExchange& exchange = *stream.exchange;
  BodyPipe& pipe = Outgoing(exchange);
  const size_t size = std::min(room, pipe.size());
  if (stream.held || (size == 0 && !pipe.ended())) {
    stream.deferred = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  std::memcpy(out, pipe.view().data(), size);
  pipe.Consume(size);
  if (pipe.finished()) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (!pipe.trailers().empty()) {
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      std::vector<nghttp2_nv> list;
      for (const HttpFields::Field& field : pipe.trailers()) {
        AppendField(list, field.name, field.value);
      }
      nghttp2_submit_trailer(session_, stream.id, list.data(), list.size());
    }
  }
  if (size > 0) OnOutgoingTaken(exchange, size);
  return static_cast<ssize_t>(size);
}

void Http2Session::ResumeBody(Http2Stream& stream) {
  if (std::exchange(stream.deferred, false)) nghttp2_session_resume_data(session_, stream.id);
  hook_.OnCodecReady();
}

void Http2Session::TakeIncoming(Http2Stream& stream, size_t bytes) {
  nghttp2_session_consume_stream(session_, stream.id, bytes);
  hook_.OnCodecReady();
}

void Http2Session::Reset(Http2Stream& stream, uint32_t error_code) {
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id, error_code);
  hook_.OnCodecReady();
}

void Http2Session::AppendField(std::vector<nghttp2_nv>& list, absl::string_view name,
                               absl::string_view value) {
  // nghttp2 copies both before the submitting call returns.
  list.push_back({const_cast<uint8_t*>(AsBytes(name).data()),
                  const_cast<uint8_t*>(AsBytes(value).data()), name.size(), value.size(),
                  NGHTTP2_NV_FLAG_NONE});
}

}  // namespace trestle
