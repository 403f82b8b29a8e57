// A router without a TLS library: router IP:PORT SERVER_NAME BACKEND_IP:PORT
#include <iostream>
#include <memory>
#include <utility>

#include "trestle/linux/epoll_loop.h"
#include "trestle/linux/tcp_dialer.h"
#include "trestle/linux/tcp_listener.h"
#include "trestle/proxy/sni_passthrough_router.h"

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: router IP:PORT SERVER_NAME BACKEND_IP:PORT\n";
    return 2;
  }
  auto loop = *trestle::EpollLoop::Create();
  trestle::TcpDialer dialer(*loop);
  trestle::SniPassthroughRouterOptions options;
  options.routes = *trestle::RouteTable::Create({{argv[2], *trestle::Endpoint::Parse(argv[3])}});
  auto router = *trestle::SniPassthroughRouter::Create(*loop, dialer, options);
  auto listener = *trestle::TcpListener::Create(
      *loop, *trestle::Endpoint::Parse(argv[1]),
      [&](std::unique_ptr<trestle::Transport> client) { router->Serve(std::move(client)); });
  loop->Run();
}
