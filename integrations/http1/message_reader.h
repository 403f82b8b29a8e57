// MessageReader: llhttp, one message at a time. The only file that knows llhttp.
#ifndef TRESTLE_INTEGRATIONS_HTTP1_MESSAGE_READER_H_
#define TRESTLE_INTEGRATIONS_HTTP1_MESSAGE_READER_H_

#include <llhttp.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace trestle {

/// Called while a message is read. Spans may come in pieces, wherever the bytes were cut.
class MessageSink {
 public:
  virtual ~MessageSink() = default;
  virtual void OnTarget(absl::string_view) {}
  virtual void OnFieldName(absl::string_view) {}
  virtual void OnFieldNameEnd() {}
  virtual void OnFieldValue(absl::string_view) {}
  virtual void OnFieldEnd() {}
  virtual void OnHeadEnd() {}
  virtual void OnBody(absl::string_view) {}
};

class MessageReader {
 public:
  enum class State : uint8_t {
    kReading,
    kLastChunk,  // A body is over, and its trailer section comes next: not llhttp's.
    kComplete,
    kFailed,
  };

  MessageReader();
  MessageReader(const MessageReader&) = delete;
  MessageReader& operator=(const MessageReader&) = delete;

  /// A request begins. Its body is read as its framing says; an upgrade is not llhttp's business.
  void BeginRequest();

  /// An answer begins, to a request of this kind.
  void BeginAnswer(bool to_head, bool to_connect);

  /// Reads up to the end of the message at most; returns how many bytes. On failure the number is
  /// that of the bytes before the one at fault.
  size_t Read(absl::string_view bytes, MessageSink& sink);

  State state() const { return state_; }
  bool head_done() const { return head_done_; }
  /// What is wrong, for people, on kFailed.
  std::string error() const;
  bool unknown_method() const;

  absl::string_view method() const;
  int status() const { return parser_.status_code; }
  /// An answer of which nothing tells the end but that of the connection.
  bool ends_with_stream() const { return ends_with_stream_; }
  uint64_t body_bytes() const { return body_bytes_; }

 private:
  friend struct MessageCallbacks;
  void Begin(llhttp_type_t type);
  int OnHeadEnd();
  int OnChunk();

  llhttp_t parser_;
  MessageSink* sink_ = nullptr;
  State state_ = State::kReading;
  bool to_head_ = false;
  bool to_connect_ = false;
  bool head_done_ = false;
  bool ends_with_stream_ = false;
  uint64_t body_bytes_ = 0;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP1_MESSAGE_READER_H_
