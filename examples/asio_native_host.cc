// Trestle on Asio itself: integrations/asio has the scheduler, the dialer and the transport, and no
// other loop runs. For programs whose streams are Asio's own; asio_host.cc is faster for TCP.

#include <asio.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "examples/support/asio_side.h"
#include "examples/support/hosted_blocks.h"
#include "examples/support/log.h"
#include "examples/support/program.h"
#include "integrations/asio/asio_dialer.h"
#include "integrations/asio/asio_endpoint.h"
#include "integrations/asio/asio_scheduler.h"
#include "integrations/asio/asio_transport.h"

ABSL_FLAG(std::string, listen, "", "IP:PORT or unix:PATH to accept TLS clients on");

namespace {

using namespace trestle;
using namespace trestle::examples;

constexpr char kUsage[] =
    "Serves TLS on Asio's own sockets: offload, bridging and passthrough by server name. The\n"
    "program's own server answers each client with the number of connections and of seconds.\n\n"
    "  asio_native_host --listen=127.0.0.1:8443 --cert=chain.pem --key=key.pem \\\n"
    "      --offload=app.example=127.0.0.1:8080";

// How long to pause after descriptors or memory ran out.
constexpr std::chrono::milliseconds kRetryDelay(100);

class Listener {
 public:
  Listener(asio::io_context& io, AsioScheduler& scheduler, const Endpoint& endpoint,
           HostedBlocks& blocks)
      : scheduler_(scheduler), blocks_(blocks), acceptor_(io), retry_(io) {
    const AsioEndpoint address = ToAsio(endpoint);
    asio::error_code error;
    acceptor_.open(address.protocol(), error);
    if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor_.bind(address, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error) OrExit(absl::UnavailableError(absl::StrCat("--listen: ", error.message())));
    Accept();
  }

  Endpoint local_endpoint() const { return FromAsio(acceptor_.local_endpoint()); }

  void Close() {
    acceptor_.close();
    retry_.cancel();
  }

 private:
  void Accept() {
    acceptor_.async_accept([this](asio::error_code error, AsioTransport::Socket client) {
      if (error == asio::error::operation_aborted) return;
      if (error) return AcceptLater();
      blocks_.Serve(std::make_unique<AsioTransport>(scheduler_, std::move(client)));
      Accept();
    });
  }

  void AcceptLater() {
    retry_.expires_after(kRetryDelay);
    retry_.async_wait([this](asio::error_code error) {
      if (!error) Accept();
    });
  }

  AsioScheduler& scheduler_;
  HostedBlocks& blocks_;
  asio::basic_socket_acceptor<asio::generic::stream_protocol> acceptor_;
  asio::steady_timer retry_;
};

}  // namespace

int main(int argc, char** argv) {
  ParseCommandLine(argc, argv, kUsage);
  asio::io_context io(1);
  AsioScheduler scheduler(io.get_executor());
  AsioDialer dialer(scheduler);
  const std::unique_ptr<HostedBlocks> blocks =
      OrExit(HostedBlocks::FromFlags(scheduler, dialer, nullptr));
  Listener listener(io, scheduler, OrExit(EndpointFromFlag("listen", absl::GetFlag(FLAGS_listen))),
                    *blocks);
  AsioSide own_part(io, *blocks, [&] {
    listener.Close();
    blocks->Drain(absl::Seconds(30), [&] { io.stop(); });
  });
  LogLine(absl::StrCat("listening on ", listener.local_endpoint().ToString()));
  io.run();
}
