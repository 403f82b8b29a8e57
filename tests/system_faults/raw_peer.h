// A client or backend on a raw socket, which the test steps between the turns of a loop.
#ifndef TRESTLE_TESTS_SYSTEM_FAULTS_RAW_PEER_H_
#define TRESTLE_TESTS_SYSTEM_FAULTS_RAW_PEER_H_

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <utility>

#include "tests/system_faults/system_faults.h"
#include "trestle/linux/owned_fd.h"

namespace trestle {

/// What a peer does after its last byte.
enum class LastAct { kFin, kReset };

/// Sends all its bytes, then a FIN, or after the other side's end a RST. Reads until that end.
class RawPeer final {
 public:
  enum class End { kNone, kClean, kReset };

  /// `to_send` must outlive the peer.
  RawPeer(OwnedFd fd, const std::string& to_send, LastAct last_act)
      : fd_(std::move(fd)), to_send_(to_send), last_act_(last_act) {
    const RealCalls real;
    fcntl(fd_.get(), F_SETFL, O_NONBLOCK);
  }
  ~RawPeer() {
    const RealCalls real;
    fd_.Reset();
  }

  /// Sends and reads what is possible now.
  void Step() {
    const RealCalls real;
    if (fd_.valid()) Send();
    if (fd_.valid()) Read();
  }

  const std::string& received() const { return received_; }
  End end() const { return end_; }

 private:
  void Send() {
    while (sent_ < to_send_.size()) {
      const ssize_t bytes =
          send(fd_.get(), to_send_.data() + sent_, to_send_.size() - sent_, MSG_NOSIGNAL);
      if (bytes < 0) return;
      sent_ += static_cast<size_t>(bytes);
    }
    if (last_act_ == LastAct::kFin) {
      shutdown(fd_.get(), SHUT_WR);
    } else if (end_ != End::kNone) {
      Reset();
    }
  }

  void Reset() {
    const linger no_linger = {1, 0};
    setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &no_linger, sizeof no_linger);
    fd_.Reset();
    end_ = End::kReset;
  }

  void Read() {
    std::string block(65536, '\0');
    while (end_ == End::kNone) {
      const ssize_t bytes = recv(fd_.get(), &block[0], block.size(), 0);
      if (bytes < 0 && errno == EAGAIN) return;
      if (bytes <= 0) {
        end_ = bytes == 0 ? End::kClean : End::kReset;
        return;
      }
      received_.append(block, 0, static_cast<size_t>(bytes));
    }
  }

  OwnedFd fd_;
  const std::string& to_send_;
  const LastAct last_act_;
  size_t sent_ = 0;
  std::string received_;
  End end_ = End::kNone;
};

}  // namespace trestle

#endif  // TRESTLE_TESTS_SYSTEM_FAULTS_RAW_PEER_H_
