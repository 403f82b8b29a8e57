// Trestle in a program that runs on Asio: a router, terminators and bridges, with the program's own
// timer and server on the same thread. support/loop_in_asio.h joins the two loops, so that sockets
// and splice(2) stay Trestle's; asio_native_host.cc runs on Asio's own sockets.

#include <asio.hpp>
#include <csignal>
#include <memory>
#include <string>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "examples/support/asio_side.h"
#include "examples/support/backend_names.h"
#include "examples/support/hosted_blocks.h"
#include "examples/support/log.h"
#include "examples/support/loop_in_asio.h"
#include "examples/support/program.h"
#include "trestle/linux/epoll_loop.h"
#include "trestle/linux/tcp_dialer.h"
#include "trestle/linux/tcp_listener.h"

ABSL_FLAG(std::string, listen, "", "IP:PORT or unix:PATH to accept TLS clients on");

namespace {

using namespace trestle;
using namespace trestle::examples;

constexpr char kUsage[] =
    "Serves TLS in an Asio program: offload, bridging and passthrough by server name. The\n"
    "program's own server answers each client with the number of connections and of seconds.\n\n"
    "  asio_host --listen=127.0.0.1:8443 --cert=chain.pem --key=key.pem \\\n"
    "      --offload=app.example=127.0.0.1:8080";

}  // namespace

int main(int argc, char** argv) {
  ParseCommandLine(argc, argv, kUsage);
  signal(SIGPIPE, SIG_IGN);  // splice(2) may raise it.
  asio::io_context io(1);
  const std::unique_ptr<EpollLoop> loop = OrExit(EpollLoop::Create());
  LoopInAsio loop_in_asio(io, *loop);
  TcpDialer dialer(*loop);
  const std::unique_ptr<BackendNames> names = OrExit(BackendNames::FromFlags(*loop));
  const std::unique_ptr<HostedBlocks> blocks =
      OrExit(HostedBlocks::FromFlags(*loop, dialer, names.get()));
  names->WaitForAnswers();
  const std::unique_ptr<TcpListener> listener = OrExit(TcpListener::Create(
      *loop, OrExit(EndpointFromFlag("listen", absl::GetFlag(FLAGS_listen))),
      [&](std::unique_ptr<Transport> client) { blocks->Serve(std::move(client)); }));
  AsioSide own_part(io, *blocks, [&] {
    listener->Retire([&] { blocks->Drain(absl::Seconds(30), [&] { io.stop(); }); });
  });
  LogLine(absl::StrCat("listening on ", listener->local_endpoint().ToString()));
  io.run();
}
