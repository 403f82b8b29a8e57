// Conversation: sends text over a transport and collects the reply. Shows how to use a Transport:
// read or write until it would block, and continue in the callback.
#ifndef TRESTLE_EXAMPLES_QUICKSTART_CONVERSATION_H_
#define TRESTLE_EXAMPLES_QUICKSTART_CONVERSATION_H_

#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/transport.h"

namespace trestle::examples {

class Conversation final : private TransportHandler {
 public:
  using Callback = absl::AnyInvocable<void(absl::Status)>;

  /// `transport` must be open; with TLS, after the handshake. `scheduler` must outlive this.
  Conversation(std::unique_ptr<Transport> transport, Scheduler& scheduler);

  /// Sends `text` after all earlier text.
  void Send(absl::string_view text);

  /// Ends our direction after all text is sent.
  void End();

  /// Reads until `mark` arrives, or to a clean end if `mark` is empty. Calls `done` once, from the
  /// loop; it may destroy the conversation.
  void ReadUntil(absl::string_view mark, Callback done);

  const std::string& received() const { return received_; }

 private:
  void OnReadable() override { Advance(); }
  void OnWritable() override { Advance(); }
  void Advance();
  bool Write();
  bool Read();
  void Finish(absl::Status status);

  const std::unique_ptr<Transport> transport_;
  Scheduler& scheduler_;
  std::string to_send_;
  bool ending_ = false;
  bool ended_ = false;
  std::string received_;
  std::string mark_;
  Callback done_;
  Timer next_advance_;
};

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_QUICKSTART_CONVERSATION_H_
