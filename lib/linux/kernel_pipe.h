// KernelPipe: one kernel pipe. Private to the linux edge.
#ifndef TRESTLE_LIB_LINUX_KERNEL_PIPE_H_
#define TRESTLE_LIB_LINUX_KERNEL_PIPE_H_

#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <utility>

#include "trestle/io/splice_buffer.h"
#include "trestle/linux/owned_fd.h"

namespace trestle {

class KernelPipe final : public SpliceBuffer {
 public:
  /// Opens a pipe; returns null if the system has no more.
  static std::unique_ptr<KernelPipe> Create();

  size_t size() const override { return size_; }

  /// Moves at most `max_bytes` bytes from `socket` into the pipe, which must be empty, so that
  /// EAGAIN comes from the socket. Returns as splice(2) does, but never EINTR.
  ssize_t Fill(int socket, size_t max_bytes);

  /// Moves bytes from the pipe, which must not be empty, into `socket`. Returns as splice(2) does,
  /// but never EINTR; raises no SIGPIPE.
  ssize_t Drain(int socket);

 private:
  KernelPipe(OwnedFd out, OwnedFd in) : out_(std::move(out)), in_(std::move(in)) {}

  const OwnedFd out_;
  const OwnedFd in_;
  size_t size_ = 0;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_LINUX_KERNEL_PIPE_H_
