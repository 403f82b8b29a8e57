// DirectPipe: carries bytes between two transports without bringing them into this process, where
// the system below can do that (Linux: splice(2)). Implemented by edges, used by the relay.
#ifndef TRESTLE_IO_DIRECT_PIPE_H_
#define TRESTLE_IO_DIRECT_PIPE_H_

#include <cstddef>
#include <memory>

namespace trestle {

/// Bytes on their way. Filled and emptied by `Transport::ReadInto` and `WriteFrom`.
class DirectPipe {
 public:
  virtual ~DirectPipe() = default;

  /// Counts the bytes that are in it now.
  virtual size_t size() const = 0;
};

/// Lends the pipes of one loop. Transports that tell the same object as their `direct_pipes()` can
/// exchange bytes through its pipes.
class DirectPipes {
 public:
  /// Lends an empty pipe; null where there is none to be had, and bytes are to be copied.
  virtual std::unique_ptr<DirectPipe> Take() = 0;

  /// Takes back a pipe that came from `Take()`. Bytes that are still in it are dropped.
  virtual void Return(std::unique_ptr<DirectPipe> pipe) = 0;

 protected:
  ~DirectPipes() = default;
};

}  // namespace trestle

#endif  // TRESTLE_IO_DIRECT_PIPE_H_
