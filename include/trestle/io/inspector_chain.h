// InspectorChain: several inspectors as one. Each inspects the bytes that the one before it let
// through. The client gets the last words of the one that blocks.
#ifndef TRESTLE_IO_INSPECTOR_CHAIN_H_
#define TRESTLE_IO_INSPECTOR_CHAIN_H_

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "trestle/io/inspector.h"

namespace trestle {

/// Stores the bytes that one inspector let through and the next one holds, per direction. The first
/// inspector's pending bytes stay in the relay's buffer. While an inspector holds `max_held_bytes`
/// or more, the one before it gets no more bytes; the last verdict before that may exceed the
/// limit.
///
/// The chain blocks the connection if an inspector is undecided about `max_held_bytes`, or about
/// any byte at the end of the stream. The relay does the same with a single inspector. An inspector
/// that returned Wait() is asked again whenever the chain has decided about bytes of the other
/// direction.
class InspectorChain final : public Inspector {
 public:
  static constexpr size_t kMaxHeldBytes = 64 * 1024;

  /// Takes the inspectors, which inspect in this order in both directions. None may be null.
  explicit InspectorChain(std::vector<std::unique_ptr<Inspector>> inspectors,
                          size_t max_held_bytes = kMaxHeldBytes);

  Verdict Inspect(Direction direction, ByteView pending, bool end_of_stream) override;

 private:
  /// One inspector's state in one direction.
  struct Stage {
    std::string held;            ///< Its pending bytes; empty for the first inspector.
    size_t undecided_bytes = 0;  ///< It is asked again once more bytes than this are pending.
    bool waits = false;          ///< It returned Wait().
    bool ended = false;          ///< It has seen the end, and no byte is pending.
  };
  /// One direction, in one call.
  struct Pass {
    ByteView pending;
    bool end_of_stream = false;
    size_t taken = 0;
    size_t first = 0;  ///< Inspectors before this one are not asked any more: one of them blocks.
    std::string out;
  };
  using Stages = std::vector<Stage>;

  bool Step(Direction direction, size_t index, Pass& pass);
  bool Apply(Direction direction, size_t index, Pass& pass, Verdict verdict, ByteView input,
             bool at_end);
  void Block(Direction direction, size_t index, Pass& pass, Verdict verdict);
  Verdict Conclude(Direction direction, Pass& pass);

  Stages& stages(Direction direction) { return stages_[direction == Direction::kToClient]; }
  std::optional<Verdict>& block(Direction direction) {
    return blocks_[direction == Direction::kToClient];
  }

  const std::vector<std::unique_ptr<Inspector>> inspectors_;
  const size_t max_held_bytes_;
  std::array<Stages, 2> stages_;
  // Verdicts to return once the bytes let through before them are forwarded.
  std::array<std::optional<Verdict>, 2> blocks_;
};

}  // namespace trestle

#endif  // TRESTLE_IO_INSPECTOR_CHAIN_H_
