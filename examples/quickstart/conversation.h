// Conversation: sends text over a transport and collects what comes back. Shows how a Transport is
// used: try, and where that would block, try again when called back.
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

  /// `transport` must be open: with TLS, its handshake done. `scheduler` must outlive this.
  Conversation(std::unique_ptr<Transport> transport, Scheduler& scheduler);

  /// Sends `text` after what was to be sent before.
  void Send(absl::string_view text);

  /// Ends our direction after what was to be sent.
  void End();

  /// Reads until `mark` has come, or to a clean end where `mark` is empty. `done` is called once,
  /// from the loop; the conversation may be destroyed in it.
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
