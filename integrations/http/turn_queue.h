// TurnQueue: runs the work that one callback of the loop causes, before the callback returns. It
// has connections with bytes to move, and objects to delete outside their own calls.
#ifndef TRESTLE_INTEGRATIONS_HTTP_TURN_QUEUE_H_
#define TRESTLE_INTEGRATIONS_HTTP_TURN_QUEUE_H_

#include <memory>
#include <vector>

#include "trestle/io/scheduler.h"

namespace trestle {

class TurnQueue;

/// Something with work for the end of a turn. Leaves the queue when it is destroyed.
class TurnItem {
 public:
  explicit TurnItem(TurnQueue& queue) : queue_(queue) {}
  virtual ~TurnItem();
  TurnItem(const TurnItem&) = delete;
  TurnItem& operator=(const TurnItem&) = delete;

  /// Makes the queue call `RunTurn` once before the turn ends.
  void Enqueue();

 protected:
  virtual void RunTurn() = 0;

 private:
  friend class TurnQueue;

  TurnQueue& queue_;
  bool queued_ = false;
};

/// An object that `TurnQueue::Bury` deletes.
class Buried {
 public:
  virtual ~Buried() = default;
};

/// One per loop. `scheduler` must outlive it.
class TurnQueue {
 public:
  explicit TurnQueue(Scheduler& scheduler) : scheduler_(scheduler) {}
  ~TurnQueue();
  TurnQueue(const TurnQueue&) = delete;
  TurnQueue& operator=(const TurnQueue&) = delete;

  /// The scope of one callback of the loop. At its end the pending work runs, then the buried
  /// objects are deleted. It must be the last action of the callback's object.
  class Turn {
   public:
    explicit Turn(TurnQueue& queue) : queue_(queue) { ++queue_.depth_; }
    ~Turn() { queue_.EndTurn(); }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    TurnQueue& queue_;
  };

  /// Deletes `object` at the end of the turn.
  void Bury(std::unique_ptr<Buried> object);

 private:
  friend class TurnItem;

  void Add(TurnItem& item);
  void Remove(TurnItem& item);
  void EndTurn();
  void ArmFallback();

  Scheduler& scheduler_;
  int depth_ = 0;
  std::vector<TurnItem*> items_;  // Null after an item was destroyed.
  std::vector<std::unique_ptr<Buried>> buried_;
  Timer fallback_;  // For work that is queued outside a turn.
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP_TURN_QUEUE_H_
