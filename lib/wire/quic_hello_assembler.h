// QuicHelloAssembler: puts a ClientHello together from the frames of decrypted Initial packets.
#ifndef TRESTLE_LIB_WIRE_QUIC_HELLO_ASSEMBLER_H_
#define TRESTLE_LIB_WIRE_QUIC_HELLO_ASSEMBLER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "trestle/base/bytes.h"
#include "trestle/wire/client_hello.h"
#include "trestle/wire/quic_hello.h"

namespace trestle {
namespace wire_internal {

// Takes packets in any order and any number of times. Its memory is at most the hello's limit and
// two numbers for each gap. The work for a packet is linear in its size times the number of gaps.
class QuicHelloAssembler {
 public:
  // `limits` must outlive the assembler.
  explicit QuicHelloAssembler(const QuicHelloLimits& limits) : limits_(limits) {}
  QuicHelloAssembler(const QuicHelloAssembler&) = delete;
  QuicHelloAssembler& operator=(const QuicHelloAssembler&) = delete;

  // Takes the frames of one packet. The frames that a client may send in an Initial are PADDING,
  // PING, ACK, CRYPTO and CONNECTION_CLOSE (RFC 9000 12.4). Don't call it after a fault.
  std::optional<QuicHelloFault> TakePacket(ByteView payload);

  // Whether the hello is complete and valid.
  bool done() const { return done_; }

  // Valid if done. Its views live as long as the assembler.
  const ClientHello& hello() const { return hello_; }

  // Explains the fault kMalformedHello; empty for others.
  absl::string_view reason() const { return reason_; }

 private:
  struct Range {
    size_t begin;
    size_t end;
  };

  std::optional<QuicHelloFault> TakeCrypto(uint64_t offset, ByteView data);
  bool Agrees(Range range, ByteView data) const;
  void Merge(Range range);
  std::optional<QuicHelloFault> ReadMessageHeader();
  std::optional<QuicHelloFault> Finish();

  const QuicHelloLimits& limits_;
  bool done_ = false;
  size_t message_bytes_ = 0;    // The message's full size; 0 until its header has arrived.
  std::string message_;         // Up to the highest byte that has arrived.
  std::vector<Range> arrived_;  // Ascending, with a gap between each two.
  std::string reason_;
  ClientHello hello_;
};

}  // namespace wire_internal
}  // namespace trestle

#endif  // TRESTLE_LIB_WIRE_QUIC_HELLO_ASSEMBLER_H_
