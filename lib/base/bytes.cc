#include "trestle/base/bytes.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/base/optimization.h"

namespace trestle {

std::unique_ptr<uint8_t[]> BufferPool::Take() {
  ++lent_blocks_;
  if (free_blocks_.empty()) return std::unique_ptr<uint8_t[]>(new uint8_t[kBlockBytes]);
  std::unique_ptr<uint8_t[]> block = std::move(free_blocks_.back());
  free_blocks_.pop_back();
  return block;
}

void BufferPool::Return(std::unique_ptr<uint8_t[]> block) {
  --lent_blocks_;
  if (free_blocks_.size() < max_free_blocks_) free_blocks_.push_back(std::move(block));
}

void ByteQueue::Append(ByteView bytes) {
  if (bytes.empty()) return;
  std::memcpy(Prepare(bytes.size()).data(), bytes.data(), bytes.size());
  end_ += bytes.size();
}

MutableByteView ByteQueue::Prepare(size_t bytes) {
  if (ABSL_PREDICT_FALSE(capacity_ - end_ < bytes)) Grow(bytes);
  return MutableByteView(storage_.get() + end_, capacity_ - end_);
}

void ByteQueue::Commit(size_t bytes) {
  end_ += bytes;
  if (empty()) Clear();
}

void ByteQueue::Consume(size_t bytes) {
  begin_ += std::min(bytes, size());
  if (empty()) Clear();
}

size_t ByteQueue::CopyOut(MutableByteView out) {
  const size_t bytes = std::min(out.size(), size());
  if (bytes == 0) return 0;
  std::memcpy(out.data(), storage_.get() + begin_, bytes);
  Consume(bytes);
  return bytes;
}

void ByteQueue::Clear() {
  begin_ = end_ = 0;
  if (storage_ == nullptr) return;
  if (capacity_ == BufferPool::kBlockBytes) {
    pool_.Return(std::move(storage_));
  } else {
    storage_.reset();
  }
  capacity_ = 0;
}

void ByteQueue::Grow(size_t bytes) {
  const size_t held = size();
  if (held + bytes <= capacity_ && held <= capacity_ / 2) {
    // At least half of the block is free space in front. Moving is cheaper than growing, and
    // happens at most once per half block consumed.
    std::memmove(storage_.get(), storage_.get() + begin_, held);
    begin_ = 0;
    end_ = held;
    return;
  }
  const bool pooled = held + bytes <= BufferPool::kBlockBytes && capacity_ == 0;
  const size_t capacity =
      pooled ? BufferPool::kBlockBytes : std::max(held + bytes, 2 * std::max(capacity_, held));
  std::unique_ptr<uint8_t[]> storage =
      pooled ? pool_.Take() : std::unique_ptr<uint8_t[]>(new uint8_t[capacity]);
  if (held > 0) std::memcpy(storage.get(), storage_.get() + begin_, held);
  Clear();
  storage_ = std::move(storage);
  capacity_ = capacity;
  end_ = held;
}

}  // namespace trestle
