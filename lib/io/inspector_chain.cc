#include "trestle/io/inspector_chain.h"

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"

namespace trestle {

InspectorChain::InspectorChain(std::vector<std::unique_ptr<Inspector>> inspectors,
                               size_t max_held_bytes)
    : inspectors_(std::move(inspectors)), max_held_bytes_(max_held_bytes) {
  for (Stages& stages : stages_) stages.resize(inspectors_.size());
}

Verdict InspectorChain::Inspect(Direction direction, ByteView pending, bool end_of_stream) {
  std::optional<Verdict>& block = this->block(direction);
  if (block.has_value()) return *std::exchange(block, std::nullopt);
  Pass pass;
  pass.pending = pending;
  pass.end_of_stream = end_of_stream;
  if (inspectors_.empty()) return Verdict::Forward(pending.size());
  for (Stage& stage : stages(direction)) {
    if (std::exchange(stage.waits, false)) stage.undecided_bytes = 0;
  }
  stages(direction).front().undecided_bytes = 0;
  bool moving = true;
  while (moving) {
    moving = false;
    for (size_t i = pass.first; i < inspectors_.size(); ++i) {
      moving = Step(direction, i, pass) || moving;
    }
  }
  return Conclude(direction, pass);
}

// Calls one inspector if it has new bytes or the end and the next inspector has room.
bool InspectorChain::Step(Direction direction, size_t index, Pass& pass) {
  Stages& all = stages(direction);
  Stage& stage = all[index];
  if (stage.ended) return false;
  if (index + 1 < all.size() && all[index + 1].held.size() >= max_held_bytes_) return false;
  const ByteView input = index == 0 ? pass.pending.subspan(pass.taken) : AsBytes(stage.held);
  const bool at_end = pass.end_of_stream && (index == 0 || all[index - 1].ended);
  if (!at_end && input.size() <= stage.undecided_bytes) return false;
  stage.undecided_bytes = 0;
  return Apply(direction, index, pass, inspectors_[index]->Inspect(direction, input, at_end), input,
               at_end);
}

bool InspectorChain::Apply(Direction direction, size_t index, Pass& pass, Verdict verdict,
                           ByteView input, bool at_end) {
  Stages& all = stages(direction);
  Stage& stage = all[index];
  std::string& out = index + 1 < all.size() ? all[index + 1].held : pass.out;
  const size_t bytes = std::min(verdict.bytes(), input.size());
  bool decided = false;
  switch (verdict.action()) {
    case Verdict::Action::kForward:
      decided = bytes > 0;
      absl::StrAppend(&out, AsText(input.first(bytes)));
      break;
    case Verdict::Action::kReplace:
      decided = bytes > 0 || !verdict.text().empty();
      out.append(verdict.text());
      break;
    case Verdict::Action::kBlock:
      Block(direction, index, pass, std::move(verdict));
      return false;
    case Verdict::Action::kWait:
      stage.waits = true;
      break;
    case Verdict::Action::kHold:
      break;
  }
  const size_t left = input.size() - (decided ? bytes : 0);
  if (decided && index == 0) pass.taken += bytes;
  if (decided && index > 0) stage.held.erase(0, bytes);
  if (stage.held.empty()) std::string().swap(stage.held);  // Idle connections hold no memory.
  stage.ended = at_end && left == 0 && !stage.waits;
  if (decided || stage.ended) return true;
  const bool stuck = at_end || (index > 0 && left >= max_held_bytes_);
  if (stuck && !stage.waits) {
    Block(direction, index, pass,
          Verdict::Block(at_end ? "an inspector was still undecided at the end of the stream"
                                : "an inspector was still undecided at the limit of its buffer"));
  }
  stage.undecided_bytes = left;
  return false;
}

// The later inspectors still get the bytes that this one let through before.
void InspectorChain::Block(Direction direction, size_t index, Pass& pass, Verdict verdict) {
  block(direction) = std::move(verdict);
  pass.first = index + 1;
}

Verdict InspectorChain::Conclude(Direction direction, Pass& pass) {
  std::optional<Verdict>& block = this->block(direction);
  const Stages& all = stages(direction);
  const bool waits = absl::c_any_of(all, [](const Stage& stage) { return stage.waits; });
  if (pass.taken == 0 && pass.out.empty()) {
    if (block.has_value()) return *std::exchange(block, std::nullopt);
    if (waits) return Verdict::Wait();
    return pass.pending.empty() && all.back().ended ? Verdict::Forward(0) : Verdict::Hold();
  }
  Verdict verdict = AsText(pass.pending.first(pass.taken)) == pass.out
                        ? Verdict::Forward(pass.taken)
                        : Verdict::Replace(pass.taken, std::move(pass.out));
  return waits || block.has_value() ? std::move(verdict).AndAskAgain() : verdict;
}

}  // namespace trestle
