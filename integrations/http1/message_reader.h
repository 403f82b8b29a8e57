// MessageReader: parses one HTTP/1 message at a time with llhttp. No other file uses llhttp.
#ifndef TRESTLE_INTEGRATIONS_HTTP1_MESSAGE_READER_H_
#define TRESTLE_INTEGRATIONS_HTTP1_MESSAGE_READER_H_

#include <llhttp.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace trestle {

/// Receives the parts of a message. A text may arrive in several pieces.
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
    kLastChunk,  // The body is complete. The trailer section comes next, which llhttp does not
                 // read.
    kComplete,
    kFailed,
  };

  MessageReader();
  MessageReader(const MessageReader&) = delete;
  MessageReader& operator=(const MessageReader&) = delete;

  /// Starts a request. Its body is read by its framing; upgrades are ignored.
  void BeginRequest();

  /// Starts a response. Its body is read by its framing.
  void BeginAnswer();

  /// Parses up to the end of the message, and returns the number of bytes read. On failure, that is
  /// the number of bytes before the invalid one.
  size_t Read(absl::string_view bytes, MessageSink& sink);

  State state() const { return state_; }
  bool head_done() const { return head_done_; }
  /// Returns the reason of kFailed, for logs.
  std::string error() const;
  bool unknown_method() const;

  absl::string_view method() const;
  int status() const { return parser_.status_code; }

 private:
  friend struct MessageCallbacks;
  void Begin(llhttp_type_t type);
  int OnHeadEnd();
  int OnChunk();

  llhttp_t parser_;
  MessageSink* sink_ = nullptr;
  State state_ = State::kReading;
  bool head_done_ = false;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP1_MESSAGE_READER_H_
