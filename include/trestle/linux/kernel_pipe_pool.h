// KernelPipePool: the kernel pipes of one loop, for moving bytes between sockets by splice(2).
#ifndef TRESTLE_LINUX_KERNEL_PIPE_POOL_H_
#define TRESTLE_LINUX_KERNEL_PIPE_POOL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "trestle/io/splice_buffer.h"

namespace trestle {

/// Lends pipes, the last returned one first. A pipe has two descriptors, and belongs to one
/// direction of one connection during a bulk transfer.
class KernelPipePool final : public SplicePool {
 public:
  /// Maximum number of lent pipes: 256 descriptors. Slow receivers keep their pipes, and must not
  /// use up the descriptors for new connections.
  static constexpr size_t kMaxLentPipes = 128;

  /// Maximum number of unused pipes to keep.
  static constexpr size_t kMaxFreePipes = 16;

  KernelPipePool();
  ~KernelPipePool();
  KernelPipePool(const KernelPipePool&) = delete;
  KernelPipePool& operator=(const KernelPipePool&) = delete;

  /// Lends a pipe. Returns null, and counts a failure, at the limit or if the system has no more.
  std::unique_ptr<SpliceBuffer> Take() override;
  void Return(std::unique_ptr<SpliceBuffer> pipe) override;

  /// Returns the number of lent pipes.
  size_t lent() const { return lent_; }

  /// Returns how often no pipe was available, so that bytes were copied instead.
  uint64_t failures() const { return failures_; }

 private:
  std::vector<std::unique_ptr<SpliceBuffer>> free_;
  size_t lent_ = 0;
  uint64_t failures_ = 0;
};

}  // namespace trestle

#endif  // TRESTLE_LINUX_KERNEL_PIPE_POOL_H_
