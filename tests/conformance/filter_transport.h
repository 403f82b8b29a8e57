// FilterTransport: passes everything on between a transport and its handler. Transports with a
// fault derive from it.
#ifndef TRESTLE_TESTS_CONFORMANCE_FILTER_TRANSPORT_H_
#define TRESTLE_TESTS_CONFORMANCE_FILTER_TRANSPORT_H_

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "trestle/io/transport.h"
#include "trestle/testing/simulated_loop.h"

namespace trestle::testing {

class FilterTransport : public Transport, protected TransportHandler {
 public:
  FilterTransport(std::unique_ptr<Transport> inner, SimulatedLoop& loop)
      : loop_(loop), inner_(std::move(inner)) {
    inner_->SetHandler(this);
  }

  IoResult Read(MutableByteView out) override { return inner_->Read(out); }
  IoResult Write(ByteView data) override { return inner_->Write(data); }
  IoResult ShutdownWrite(StreamEnd end) override { return inner_->ShutdownWrite(end); }
  void Abort() override { inner_->Abort(); }
  void SetHandler(TransportHandler* handler) override { handler_ = handler; }
  absl::Status status() const override { return inner_->status(); }
  TransportInfo info() const override { return inner_->info(); }

 protected:
  void OnReadable() override {
    if (handler_ != nullptr) handler_->OnReadable();
  }
  void OnWritable() override {
    if (handler_ != nullptr) handler_->OnWritable();
  }

  /// Calls the handler from the loop, even if the transport is gone.
  void PostReadable() {
    loop_.PostFromAnyThread([handler = handler_] {
      if (handler != nullptr) handler->OnReadable();
    });
  }
  void PostWritable() {
    loop_.PostFromAnyThread([handler = handler_] {
      if (handler != nullptr) handler->OnWritable();
    });
  }

  SimulatedLoop& loop_;
  std::unique_ptr<Transport> inner_;
  TransportHandler* handler_ = nullptr;
};

}  // namespace trestle::testing

#endif  // TRESTLE_TESTS_CONFORMANCE_FILTER_TRANSPORT_H_
