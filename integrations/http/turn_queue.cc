#include "integrations/http/turn_queue.h"

#include <algorithm>
#include <utility>

namespace trestle {

TurnItem::~TurnItem() {
  if (queued_) queue_.Remove(*this);
}

void TurnItem::Enqueue() {
  if (queued_) return;
  queued_ = true;
  queue_.Add(*this);
}

// Destructors may bury further objects.
TurnQueue::~TurnQueue() {
  while (!buried_.empty()) {
    std::vector<std::unique_ptr<Buried>> dead;
    dead.swap(buried_);
  }
}

void TurnQueue::Add(TurnItem& item) {
  items_.push_back(&item);
  if (depth_ == 0) ArmFallback();
}

void TurnQueue::Remove(TurnItem& item) {
  std::replace(items_.begin(), items_.end(), &item, static_cast<TurnItem*>(nullptr));
}

void TurnQueue::Bury(std::unique_ptr<Buried> object) {
  buried_.push_back(std::move(object));
  if (depth_ == 0) ArmFallback();
}

void TurnQueue::ArmFallback() {
  if (fallback_ != nullptr) return;
  fallback_ = scheduler_.RunAfter(absl::ZeroDuration(), [this] {
    fallback_.reset();
    const Turn turn(*this);
  });
}

void TurnQueue::EndTurn() {
  if (depth_ > 1) {
    --depth_;
    return;
  }
  // Work may cause further work, also of the same item.
  for (size_t i = 0; i < items_.size(); ++i) {
    TurnItem* const item = items_[i];
    if (item == nullptr) continue;
    items_[i] = nullptr;
    item->queued_ = false;
    item->RunTurn();
  }
  items_.clear();
  while (!buried_.empty()) {
    std::vector<std::unique_ptr<Buried>> dead;
    dead.swap(buried_);
  }
  --depth_;
  if (!items_.empty()) ArmFallback();
}

}  // namespace trestle
