#include "trestle/base/bytes.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace trestle {
namespace {

TEST(BufferPoolTest, LendsTheLastReturnedBlockFirst) {
  BufferPool pool;
  std::unique_ptr<uint8_t[]> block = pool.Take();
  const uint8_t* const address = block.get();
  EXPECT_EQ(pool.lent_blocks(), 1u);
  pool.Return(std::move(block));
  EXPECT_EQ(pool.lent_blocks(), 0u);
  EXPECT_EQ(pool.Take().get(), address);
}

TEST(BufferPoolTest, KeepsNoMoreThanItsLimit) {
  BufferPool pool(/*max_free_blocks=*/1);
  std::unique_ptr<uint8_t[]> first = pool.Take();
  std::unique_ptr<uint8_t[]> second = pool.Take();
  const uint8_t* const kept = first.get();
  pool.Return(std::move(first));
  pool.Return(std::move(second));
  EXPECT_EQ(pool.Take().get(), kept);
}

TEST(ByteQueueTest, HoldsNoMemoryWhileEmpty) {
  BufferPool pool;
  ByteQueue queue(pool);
  EXPECT_FALSE(queue.holds_memory());
  queue.Append(AsBytes("abc"));
  EXPECT_TRUE(queue.holds_memory());
  EXPECT_EQ(pool.lent_blocks(), 1u);
  queue.Consume(3);
  EXPECT_FALSE(queue.holds_memory());
  EXPECT_EQ(pool.lent_blocks(), 0u);
}

TEST(ByteQueueTest, ReturnsAPreparedBlockWithoutBytes) {
  BufferPool pool;
  ByteQueue queue(pool);
  EXPECT_GE(queue.Prepare(100).size(), 100u);
  queue.Commit(0);
  EXPECT_EQ(pool.lent_blocks(), 0u);
}

TEST(ByteQueueTest, KeepsOrderThroughPartialConsumption) {
  BufferPool pool;
  ByteQueue queue(pool);
  std::string expected;
  std::string seen;
  for (int i = 0; i < 20000; ++i) {
    const std::string piece(1 + i % 97, static_cast<char>('a' + i % 26));
    expected += piece;
    queue.Append(AsBytes(piece));
    uint8_t out[64];
    const size_t bytes = queue.CopyOut(absl::MakeSpan(out, i % 64));
    seen.append(reinterpret_cast<const char*>(out), bytes);
  }
  seen += AsText(queue.view());
  EXPECT_EQ(seen, expected);
}

TEST(ByteQueueTest, StaysInItsBlockIfItIsDrainedAsFastAsFilled) {
  BufferPool pool;
  ByteQueue queue(pool);
  const std::string piece(16 * 1024, 'x');
  queue.Append(AsBytes(piece));
  for (int i = 0; i < 1000; ++i) {
    queue.Append(AsBytes(piece));
    queue.Consume(piece.size());
    ASSERT_EQ(queue.size(), piece.size());
    ASSERT_EQ(pool.lent_blocks(), 1u) << "grew out of the pool's block in round " << i;
  }
}

TEST(ByteQueueTest, GrowsBeyondABlockAndReturnsAllMemory) {
  BufferPool pool;
  ByteQueue queue(pool);
  const std::string big(3 * BufferPool::kBlockBytes, 'y');
  queue.Append(AsBytes("head"));
  queue.Append(AsBytes(big));
  EXPECT_EQ(queue.size(), big.size() + 4);
  EXPECT_EQ(pool.lent_blocks(), 0u);
  EXPECT_EQ(AsText(queue.view()).substr(0, 6), "headyy");
  queue.Clear();
  EXPECT_FALSE(queue.holds_memory());
}

TEST(ByteQueueTest, ConsumingMoreThanItsSizeDropsAll) {
  BufferPool pool;
  ByteQueue queue(pool);
  queue.Append(AsBytes("abc"));
  queue.Consume(10);
  EXPECT_TRUE(queue.empty());
}

}  // namespace
}  // namespace trestle
