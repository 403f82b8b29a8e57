#include "integrations/http1/message_reader.h"

#include "absl/strings/str_cat.h"

namespace trestle {

struct MessageCallbacks {
  static MessageReader& Of(llhttp_t* parser) { return *static_cast<MessageReader*>(parser->data); }
  static MessageSink& Sink(llhttp_t* parser) { return *Of(parser).sink_; }

  static int OnUrl(llhttp_t* parser, const char* at, size_t length) {
    return Sink(parser).OnTarget({at, length}), 0;
  }
  static int OnField(llhttp_t* parser, const char* at, size_t length) {
    return Sink(parser).OnFieldName({at, length}), 0;
  }
  static int OnFieldComplete(llhttp_t* parser) { return Sink(parser).OnFieldNameEnd(), 0; }
  static int OnValue(llhttp_t* parser, const char* at, size_t length) {
    return Sink(parser).OnFieldValue({at, length}), 0;
  }
  static int OnValueComplete(llhttp_t* parser) { return Sink(parser).OnFieldEnd(), 0; }
  static int OnHeadersComplete(llhttp_t* parser) { return Of(parser).OnHeadEnd(); }
  static int OnChunkHeader(llhttp_t* parser) { return Of(parser).OnChunk(); }
  static int OnBody(llhttp_t* parser, const char* at, size_t length) {
    return Sink(parser).OnBody({at, length}), 0;
  }
  static int OnMessageComplete(llhttp_t* parser) {
    Of(parser).state_ = MessageReader::State::kComplete;
    return HPE_PAUSED;
  }

  static llhttp_settings_t Settings() {
    llhttp_settings_t settings;
    llhttp_settings_init(&settings);
    settings.on_url = OnUrl;
    settings.on_header_field = OnField;
    settings.on_header_field_complete = OnFieldComplete;
    settings.on_header_value = OnValue;
    settings.on_header_value_complete = OnValueComplete;
    settings.on_headers_complete = OnHeadersComplete;
    settings.on_chunk_header = OnChunkHeader;
    settings.on_body = OnBody;
    settings.on_message_complete = OnMessageComplete;
    return settings;
  }
};

MessageReader::MessageReader() { Begin(HTTP_REQUEST); }

void MessageReader::Begin(llhttp_type_t type) {
  static const llhttp_settings_t kSettings = MessageCallbacks::Settings();
  llhttp_init(&parser_, type, &kSettings);
  parser_.data = this;
  state_ = State::kReading;
  head_done_ = false;
}

void MessageReader::BeginRequest() { Begin(HTTP_REQUEST); }

void MessageReader::BeginAnswer() { Begin(HTTP_RESPONSE); }

int MessageReader::OnHeadEnd() {
  head_done_ = true;
  sink_->OnHeadEnd();
  // If a request asks for another protocol, its own body still comes first.
  parser_.upgrade = 0;
  return HPE_OK;
}

// llhttp 8 accepts folded lines and a bare LF in trailers, so other code reads them.
int MessageReader::OnChunk() {
  if (parser_.content_length > 0) return HPE_OK;
  state_ = State::kLastChunk;
  return HPE_PAUSED;
}

size_t MessageReader::Read(absl::string_view bytes, MessageSink& sink) {
  sink_ = &sink;
  const llhttp_errno_t error = llhttp_execute(&parser_, bytes.data(), bytes.size());
  sink_ = nullptr;
  if (error == HPE_OK) return bytes.size();
  if (state_ == State::kReading) state_ = State::kFailed;
  const char* const position = llhttp_get_error_pos(&parser_);
  return position == nullptr ? 0 : static_cast<size_t>(position - bytes.data());
}

std::string MessageReader::error() const {
  const char* const reason = llhttp_get_error_reason(&parser_);
  return reason == nullptr || *reason == '\0' ? llhttp_errno_name(llhttp_get_errno(&parser_))
                                              : reason;
}

bool MessageReader::unknown_method() const {
  return llhttp_get_errno(&parser_) == HPE_INVALID_METHOD;
}

absl::string_view MessageReader::method() const {
  return llhttp_method_name(static_cast<llhttp_method_t>(parser_.method));
}

}  // namespace trestle
