// A TLS terminator in its own workspace: terminator IP:PORT BACKEND_IP:PORT CHAIN.pem KEY.pem
#include <iostream>
#include <memory>
#include <utility>

#include "trestle/linux/epoll_loop.h"
#include "trestle/linux/file.h"
#include "trestle/linux/tcp_dialer.h"
#include "trestle/linux/tcp_listener.h"
#include "trestle/proxy/tls_terminator.h"

int main(int argc, char** argv) {
  if (argc != 5) {
    std::cerr << "usage: terminator IP:PORT BACKEND_IP:PORT CHAIN.pem KEY.pem\n";
    return 2;
  }
  auto loop = *trestle::EpollLoop::Create();
  trestle::TcpDialer dialer(*loop);
  auto credential =
      *trestle::Credential::FromPem(*trestle::ReadFile(argv[3]), *trestle::ReadFile(argv[4]));
  trestle::ServerTlsOptions tls;
  tls.certificates = *trestle::CertificateStore::Create({credential}, loop->Now());
  trestle::TlsTerminatorOptions options;
  options.front_tls = *trestle::ServerTlsConfig::Create(tls);
  options.backend = *trestle::Endpoint::Parse(argv[2]);
  auto terminator = *trestle::TlsTerminator::Create(*loop, dialer, std::move(options));
  auto listener = *trestle::TcpListener::Create(
      *loop, *trestle::Endpoint::Parse(argv[1]),
      [&](std::unique_ptr<trestle::Transport> client) { terminator->Serve(std::move(client)); });
  loop->Run();
}
