// QuicFlowTable: all flows of a router, by path and by the backends' connection IDs, and in the
// order of their last activity. Private to the router of QUIC.
#ifndef TRESTLE_LIB_PROXY_QUIC_QUIC_FLOW_TABLE_H_
#define TRESTLE_LIB_PROXY_QUIC_QUIC_FLOW_TABLE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/container/flat_hash_set.h"
#include "lib/proxy/quic/quic_flow.h"

namespace trestle {

/// Flows that are given up by the same rules.
enum class QuicQueue : uint8_t {
  kReading,   ///< Stage kReading, in the order of their first datagrams.
  kUnproven,  ///< Stages kRefused, kWaiting and kAnswered, in the order of their last activity.
  kProven,    ///< Stage kProven, in the same order.
};

class QuicFlowTable {
 public:
  /// The flows that one path may have. Clients that share a port among connections need more than
  /// one.
  static constexpr size_t kMaxFlowsOfPath = 64;

  ~QuicFlowTable();

  /// Returns the flow of a client's packet, or null. A short header that tells nothing belongs to
  /// the flow of the path that was recognised last.
  QuicFlow* Find(const QuicPath& path, const QuicPacket& packet);

  /// Returns the flow that was indexed last for the backend's connection ID `id`, or null.
  QuicFlow* FindByBackendId(ByteView id) const;

  bool PathIsFull(const QuicPath& path) const;

  /// Adds a flow of stage kReading.
  QuicFlow& Add(QuicFlowOwner& owner, const QuicPath& path, MonotonicTime now);

  std::unique_ptr<QuicFlow> Remove(QuicFlow& flow);

  void SetStage(QuicFlow& flow, QuicFlowStage stage);

  /// Moves a flow to the end of its queue, unless that is kReading.
  void Touch(QuicFlow& flow, MonotonicTime now);

  /// `UnindexBackendId` must precede a change of an indexed flow's ID.
  void IndexBackendId(QuicFlow& flow);
  void UnindexBackendId(QuicFlow& flow);

  /// Returns the flow of a queue that was active first, or null.
  QuicFlow* Oldest(QuicQueue queue) const { return ends(queue).oldest; }

  size_t size() const { return size_; }
  size_t size(QuicQueue queue) const { return ends(queue).size; }

 private:
  struct Ends {
    QuicFlow* oldest = nullptr;
    QuicFlow* newest = nullptr;
    size_t size = 0;
  };

  static const QuicPath& PathOf(const QuicFlow* flow) { return flow->path; }
  static const QuicPath& PathOf(const QuicPath& path) { return path; }
  static ByteView IdOf(const QuicFlow* flow) { return flow->backend_id.bytes(); }
  static ByteView IdOf(ByteView id) { return id; }

  struct HashPath {
    using is_transparent = void;
    template <typename T>
    size_t operator()(const T& flow) const {
      return absl::Hash<QuicPath>()(PathOf(flow));
    }
  };
  struct EqualPath {
    using is_transparent = void;
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return PathOf(a) == PathOf(b);
    }
  };
  struct HashId {
    using is_transparent = void;
    template <typename T>
    size_t operator()(const T& flow) const {
      return static_cast<size_t>(QuicIdNumber(IdOf(flow)));
    }
  };
  struct EqualId {
    using is_transparent = void;
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return IdOf(a) == IdOf(b);
    }
  };

  static QuicQueue QueueOf(QuicFlowStage stage);
  Ends& ends(QuicQueue queue) { return queues_[static_cast<size_t>(queue)]; }
  const Ends& ends(QuicQueue queue) const { return queues_[static_cast<size_t>(queue)]; }
  void Enqueue(QuicFlow& flow);
  void Dequeue(QuicFlow& flow);
  void MakeHead(QuicFlow& head, QuicFlow& flow);

  size_t size_ = 0;
  // The head of each path's list. The table owns all flows.
  absl::flat_hash_set<QuicFlow*, HashPath, EqualPath> by_path_;
  absl::flat_hash_set<QuicFlow*, HashId, EqualId> by_backend_id_;
  std::array<Ends, 3> queues_;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PROXY_QUIC_QUIC_FLOW_TABLE_H_
