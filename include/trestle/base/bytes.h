// Views over bytes, and ByteQueue, the buffer type of the library.
//
// Every buffer between two legs is a ByteQueue. It borrows storage from a BufferPool and returns it
// as soon as it is empty, so an idle connection holds no buffer.
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

/// Lends fixed-size blocks of memory to the queues of one loop. It lends the last returned block
/// first, because that block is still in the processor's cache. Not thread-safe: each loop has its
/// own pool.
class BufferPool {
 public:
  /// Four full TLS records, their overhead, and one record of overshoot.
  static constexpr size_t kBlockBytes = 80 * 1024;

  /// Keeps at most `max_free_blocks` unused blocks and frees further ones when they are returned.
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

/// A first-in, first-out queue of bytes in one contiguous piece. It holds no memory while empty.
/// The first byte takes one pool block. If more bytes than fit come, such as a handshake flight
/// with very long certificate chains, the queue grows beyond that block. The caller that appends
/// bounds the size.
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

  /// Makes room for `bytes` more bytes at the end and returns it; it is at least `bytes` long. The
  /// caller writes into it and then calls `Commit`. Valid until the next call.
  MutableByteView Prepare(size_t bytes);

  /// Adds the first `bytes` bytes of the room from `Prepare` to the queue. Returns the memory to
  /// the pool if the queue is still empty.
  void Commit(size_t bytes);

  /// Drops the first `bytes` bytes (at most `size()`).
  void Consume(size_t bytes);

  /// Moves the first min(`size()`, `out.size()`) bytes into `out` and returns their number.
  size_t CopyOut(MutableByteView out);

  /// Drops all bytes and returns the memory to the pool.
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
