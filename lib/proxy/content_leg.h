// ContentLeg: reads the first bytes of an open front leg until a ContentReader decides, and then
// puts all of them back.
#ifndef TRESTLE_LIB_PROXY_CONTENT_LEG_H_
#define TRESTLE_LIB_PROXY_CONTENT_LEG_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/transport.h"
#include "trestle/proxy/content_routing.h"

namespace trestle {

class ContentLeg final : private TransportHandler {
 public:
  ContentLeg(Scheduler& scheduler, std::unique_ptr<ContentReader> reader, size_t max_bytes)
      : scheduler_(scheduler), reader_(std::move(reader)), max_bytes_(max_bytes) {}
  ~ContentLeg();

  /// Takes ownership of `front` and reads. Calls `done` once, from the loop and never from inside
  /// this call. `done` may destroy the leg; destroying it earlier cancels.
  void Read(std::unique_ptr<Transport> front, absl::AnyInvocable<void(absl::Status)> done);

  /// Returns the leg, which delivers the bytes read so far again.
  std::unique_ptr<Transport> Take();

  /// Returns the chosen target; null until `done` is called with OK.
  const std::shared_ptr<const ContentTarget>& target() const { return target_; }
  const std::string& last_words() const { return last_words_; }

 private:
  void OnReadable() override { ReadOn(); }
  void OnWritable() override {}
  void ReadOn();
  bool Ask(bool end_of_stream);  // True once there is a decision.
  void Finish(absl::Status status);

  Scheduler& scheduler_;
  const std::unique_ptr<ContentReader> reader_;
  const size_t max_bytes_;
  std::unique_ptr<Transport> front_;
  std::string bytes_;
  std::shared_ptr<const ContentTarget> target_;
  std::string last_words_;
  absl::AnyInvocable<void(absl::Status)> done_;
  Timer first_read_;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PROXY_CONTENT_LEG_H_
