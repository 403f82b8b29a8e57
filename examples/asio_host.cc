// Trestle in a program that runs on Asio: a router, terminators and bridges, with the program's own
// timer and server on the same thread. support/loop_in_asio.h joins the two loops.

#include <asio.hpp>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
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

// The host's own part: a timer and a server that are independent of Trestle.
class StatusServer {
 public:
  StatusServer(asio::io_context& io, const HostedBlocks& blocks)
      : blocks_(blocks),
        acceptor_(io, {asio::ip::address_v4::loopback(), 0}),
        second_(io, std::chrono::seconds(1)) {
    LogLine(absl::StrCat("status on 127.0.0.1:", acceptor_.local_endpoint().port()));
    CountSeconds();
    Accept();
  }

  void Stop() {
    acceptor_.close();
    second_.cancel();
  }

 private:
  void CountSeconds() {
    second_.async_wait([this](asio::error_code error) {
      if (error) return;
      ++seconds_;
      second_.expires_at(second_.expiry() + std::chrono::seconds(1));
      CountSeconds();
    });
  }

  void Accept() {
    acceptor_.async_accept([this](asio::error_code error, asio::ip::tcp::socket client) {
      if (error == asio::error::operation_aborted) return;
      if (!error) Answer(std::move(client));
      Accept();
    });
  }

  void Answer(asio::ip::tcp::socket client) {
    auto socket = std::make_shared<asio::ip::tcp::socket>(std::move(client));
    auto text = std::make_shared<std::string>(
        absl::StrCat(blocks_.ended(), " connections, ", seconds_, " seconds\n"));
    asio::async_write(*socket, asio::buffer(*text), [socket, text](asio::error_code, size_t) {});
  }

  const HostedBlocks& blocks_;
  asio::ip::tcp::acceptor acceptor_;
  asio::steady_timer second_;
  uint64_t seconds_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  ParseCommandLine(argc, argv, kUsage);
  signal(SIGPIPE, SIG_IGN);  // splice(2) may raise it.
  asio::io_context io;
  const std::unique_ptr<EpollLoop> loop = OrExit(EpollLoop::Create());
  LoopInAsio loop_in_asio(io, *loop);
  TcpDialer dialer(*loop);
  const std::unique_ptr<HostedBlocks> blocks = OrExit(HostedBlocks::FromFlags(*loop, dialer));
  const std::unique_ptr<TcpListener> listener = OrExit(TcpListener::Create(
      *loop, OrExit(EndpointFromFlag("listen", absl::GetFlag(FLAGS_listen))),
      [&](std::unique_ptr<Transport> client) { blocks->Serve(std::move(client)); }));
  StatusServer status(io, *blocks);

  asio::signal_set signals(io, SIGTERM, SIGINT);
  signals.async_wait([&](asio::error_code, int) {
    status.Stop();
    listener->Retire([&] { blocks->Drain(absl::Seconds(30), [&] { io.stop(); }); });
  });
  LogLine(absl::StrCat("listening on ", listener->local_endpoint().ToString()));
  io.run();
}
