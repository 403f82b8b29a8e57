// DialTry: one dial of a backend. It outlives the connection that began it, if another backend was
// faster.
#ifndef TRESTLE_LIB_PROXY_DIAL_TRY_H_
#define TRESTLE_LIB_PROXY_DIAL_TRY_H_

#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "trestle/io/dialer.h"
#include "trestle/io/transport.h"
#include "trestle/proxy/backend_chooser.h"

namespace trestle {

class DialTry {
 public:
  /// Gets the result, once. The try may be destroyed in it.
  using Callback = absl::AnyInvocable<void(absl::StatusOr<std::unique_ptr<Transport>>)>;

  explicit DialTry(BackendChooser::Candidate backend) : backend_(std::move(backend)) {}
  DialTry(const DialTry&) = delete;
  DialTry& operator=(const DialTry&) = delete;

  const BackendChooser::Candidate& backend() const { return backend_; }

  /// Starts to dial; only once.
  void Start(Dialer& dialer, Callback done) {
    done_ = std::move(done);
    dial_ = dialer.Connect(backend_.endpoint,
                           [this](absl::StatusOr<std::unique_ptr<Transport>> result) {
                             Callback done = std::move(done_);
                             done(std::move(result));
                           });
  }

  /// Gives the result to `done` instead.
  void GiveTo(Callback done) { done_ = std::move(done); }

 private:
  const BackendChooser::Candidate backend_;
  Callback done_;
  std::unique_ptr<Dial> dial_;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PROXY_DIAL_TRY_H_
