// InspectorChain: several inspectors as one. What the first lets through is judged by the second,
// and so on; a client sees the last words of whichever blocks.
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

/// Keeps what one inspector has let through and the next one still holds: at most `max_held_bytes`
/// for each inspector but the first, whose bytes stay in the relay's buffer. While that much is
/// held, those before get no more to judge; an inspector that is undecided about so much, or about
/// anything at the end of the stream, blocks the connection, as the relay does with a single one.
/// One that waits for the other direction is asked again whenever any of that was let through.
class InspectorChain final : public Inspector {
 public:
  static constexpr size_t kMaxHeldBytes = 64 * 1024;

  /// `inspectors` are asked in this order, in both directions. None may be null.
  explicit InspectorChain(std::vector<std::unique_ptr<Inspector>> inspectors,
                          size_t max_held_bytes = kMaxHeldBytes);

  Verdict Inspect(Direction direction, ByteView pending, bool end_of_stream) override;

 private:
  /// One inspector's place in one direction.
  struct Stage {
    std::string held;  ///< Let through by those before, not judged yet; empty for the first.
    size_t undecided_bytes = 0;  ///< It wants to see more than so many.
    bool waits = false;          ///< It wants the other direction to go on first.
    bool ended = false;          ///< It has seen the end, and nothing is left.
  };
  /// One direction, in one call.
  struct Pass {
    ByteView pending;
    bool end_of_stream = false;
    size_t taken = 0;
    size_t first = 0;  ///< Inspectors before this one have had their say: one of them blocks.
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
  // To be said once what was let through before is on its way.
  std::array<std::optional<Verdict>, 2> blocks_;
};

}  // namespace trestle

#endif  // TRESTLE_IO_INSPECTOR_CHAIN_H_
