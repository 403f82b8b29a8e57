// SplicePath: the part of one direction of a relay that bypasses its buffer. It detects bulk
// transfers and borrows a SpliceBuffer while one lasts. Private to the relay.
#ifndef TRESTLE_LIB_IO_SPLICE_PATH_H_
#define TRESTLE_LIB_IO_SPLICE_PATH_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "trestle/io/splice_buffer.h"
#include "trestle/io/transport.h"

namespace trestle {

class SplicePath {
 public:
  /// Holds at most `max_bytes` bytes. `Begin` always returns false unless `allowed`.
  SplicePath(Transport& source, Transport& sink, size_t max_bytes, bool allowed)
      : source_(source), sink_(sink), max_bytes_(max_bytes), allowed_(allowed) {}
  ~SplicePath() { Release(); }
  SplicePath(const SplicePath&) = delete;
  SplicePath& operator=(const SplicePath&) = delete;

  /// Reports that the relay copied `bytes`. A full buffer indicates a bulk transfer; for fewer
  /// bytes copying takes fewer system calls.
  void OnCopied(size_t bytes) { bulk_ = allowed_ && bytes == max_bytes_; }

  /// Prepares for a `Read`; returns false if the relay must copy the next bytes.
  bool Begin();

  /// Reads from the source into the pipe, after `Begin` and with an empty pipe. Returns kOk without
  /// bytes if the relay must copy the next bytes.
  IoResult Read();

  /// Writes the bytes in the pipe to the sink.
  IoResult Write();

  /// Drops the bytes in the pipe and returns the pipe.
  void Release();

  size_t held_bytes() const { return pipe_ == nullptr ? 0 : pipe_->size(); }
  bool holds_pipe() const { return pipe_ != nullptr; }

  /// Returns the number of bytes written so far.
  uint64_t bytes_written() const { return bytes_written_; }

 private:
  Transport& source_;
  Transport& sink_;
  const size_t max_bytes_;
  const bool allowed_;
  bool bulk_ = false;
  SplicePool* pipes_ = nullptr;  // The owner of pipe_.
  std::unique_ptr<SpliceBuffer> pipe_;
  uint64_t bytes_written_ = 0;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_IO_SPLICE_PATH_H_
