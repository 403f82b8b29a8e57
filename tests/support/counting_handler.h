// CountingHandler: counts a transport's callbacks, and runs given functions inside them.
#ifndef TRESTLE_TESTS_SUPPORT_COUNTING_HANDLER_H_
#define TRESTLE_TESTS_SUPPORT_COUNTING_HANDLER_H_

#include "absl/functional/any_invocable.h"
#include "trestle/io/transport.h"

namespace trestle::testing {

class CountingHandler final : public TransportHandler {
 public:
  void OnReadable() override {
    ++readable;
    if (on_readable) on_readable();
  }
  void OnWritable() override {
    ++writable;
    if (on_writable) on_writable();
  }

  int readable = 0;
  int writable = 0;
  absl::AnyInvocable<void()> on_readable;
  absl::AnyInvocable<void()> on_writable;
};

}  // namespace trestle::testing

#endif  // TRESTLE_TESTS_SUPPORT_COUNTING_HANDLER_H_
