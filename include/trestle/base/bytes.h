// Views over bytes, and ByteQueue: the one buffer type of the library.
//
// Every buffer between two legs is a ByteQueue whose storage comes from a BufferPool and goes
// back the moment the queue is empty, so that an idle connection holds none.
#ifndef TRESTLE_BASE_BYTES_H_
#define TRESTLE_BASE_BYTES_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace trestle {

using ByteView = absl::Span<const uint8_t>;
using MutableByteView = absl::Span<uint8_t>;

/// Views the characters of `text` as bytes. The view lives as long as `text`'s storage.
inline ByteView AsBytes(absl::string_view text) {
  return ByteView(reinterpret_cast<const uint8_t*>(text.data()), text.size());
}

/// Views `bytes` as characters. The view lives as long as `bytes`' storage.
inline absl::string_view AsText(ByteView bytes) {
  return absl::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

/// Lends fixed-size blocks of memory to the queues of one loop, last returned first, so that a
/// busy loop works in memory that is still in the cache. Not thread-safe: one pool a loop.
class BufferPool {
 public:
  /// Four full TLS records, their overhead, and one record of overshoot.
  static constexpr size_t kBlockBytes = 80 * 1024;

  /// Keeps at most `max_free_blocks` unused blocks; what is returned above that is freed.
  explicit BufferPool(size_t max_free_blocks = 32) : max_free_blocks_(max_free_blocks) {}
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  /// Lends a block of `kBlockBytes` bytes, uninitialised.
  std::unique_ptr<uint8_t[]> Take();

  /// Takes back a block that came from `Take()`.
  void Return(std::unique_ptr<uint8_t[]> block);

  /// Counts the blocks that are lent out now. An idle loop lends none.
  size_t lent_blocks() const { return lent_blocks_; }

 private:
  const size_t max_free_blocks_;
  size_t lent_blocks_ = 0;
  std::vector<std::unique_ptr<uint8_t[]>> free_blocks_;
};

/// A first-in, first-out run of bytes in one contiguous piece. Holds no memory while empty. Takes
/// one pool block as soon as there is something to hold, and grows beyond it only when asked to
/// (a handshake flight with very long certificate chains); whoever appends enforces the bound.
class ByteQueue {
 public:
  /// `pool` must outlive the queue.
  explicit ByteQueue(BufferPool& pool) : pool_(pool) {}
  ~ByteQueue() { Clear(); }
  ByteQueue(const ByteQueue&) = delete;
  ByteQueue& operator=(const ByteQueue&) = delete;

  size_t size() const { return end_ - begin_; }
  bool empty() const { return begin_ == end_; }
  bool holds_memory() const { return storage_ != nullptr; }

  /// Views everything that is queued; valid until the next call that is not const.
  ByteView view() const { return ByteView(storage_.get() + begin_, size()); }

  /// Copies `bytes` to the end.
  void Append(ByteView bytes);

  /// Makes room for `bytes` more at the end, and returns that room (at least `bytes` long) to be
  /// written into and then taken into the queue with `Commit`. Valid until the next call.
  MutableByteView Prepare(size_t bytes);

  /// Takes the first `bytes` bytes of what `Prepare` returned into the queue; the memory is given
  /// back when the queue stays empty.
  void Commit(size_t bytes);

  /// Drops the first `bytes` bytes (at most `size()`).
  void Consume(size_t bytes);

  /// Moves the first bytes into `out`, as many as there are room and bytes for; returns how many.
  size_t CopyOut(MutableByteView out);

  /// Drops everything and gives the memory back.
  void Clear();

 private:
  void Grow(size_t bytes);

  BufferPool& pool_;
  std::unique_ptr<uint8_t[]> storage_;
  size_t capacity_ = 0;
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace trestle

#endif  // TRESTLE_BASE_BYTES_H_
