// AsioTransport: a Transport over any stream socket of Asio, TCP or local.
#ifndef TRESTLE_INTEGRATIONS_ASIO_ASIO_TRANSPORT_H_
#define TRESTLE_INTEGRATIONS_ASIO_ASIO_TRANSPORT_H_

#include <asio.hpp>
#include <memory>

#include "absl/status/status.h"
#include "integrations/asio/asio_scheduler.h"
#include "trestle/io/transport.h"

namespace trestle {

/// Reads and writes without blocking, and waits for readiness by `async_wait`: no buffer waits for
/// a completion. It keeps the contract of Transport as TcpTransport does, without splice(2). A
/// model for transports over other libraries: transport_conformance.h is its test.
class AsioTransport final : public Transport {
 public:
  using Socket = asio::generic::stream_protocol::socket;

  /// Takes over a connected socket, such as a moved asio::ip::tcp::socket or
  /// asio::local::stream_protocol::socket, whose executor is that of `scheduler`. Sets it to
  /// non-blocking, and TCP_NODELAY on one of TCP. `scheduler` must outlive the transport.
  AsioTransport(AsioScheduler& scheduler, Socket socket);
  ~AsioTransport() override;
  AsioTransport(const AsioTransport&) = delete;
  AsioTransport& operator=(const AsioTransport&) = delete;

  IoResult Read(MutableByteView out) override;
  IoResult Write(ByteView data) override;
  IoResult ShutdownWrite(StreamEnd end) override;
  void Abort() override;
  void SetHandler(TransportHandler* handler) override;
  absl::Status status() const override;
  TransportInfo info() const override;

 private:
  class Core;

  const std::shared_ptr<Core> core_;  // Shared with the handlers in Asio's queue.
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_ASIO_ASIO_TRANSPORT_H_
