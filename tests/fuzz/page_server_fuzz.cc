// Requests to the server of operators' pages, over sockets. The first byte selects how the rest is
// split. Every connection ends, what it gets begins as a response, and the server goes on.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "integrations/prometheus/page_server.h"
#include "tests/fuzz/fuzz_input.h"
#include "trestle/linux/owned_fd.h"

namespace trestle {
namespace {

constexpr int kPatienceMs = 60'000;  // Far more than any limit of the server.

std::unique_ptr<PageServer> NewServer() {
  PageServerOptions options;
  options.request_timeout = absl::Seconds(1);
  auto server = PageServer::Start(
      *Endpoint::Parse("127.0.0.1:0"),
      [](absl::string_view path) {
        Require(absl::StartsWith(path, "/"), "a path begins with a slash");
        return Page{200, "text/plain", std::string(path)};
      },
      std::move(options));
  Require(server.ok(), "the server starts");
  return *std::move(server);
}

OwnedFd Connect(const PageServer& server) {
  OwnedFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(server.endpoint().port());
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  Require(
      ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0,
      "the server accepts");
  return socket;
}

std::string Ask(const PageServer& server, absl::string_view request, size_t longest) {
  const OwnedFd socket = Connect(server);
  while (!request.empty()) {
    const absl::string_view part = request.substr(0, longest);
    if (::send(socket.get(), part.data(), part.size(), MSG_NOSIGNAL) < 0) break;
    request.remove_prefix(part.size());
  }
  ::shutdown(socket.get(), SHUT_WR);
  std::string response;
  std::array<char, 4096> buffer;
  while (true) {
    pollfd readable = {socket.get(), POLLIN, 0};
    Require(::poll(&readable, 1, kPatienceMs) == 1, "a connection ends");
    const ssize_t bytes = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
    if (bytes <= 0) return response;
    response.append(buffer.data(), static_cast<size_t>(bytes));
  }
}

}  // namespace
}  // namespace trestle

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto* const server = trestle::NewServer().release();
  trestle::FuzzInput input(data, size);
  const size_t longest = input.Byte() * size_t{16} + 16;
  const std::string response = trestle::Ask(*server, input.Text(size), longest);
  trestle::Require(response.empty() || absl::StartsWith(response, "HTTP/1.1 "),
                   "an answer is a response");
  static unsigned runs = 0;
  if (runs++ % 64 == 0) {
    const absl::string_view good = "GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n";
    trestle::Require(absl::StartsWith(trestle::Ask(*server, good, 100), "HTTP/1.1 200"),
                     "the server goes on");
  }
  return 0;
}
