// The arrays that recvmmsg(2) and sendmmsg(2) need. The UDP sockets of a loop share them. Private
// to udp_sockets.cc.
#ifndef TRESTLE_LIB_LINUX_UDP_SCRATCH_H_
#define TRESTLE_LIB_LINUX_UDP_SCRATCH_H_

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "trestle/base/endpoint.h"
#include "trestle/io/datagram_socket.h"

namespace trestle {

/// Messages are what the system calls carry: one datagram, or several as segments.
class UdpScratch {
 public:
  static constexpr size_t kMessages = 16;
  static constexpr size_t kMessageBytes = 64 * 1024;
  static constexpr size_t kSegments = 64;  // UDP_MAX_SEGMENTS of the first kernels that had it.

  UdpScratch();

  /// Receives up to kMessages messages. Returns their number, or -1 with errno set.
  int Receive(int fd);

  /// Views the datagrams of the first `messages` messages, until the next call of `Receive`. With
  /// `is_connected` they have no peer. They have `local` where the system gave no local address.
  absl::Span<const Datagram> Received(int messages, bool is_connected, const Endpoint& local);

  /// Puts the front of `batch` into up to kMessages messages. Returns how many datagrams that were.
  /// `is_addressed`: with the peers' addresses; `names_local`: and with the local ones.
  size_t Fill(absl::Span<const Datagram> batch, bool segments, bool is_addressed, bool names_local);

  /// Sends the messages of `Fill`. Returns how many were accepted, or -1 with errno set.
  int Send(int fd);

  /// The datagrams in the first `messages` messages of `Fill`, and whether the first is segmented.
  size_t DatagramsIn(int messages) const;
  bool IsSegmented() const { return parts_[0] > 1; }

 private:
  // Room for the local address and the size of segments.
  static constexpr size_t kControlBytes = CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(int));

  struct alignas(cmsghdr) Control {
    std::array<char, kControlBytes> bytes;
  };

  void FillControl(msghdr& message, Control& control, const Endpoint* local,
                   uint16_t segment_bytes);

  const std::unique_ptr<uint8_t[]> bytes_;
  std::array<mmsghdr, kMessages> received_ = {};
  std::array<iovec, kMessages> received_parts_ = {};
  std::array<sockaddr_in6, kMessages> senders_ = {};
  std::array<Control, kMessages> received_control_ = {};
  std::vector<Datagram> datagrams_;

  std::array<mmsghdr, kMessages> sent_ = {};
  std::array<size_t, kMessages> parts_ = {};  // Datagrams in each message.
  size_t messages_ = 0;
  std::array<sockaddr_in6, kMessages> peers_ = {};
  std::array<Control, kMessages> sent_control_ = {};
  std::vector<iovec> sent_parts_;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_LINUX_UDP_SCRATCH_H_
