// QuicHelloReader: reads the ClientHello of a QUIC client from its first datagrams, in any order,
// and keeps them for the server. QUIC versions 1 and 2 (RFC 9001, RFC 9369).
//
// Only a complete, valid ClientHello gives kDone. docs/quic.md has an example.
#ifndef TRESTLE_TLS_QUIC_HELLO_READER_H_
#define TRESTLE_TLS_QUIC_HELLO_READER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "trestle/base/bytes.h"
#include "trestle/base/monotonic_time.h"
#include "trestle/wire/client_hello.h"
#include "trestle/wire/quic_hello.h"
#include "trestle/wire/quic_packet.h"

namespace trestle {
struct OpenedQuicInitial;

/// Takes the datagrams of one client: those from one address that come before any answer.
///
/// The first datagram decides whether a flow begins. It must have an Initial packet that can be
/// decrypted, or be 0-RTT that overtook the Initial. From the first decrypted Initial on, what
/// can't be decrypted is ignored, so that only the client itself or a limit ends the flow. Ignored
/// are, for example, packets of other kinds, garbage behind a packet, and Initials in datagrams of
/// less than 1200 bytes (RFC 9000 14.1).
///
/// Keys come from the destination connection ID of each Initial (RFC 9001 5.2). A client that got a
/// Retry begins anew with another ID; its hello is then put together anew. Two such IDs are
/// followed, further ones are not. An ID that gives no key, because the client uses the one that
/// the server chose, continues the hello under the keys so far.
///
/// A hello is refused for each `QuicHelloFault`. What RFC 9001 demands of the hello's contents (TLS
/// 1.3, ALPN, transport parameters) is left to the server. Memory is at most the limit of bytes and
/// twice the limit of the hello. Not thread-safe.
class QuicHelloReader {
 public:
  /// Makes a reader for one flow.
  explicit QuicHelloReader(const QuicHelloLimits& limits = {});
  ~QuicHelloReader();
  QuicHelloReader(const QuicHelloReader&) = delete;
  QuicHelloReader& operator=(const QuicHelloReader&) = delete;

  /// Takes the next datagram, which arrived at `now`, and returns the new state. Copies `datagram`.
  /// In any state but kNeedMore it takes nothing. A datagram over a limit is not kept.
  QuicHelloState Feed(ByteView datagram, MonotonicTime now);

  QuicHelloState state() const { return state_; }

  /// Returns the hello, in state kDone only. Its views are valid as long as the reader.
  const ClientHello& hello() const;

  /// Returns the version of QUIC of the hello, or of the packet that gave kUnknownVersion; 0 in
  /// other states.
  uint32_t version() const { return version_; }

  /// Returns the fault, in state kRefused only.
  QuicHelloFault fault() const { return fault_; }

  /// Returns OK in states kNeedMore and kDone; else an Error of the front leg, phase kHello:
  /// kNotTls, or in state kRefused `QuicHelloFaultError`.
  absl::Status error() const;

  /// Returns when `QuicHelloLimits::time` ends; infinitely late before the first datagram.
  MonotonicTime deadline() const { return deadline_; }

  /// Counts the datagrams that were kept, and views one, in the order of arrival.
  size_t datagrams() const { return ends_.size(); }
  /// Returns the `i`-th datagram as it came.
  ByteView datagram(size_t i) const;

 private:
  struct Attempt;

  bool Keep(ByteView datagram, MonotonicTime now);
  bool BeginsFlow(ByteView datagram);
  void ReadPackets(ByteView datagram);
  void ReadInitial(const QuicPacket& packet, bool may_derive);
  void TakeOpened(Attempt& attempt, const OpenedQuicInitial& opened);
  void RefuseUnlessBegun(QuicHelloFault fault);
  void Refuse(QuicHelloFault fault, absl::string_view reason = "");

  const QuicHelloLimits limits_;
  QuicHelloState state_ = QuicHelloState::kNeedMore;
  QuicHelloFault fault_ = QuicHelloFault::kMalformedPacket;
  uint32_t version_ = 0;
  MonotonicTime deadline_ = MonotonicTime::InfiniteFuture();
  absl::InlinedVector<std::unique_ptr<Attempt>, 2> attempts_;  // One for each first ID.
  const Attempt* done_ = nullptr;
  std::string reason_;
  std::string kept_;                     // All datagrams.
  absl::InlinedVector<size_t, 8> ends_;  // Where each ends in `kept_`.
};

}  // namespace trestle

#endif  // TRESTLE_TLS_QUIC_HELLO_READER_H_
