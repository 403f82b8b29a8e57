// EchInnerHello: checks whether a server can be a backend in split mode, that is, whether it
// confirms an inner hello (RFC 9849 7.2). Bytes in, bytes out; does not complete the handshake.
#ifndef TRESTLE_LIB_TLS_ECH_ECH_INNER_HELLO_H_
#define TRESTLE_LIB_TLS_ECH_ECH_INNER_HELLO_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "trestle/base/bytes.h"
#include "trestle/wire/ech_opener.h"

namespace trestle {

class EchInnerHello {
 public:
  enum class State : uint8_t {
    kNeedMore,
    kConfirmed,  ///< By a ServerHello, or by a HelloRetryRequest.
    kFailed,     ///< See `error`.
  };

  /// Makes the inner hello of BoringSSL's client, as a router passes it on. Fails if the name is
  /// not a host name, because clients can't hide others.
  static absl::StatusOr<std::unique_ptr<EchInnerHello>> Create(
      const std::string& server_name, const std::vector<std::string>& alpn);

  /// Returns the bytes to send.
  const std::string& to_send() const { return to_send_; }

  /// Reads bytes of the server. Bytes after its first answer are ignored.
  State Feed(ByteView bytes);

  /// Call it when the server has ended the connection. The state is then kFailed, unless it was
  /// kConfirmed.
  State End();

  State state() const { return state_; }

  /// Returns why the server is no such backend: an error of the back leg, whose sentence says what
  /// the server lacks. ErrorCode::kPeerAlert for an alert, which may have other reasons (a name
  /// that the server doesn't have); else kProtocol.
  const absl::Status& error() const { return error_; }

 private:
  explicit EchInnerHello(std::unique_ptr<const InnerHello> hello);

  bool TakeRecord();
  void TakeMessage();
  void Judge(ByteView server_hello);
  void Fail(std::string detail, std::optional<uint8_t> alert = std::nullopt);

  const std::unique_ptr<const InnerHello> hello_;
  const std::string to_send_;
  State state_ = State::kNeedMore;
  absl::Status error_;
  std::string received_;  // Incomplete records.
  std::string message_;   // Handshake messages from them.
};

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_ECH_ECH_INNER_HELLO_H_
