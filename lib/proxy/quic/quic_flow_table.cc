#include "lib/proxy/quic/quic_flow_table.h"

#include <utility>

namespace trestle {

QuicFlowTable::~QuicFlowTable() {
  for (Ends& queue : queues_) {
    while (queue.oldest != nullptr) Remove(*queue.oldest);
  }
}

QuicFlow* QuicFlowTable::Find(const QuicPath& path, const QuicPacket& packet) {
  const auto found = by_path_.find(path);
  if (found == by_path_.end()) return nullptr;
  QuicFlow* const head = *found;
  const bool is_short = packet.type == QuicPacketType::kShortHeader;
  for (QuicFlow* flow = head; flow != nullptr; flow = flow->next_of_path) {
    if (!flow->Owns(packet)) continue;
    if (is_short && flow != head) MakeHead(*head, *flow);
    return flow;
  }
  return is_short ? head : nullptr;
}

QuicFlow* QuicFlowTable::FindByBackendId(ByteView id) const {
  const auto found = by_backend_id_.find(id);
  return found == by_backend_id_.end() ? nullptr : *found;
}

bool QuicFlowTable::PathIsFull(const QuicPath& path) const {
  const auto found = by_path_.find(path);
  size_t count = 0;
  const QuicFlow* flow = found == by_path_.end() ? nullptr : *found;
  for (; flow != nullptr; flow = flow->next_of_path) ++count;
  return count >= kMaxFlowsOfPath;
}

QuicFlow& QuicFlowTable::Add(QuicFlowOwner& owner, const QuicPath& path, MonotonicTime now) {
  auto* const flow = new QuicFlow(owner, path, now);
  const auto [head, added] = by_path_.insert(flow);
  if (!added) {
    // Behind the head, which stays the one for short headers: anyone can send an Initial with
    // another's address.
    flow->next_of_path = (*head)->next_of_path;
    (*head)->next_of_path = flow;
  }
  ++size_;
  Enqueue(*flow);
  return *flow;
}

std::unique_ptr<QuicFlow> QuicFlowTable::Remove(QuicFlow& flow) {
  UnindexBackendId(flow);
  Dequeue(flow);
  --size_;
  const auto found = by_path_.find(&flow);
  QuicFlow* const head = *found;
  if (head != &flow) {
    QuicFlow* before = head;
    while (before->next_of_path != &flow) before = before->next_of_path;
    before->next_of_path = flow.next_of_path;
  } else {
    by_path_.erase(found);
    if (flow.next_of_path != nullptr) by_path_.insert(flow.next_of_path);
  }
  flow.next_of_path = nullptr;
  return std::unique_ptr<QuicFlow>(&flow);
}

// `flow` is in the list of `head`, behind it.
void QuicFlowTable::MakeHead(QuicFlow& head, QuicFlow& flow) {
  QuicFlow* before = &head;
  while (before->next_of_path != &flow) before = before->next_of_path;
  before->next_of_path = flow.next_of_path;
  by_path_.erase(&head);
  flow.next_of_path = &head;
  by_path_.insert(&flow);
}

void QuicFlowTable::SetStage(QuicFlow& flow, QuicFlowStage stage) {
  const bool moves = QueueOf(flow.stage) != QueueOf(stage);
  if (moves) Dequeue(flow);
  flow.stage = stage;
  if (moves) Enqueue(flow);
}

void QuicFlowTable::Touch(QuicFlow& flow, MonotonicTime now) {
  flow.last_active = now;
  if (flow.stage == QuicFlowStage::kReading || flow.newer == nullptr) return;
  Dequeue(flow);
  Enqueue(flow);
}

void QuicFlowTable::IndexBackendId(QuicFlow& flow) {
  const auto [place, added] = by_backend_id_.insert(&flow);
  if (added) return;
  by_backend_id_.erase(place);
  by_backend_id_.insert(&flow);
}

void QuicFlowTable::UnindexBackendId(QuicFlow& flow) {
  if (!flow.backend_id.known()) return;
  const auto found = by_backend_id_.find(&flow);
  if (found != by_backend_id_.end() && *found == &flow) by_backend_id_.erase(found);
}

QuicQueue QuicFlowTable::QueueOf(QuicFlowStage stage) {
  if (stage == QuicFlowStage::kReading) return QuicQueue::kReading;
  return stage == QuicFlowStage::kProven ? QuicQueue::kProven : QuicQueue::kUnproven;
}

void QuicFlowTable::Enqueue(QuicFlow& flow) {
  Ends& queue = ends(QueueOf(flow.stage));
  flow.older = queue.newest;
  flow.newer = nullptr;
  (queue.newest != nullptr ? queue.newest->newer : queue.oldest) = &flow;
  queue.newest = &flow;
  ++queue.size;
}

void QuicFlowTable::Dequeue(QuicFlow& flow) {
  Ends& queue = ends(QueueOf(flow.stage));
  (flow.older != nullptr ? flow.older->newer : queue.oldest) = flow.newer;
  (flow.newer != nullptr ? flow.newer->older : queue.newest) = flow.older;
  --queue.size;
}

}  // namespace trestle
