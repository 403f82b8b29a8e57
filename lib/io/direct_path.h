// DirectPath: the part of one direction of a relay that bypasses its buffer. Decides when bytes
// come in bulk, and borrows a DirectPipe for as long as they do. Private to the relay.
#ifndef TRESTLE_LIB_IO_DIRECT_PATH_H_
#define TRESTLE_LIB_IO_DIRECT_PATH_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "trestle/io/direct_pipe.h"
#include "trestle/io/transport.h"

namespace trestle {

class DirectPath {
 public:
  /// Holds at most `max_bytes` bytes. Not `allowed`: never begins.
  DirectPath(Transport& source, Transport& sink, size_t max_bytes, bool allowed)
      : source_(source), sink_(sink), max_bytes_(max_bytes), allowed_(allowed) {}
  ~DirectPath() { Release(); }
  DirectPath(const DirectPath&) = delete;
  DirectPath& operator=(const DirectPath&) = delete;

  /// Notes that `bytes` were copied. A full buffer is the sign of bulk; anything less is carried in
  /// fewer system calls by copying.
  void OnCopied(size_t bytes) { bulk_ = allowed_ && bytes == max_bytes_; }

  /// Gets ready for a `Read`; false where the next bytes are to be copied.
  bool Begin();

  /// Reads from the source, after `Begin` and with nothing held. kOk without bytes: to be copied.
  IoResult Read();

  /// Writes what is held to the sink.
  IoResult Write();

  /// Drops what is held, and gives the pipe back.
  void Release();

  size_t held_bytes() const { return pipe_ == nullptr ? 0 : pipe_->size(); }
  bool holds_pipe() const { return pipe_ != nullptr; }

  /// Counts the bytes that were written so far.
  uint64_t bytes_written() const { return bytes_written_; }

 private:
  Transport& source_;
  Transport& sink_;
  const size_t max_bytes_;
  const bool allowed_;
  bool bulk_ = false;
  DirectPipes* pipes_ = nullptr;  // Where pipe_ goes back to.
  std::unique_ptr<DirectPipe> pipe_;
  uint64_t bytes_written_ = 0;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_IO_DIRECT_PATH_H_
