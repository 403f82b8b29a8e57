// RelayPipe: one direction of a relay. Reads from a source, asks the inspector, and writes to a
// sink. Private to the relay.
#ifndef TRESTLE_LIB_IO_RELAY_PIPE_H_
#define TRESTLE_LIB_IO_RELAY_PIPE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "lib/io/splice_path.h"
#include "trestle/base/bytes.h"
#include "trestle/base/leg.h"
#include "trestle/io/inspector.h"
#include "trestle/io/relay.h"
#include "trestle/io/transport.h"

namespace trestle {

class RelayPipe {
 public:
  enum class Step : uint8_t {
    kWaiting,   // A callback of source or sink will come.
    kTurnOver,  // There is more to do at once; other connections go first.
    kDone,      // All bytes and the end were carried.
    kFailed,    // See failed_leg(); no more bytes will be carried.
    kEndLost,   // As kFailed, but only the mark of the end was lost.
    kBlocked,   // The inspector blocked; see blocked().
  };

  /// `inspector` may be null. All arguments must outlive the pipe.
  RelayPipe(Direction direction, BufferPool& pool, Transport& source, Transport& sink,
            Inspector* inspector, const RelayOptions& options)
      : direction_(direction),
        source_(source),
        sink_(sink),
        inspector_(inspector),
        options_(options),
        buffer_(pool),
        direct_(source, sink, options.buffer_bytes, options.splice && inspector == nullptr) {}

  /// Carries bytes until a callback must come, the turn is over, or the direction has ended.
  Step Pump();

  /// Report that the transports called their handler.
  void OnReadable() {
    if (source_state_ == SourceState::kBlocked) source_state_ = SourceState::kReadable;
  }
  void OnWritable() { sink_blocked_ = false; }

  /// Drops all bytes: the sink failed.
  void Stop();

  /// Carries the bytes that the source still has, then fails: writing to the source's leg failed.
  void DrainSource() {
    if (source_state_ != SourceState::kEnded) source_state_ = SourceState::kDraining;
  }

  /// Stops reading, drops the undecided bytes, and sends `last_words` as the last bytes.
  void EndWith(std::string last_words);

  /// Records that the opposite direction has sent its end to the leg that this one reads.
  void NoteOurEnd() { bytes_at_our_end_ = bytes_read_; }

  /// Records that the opposite direction has read bytes.
  void NoteAnswer() { bytes_answered_ = bytes_read_; }

  /// Returns the number of bytes read since the opposite direction last read bytes.
  uint64_t unanswered_bytes() const { return bytes_read_ - bytes_answered_; }

  /// Returns whether the source failed after our end, with no bytes in between except an alert.
  bool broke_after_our_end() const;

  void NoteLeftUnmarked() { left_unmarked_ = true; }
  bool left_unmarked() const { return left_unmarked_; }

  bool done() const { return stage_ == Stage::kDone; }

  /// Returns whether the inspector has decided anything since the last call.
  bool TakeDecided() { return std::exchange(decided_, false); }

  /// Returns whether the inspector waits for the other direction.
  bool waits_for_other() const {
    return stage_ == Stage::kCopying && inspection_ == Inspection::kWaits;
  }

  /// Asks the inspector again, because the other direction made progress.
  void AskAgain() { inspection_ = Inspection::kAsksAgain; }

  /// Blocks the connection, because the other direction has ended.
  void GiveUpWaiting();

  Leg failed_leg() const { return failed_leg_; }
  const Verdict& blocked() const { return *blocked_; }
  Leg source_leg() const { return SourceOf(direction_); }
  Leg sink_leg() const { return Other(source_leg()); }
  Direction direction() const { return direction_; }
  uint64_t bytes_read() const { return bytes_read_; }
  uint64_t bytes_written() const { return bytes_written_; }
  uint64_t bytes_spliced() const { return direct_.bytes_written(); }
  bool holds_buffers() const {
    return buffer_.holds_memory() || !replacement_.empty() || direct_.holds_pipe();
  }

 private:
  enum class Stage : uint8_t { kCopying, kClosing, kLastWords, kDone };
  enum class SourceState : uint8_t {
    kReadable,
    kBlocked,   // Read returned kWouldBlock; OnReadable will come.
    kDraining,  // See DrainSource(): no callback will come.
    kEnded,
  };
  enum class Inspection : uint8_t {
    kIdle,       // The next bytes, or the end, will be inspected.
    kAsksAgain,  // The next call comes even without bytes.
    kHolds,      // The inspector returned Hold(): it needs more bytes, or the end.
    kWaits,      // The inspector returned Wait(): it needs progress of the other direction.
    kSawEnd,     // The inspector has judged everything.
  };
  enum class Outcome : uint8_t { kProgress, kWaiting, kEnded, kFailed, kBlocked };

  Outcome CopyOnce();
  bool MustInspect() const;
  Outcome Inspect();
  Inspection AfterBytes(const Verdict& verdict) const;
  Outcome HoldUndecided();
  Outcome Fill();
  IoResult ReadSource();
  Outcome WriteJudged();
  Outcome WriteReplacement();
  Outcome AfterWrite(const IoResult& result);
  Step Close();
  Step SendLastWords();
  Step Fail();

  // Bytes are either in the buffer or in the direct path, never in both.
  size_t judged_bytes() const {
    return inspector_ == nullptr ? buffer_.size() + direct_.held_bytes() : forward_bytes_;
  }

  const Direction direction_;
  Transport& source_;
  Transport& sink_;
  Inspector* const inspector_;
  const RelayOptions& options_;
  ByteQueue buffer_;          // Bytes read; the first judged_bytes() of it may be written.
  SplicePath direct_;         // Bypasses the buffer in bulk transfers without an inspector.
  size_t forward_bytes_ = 0;  // Used with an inspector only.
  std::string replacement_;   // Written before the inspector is asked again.
  std::string last_words_;
  std::optional<Verdict> blocked_;
  Stage stage_ = Stage::kCopying;
  SourceState source_state_ = SourceState::kReadable;
  Inspection inspection_ = Inspection::kIdle;
  Leg failed_leg_ = Leg::kFront;
  bool sink_blocked_ = false;  // Write returned kWouldBlock; OnWritable will come.
  bool decided_ = false;       // See TakeDecided().
  bool left_unmarked_ = false;
  std::optional<uint64_t> bytes_at_our_end_;  // See NoteOurEnd().
  uint64_t bytes_answered_ = 0;               // See NoteAnswer().
  uint64_t bytes_read_ = 0;
  uint64_t bytes_written_ = 0;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_IO_RELAY_PIPE_H_
