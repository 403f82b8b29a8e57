// QuicFlow: what the router keeps of one flow, small because there are many. Private to the router
// of QUIC.
#ifndef TRESTLE_LIB_PROXY_QUIC_QUIC_FLOW_H_
#define TRESTLE_LIB_PROXY_QUIC_QUIC_FLOW_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "lib/proxy/quic/quic_flow_story.h"
#include "trestle/base/bytes.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/monotonic_time.h"
#include "trestle/io/datagram_socket.h"
#include "trestle/proxy/backend_chooser.h"
#include "trestle/proxy/observer.h"
#include "trestle/tls/quic_hello_reader.h"
#include "trestle/wire/quic_packet.h"

namespace trestle {

/// An IP address and a port in half the size of an Endpoint.
class CompactEndpoint {
 public:
  CompactEndpoint() = default;
  explicit CompactEndpoint(const Endpoint& endpoint);
  Endpoint ToEndpoint() const;

  friend bool operator==(const CompactEndpoint& a, const CompactEndpoint& b) {
    return a.bytes_ == b.bytes_;
  }
  template <typename H>
  friend H AbslHashValue(H h, const CompactEndpoint& e) {
    return H::combine_contiguous(std::move(h), e.bytes_.data(), e.bytes_.size());
  }

 private:
  std::array<uint8_t, 19> bytes_ = {};  // Size of the address, address, port.
};

/// The two addresses of a flow's front leg.
struct QuicPath {
  CompactEndpoint client;
  CompactEndpoint local;

  friend bool operator==(const QuicPath& a, const QuicPath& b) {
    return a.client == b.client && a.local == b.local;
  }
  template <typename H>
  friend H AbslHashValue(H h, const QuicPath& path) {
    return H::combine(std::move(h), path.client, path.local);
  }
};

enum class QuicFlowStage : uint8_t {
  kReading,   ///< The hello isn't complete. The reader holds the datagrams.
  kRefused,   ///< Reported and over. What else comes is dropped without a further look.
  kWaiting,   ///< The datagrams went to a backend that has not answered.
  kAnswered,  ///< The backend answered.
  kProven,    ///< The client used a connection ID of the backend, so it receives at its address.
};

/// A connection ID that the backend chose, of at most 20 bytes (RFC 9000 17.2).
class QuicBackendId {
 public:
  bool known() const { return size_ != kUnknown; }
  ByteView bytes() const { return ByteView(bytes_.data(), known() ? size_ : 0); }
  void Set(ByteView id);

 private:
  static constexpr uint8_t kUnknown = 0xff;

  uint8_t size_ = kUnknown;
  std::array<uint8_t, 20> bytes_;
};

/// Returns a number for a connection ID. Equal numbers of different IDs are possible, and harm none
/// but the client that made them.
uint64_t QuicIdNumber(ByteView id);

struct QuicFlow;

/// Receives the callbacks of a flow's back socket.
class QuicFlowOwner {
 public:
  virtual void OnBackReadable(QuicFlow& flow) = 0;

 protected:
  ~QuicFlowOwner() = default;
};

struct QuicFlow final : DatagramHandler {
  /// What a flow needs until its backend answers.
  struct Pending {
    explicit Pending(const QuicHelloLimits& limits) : reader(limits) {}
    QuicHelloReader reader;
    size_t held_bytes = 0;
    BackendChooser::Candidates candidates;
    size_t tried = 0;
  };

  QuicFlow(QuicFlowOwner& owner, const QuicPath& path, MonotonicTime now)
      : owner(owner), path(path), started(now), last_active(now) {}

  void OnReadable() override { owner.OnBackReadable(*this); }

  /// Returns whether a client's packet, which came on this flow's path, belongs to this flow.
  bool Owns(const QuicPacket& packet) const;

  /// Returns whether a client that sent `packet` has received an answer.
  bool IsProof(const QuicPacket& packet) const;

  QuicFlowOwner& owner;
  QuicFlow* newer = nullptr;  // In the queue of its stage.
  QuicFlow* older = nullptr;
  QuicFlow* next_of_path = nullptr;
  std::unique_ptr<DatagramSocket> back;  // From kWaiting on.
  std::unique_ptr<Pending> pending;
  std::unique_ptr<std::vector<FailedTry>> failed_tries;
  PackedStory story;  // From a complete hello on.
  uint64_t id = 0;
  uint64_t client_id = 0;  // Numbers of IDs. This one the client chose for itself,
  uint64_t first_id = 0;   // this one for the server,
  uint64_t retry_id = 0;   // and this one came with the Retry.
  uint64_t from_client = 0;
  uint64_t to_client = 0;
  uint64_t from_backend = 0;
  uint64_t to_backend = 0;
  const QuicPath path;
  CompactEndpoint backend;
  QuicBackendId backend_id;
  const MonotonicTime started;
  MonotonicTime last_active;
  uint32_t version = 0;    // Of the first packet.
  uint32_t hello_us = 0;   // From the first datagram to the complete hello,
  uint32_t answer_us = 0;  // and from there to the first answer.
  QuicFlowStage stage = QuicFlowStage::kReading;
  bool counted_by_limiter = false;
  bool waits_for_turn = false;  // The back socket may have more datagrams.
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PROXY_QUIC_QUIC_FLOW_H_
