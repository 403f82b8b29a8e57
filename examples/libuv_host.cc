// Trestle in a program that runs on libuv: a router, terminators and bridges, with the program's
// own timer and server on the same thread. support/loop_in_uv.h joins the two loops.

#include <uv.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/functional/any_invocable.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "examples/support/backend_names.h"
#include "examples/support/hosted_blocks.h"
#include "examples/support/log.h"
#include "examples/support/loop_in_uv.h"
#include "examples/support/program.h"
#include "trestle/linux/epoll_loop.h"
#include "trestle/linux/tcp_dialer.h"
#include "trestle/linux/tcp_listener.h"

ABSL_FLAG(std::string, listen, "", "IP:PORT or unix:PATH to accept TLS clients on");

namespace {

using namespace trestle;
using namespace trestle::examples;

constexpr char kUsage[] =
    "Serves TLS in a libuv program: offload, bridging and passthrough by server name. The\n"
    "program's own server answers each client with the number of connections and of seconds.\n\n"
    "  libuv_host --listen=127.0.0.1:8443 --cert=chain.pem --key=key.pem \\\n"
    "      --offload=app.example=127.0.0.1:8080";

// Ends the program unless a call of libuv succeeded.
void Check(int result) {
  if (result >= 0) return;
  LogLine(absl::StrCat("libuv_host: ", uv_strerror(result)));
  std::exit(EXIT_FAILURE);
}

// The host's own part: a timer and a server that are independent of Trestle.
class StatusServer {
 public:
  StatusServer(uv_loop_t* uv, const HostedBlocks& blocks) : blocks_(blocks) {
    second_.data = server_.data = this;
    Check(uv_timer_init(uv, &second_));
    Check(uv_timer_start(
        &second_, [](uv_timer_t* second) { ++static_cast<StatusServer*>(second->data)->seconds_; },
        /*timeout=*/1000, /*repeat=*/1000));
    sockaddr_in address;
    Check(uv_ip4_addr("127.0.0.1", 0, &address));
    Check(uv_tcp_init(uv, &server_));
    Check(uv_tcp_bind(&server_, reinterpret_cast<sockaddr*>(&address), 0));
    Check(uv_listen(reinterpret_cast<uv_stream_t*>(&server_), 16, [](uv_stream_t* server, int) {
      static_cast<StatusServer*>(server->data)->Answer();
    }));
    int size = sizeof address;
    Check(uv_tcp_getsockname(&server_, reinterpret_cast<sockaddr*>(&address), &size));
    LogLine(absl::StrCat("status on 127.0.0.1:", ntohs(address.sin_port)));
  }

  void Close() {
    uv_close(reinterpret_cast<uv_handle_t*>(&server_), nullptr);
    uv_close(reinterpret_cast<uv_handle_t*>(&second_), nullptr);
  }

 private:
  struct Client {
    uv_tcp_t socket;
    uv_write_t write;
    std::string text;
  };

  static void Delete(uv_handle_t* socket) { delete static_cast<Client*>(socket->data); }

  void Answer() {
    auto client = std::make_unique<Client>();
    client->text = absl::StrCat(blocks_.ended(), " connections, ", seconds_, " seconds\n");
    Check(uv_tcp_init(server_.loop, &client->socket));
    Client* const served = client.release();  // Deleted after its socket is closed.
    served->socket.data = served;
    auto* const stream = reinterpret_cast<uv_stream_t*>(&served->socket);
    uv_buf_t buffer = uv_buf_init(&served->text[0], static_cast<unsigned>(served->text.size()));
    if (uv_accept(reinterpret_cast<uv_stream_t*>(&server_), stream) < 0 ||
        uv_write(&served->write, stream, &buffer, 1, [](uv_write_t* write, int) {
          uv_close(reinterpret_cast<uv_handle_t*>(write->handle), Delete);
        }) < 0) {
      uv_close(reinterpret_cast<uv_handle_t*>(stream), Delete);
    }
  }

  const HostedBlocks& blocks_;
  uv_tcp_t server_;
  uv_timer_t second_;
  uint64_t seconds_ = 0;
};

// Calls `stop` once, for the first SIGTERM or SIGINT. SIGHUP reloads the blocks.
class Signals {
 public:
  Signals(uv_loop_t* uv, HostedBlocks& blocks, absl::AnyInvocable<void()> stop)
      : blocks_(blocks), stop_(std::move(stop)) {
    constexpr int kNumbers[] = {SIGTERM, SIGINT, SIGHUP};
    for (size_t i = 0; i < signals_.size(); ++i) {
      signals_[i].data = this;
      Check(uv_signal_init(uv, &signals_[i]));
      Check(uv_signal_start(&signals_[i], &OnSignal, kNumbers[i]));
    }
  }

 private:
  static void OnSignal(uv_signal_t* signal, int number) {
    auto* const self = static_cast<Signals*>(signal->data);
    if (number == SIGHUP) return self->blocks_.Reload();
    for (uv_signal_t& each : self->signals_) {
      uv_close(reinterpret_cast<uv_handle_t*>(&each), nullptr);
    }
    self->stop_();
  }

  HostedBlocks& blocks_;
  absl::AnyInvocable<void()> stop_;
  std::array<uv_signal_t, 3> signals_;
};

}  // namespace

int main(int argc, char** argv) {
  ParseCommandLine(argc, argv, kUsage);
  signal(SIGPIPE, SIG_IGN);  // splice(2) may raise it.
  uv_loop_t* const uv = uv_default_loop();
  const std::unique_ptr<EpollLoop> loop = OrExit(EpollLoop::Create());
  LoopInUv loop_in_uv(*loop);
  Check(loop_in_uv.Start(uv));
  TcpDialer dialer(*loop);
  const std::unique_ptr<BackendNames> names = OrExit(BackendNames::FromFlags(*loop));
  const std::unique_ptr<HostedBlocks> blocks =
      OrExit(HostedBlocks::FromFlags(*loop, dialer, names.get()));
  names->WaitForAnswers();
  const std::unique_ptr<TcpListener> listener = OrExit(TcpListener::Create(
      *loop, OrExit(EndpointFromFlag("listen", absl::GetFlag(FLAGS_listen))),
      [&](std::unique_ptr<Transport> client) { blocks->Serve(std::move(client)); }));
  StatusServer status(uv, *blocks);

  Signals signals(uv, *blocks, [&] {
    status.Close();
    listener->Retire([&] { blocks->Drain(absl::Seconds(30), [&] { loop_in_uv.Close(); }); });
  });
  LogLine(absl::StrCat("listening on ", listener->local_endpoint().ToString()));
  uv_run(uv, UV_RUN_DEFAULT);  // Runs until all handles are closed.
}
