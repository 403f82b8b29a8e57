// SpliceBuffer: moves bytes between two transports inside the kernel (Linux: splice(2)), without a
// copy into this process. Edges implement it; the relay uses it.
#ifndef TRESTLE_IO_SPLICE_BUFFER_H_
#define TRESTLE_IO_SPLICE_BUFFER_H_

#include <cstddef>
#include <memory>

namespace trestle {

/// A pipe for bytes in transit. `Transport::ReadInto` fills it, `Transport::WriteFrom` empties it.
class SpliceBuffer {
 public:
  virtual ~SpliceBuffer() = default;

  /// Returns the number of bytes in the pipe.
  virtual size_t size() const = 0;
};

/// Lends the pipes of one loop; used on that loop's thread only. Transports that return the same
/// object from `splice_pool()` can exchange bytes through its pipes.
class SplicePool {
 public:
  /// Lends an empty pipe. Returns null if none is available; the caller then copies bytes.
  virtual std::unique_ptr<SpliceBuffer> Take() = 0;

  /// Takes back a pipe that came from `Take()`. Drops the bytes that are still in it.
  virtual void Return(std::unique_ptr<SpliceBuffer> pipe) = 0;

 protected:
  ~SplicePool() = default;
};

}  // namespace trestle

#endif  // TRESTLE_IO_SPLICE_BUFFER_H_
