// SplicePipes: the kernel pipes of one loop, through which splice(2) carries bytes from socket to
// socket.
#ifndef TRESTLE_POSIX_SPLICE_PIPES_H_
#define TRESTLE_POSIX_SPLICE_PIPES_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "trestle/io/direct_pipe.h"

namespace trestle {

/// Lends pipes, last returned first. A pipe is two descriptors, and belongs to one direction of one
/// connection while bulk flows through it.
class SplicePipes final : public DirectPipes {
 public:
  /// Pipes lent at a time, at most: 256 descriptors. Slow receivers hold on to theirs, and must not
  /// take the descriptors that new connections need.
  static constexpr size_t kMaxLentPipes = 128;

  /// Unused pipes that are kept, at most.
  static constexpr size_t kMaxFreePipes = 16;

  SplicePipes();
  ~SplicePipes();
  SplicePipes(const SplicePipes&) = delete;
  SplicePipes& operator=(const SplicePipes&) = delete;

  /// Lends a pipe; null, and counted, at the limit and where the system has no more.
  std::unique_ptr<DirectPipe> Take() override;
  void Return(std::unique_ptr<DirectPipe> pipe) override;

  /// Counts the pipes that are lent out now.
  size_t lent() const { return lent_; }

  /// Counts how often there was no pipe to lend, so that bytes were copied.
  uint64_t failures() const { return failures_; }

 private:
  std::vector<std::unique_ptr<DirectPipe>> free_;
  size_t lent_ = 0;
  uint64_t failures_ = 0;
};

}  // namespace trestle

#endif  // TRESTLE_POSIX_SPLICE_PIPES_H_
