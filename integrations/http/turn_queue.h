// TurnQueue: what one callback of the loop sets off, done before it returns: connections with bytes
// to move, and objects to delete once no call of theirs is on the stack.
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

  /// Has `RunTurn` called once before the turn is over.
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

  /// The scope of one callback of the loop. At its end the work is done, then the dead are deleted.
  /// It must be the last thing that the callback's object does.
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
  std::vector<TurnItem*> items_;  // Null where an item left.
  std::vector<std::unique_ptr<Buried>> buried_;
  Timer fallback_;  // For work that is set off outside a turn.
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP_TURN_QUEUE_H_
