#include "bench/soak/rough_clients.h"

#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "bench/peers/peer.h"
#include "bench/peers/tls_socket.h"

namespace trestle::bench {
namespace {

constexpr int kStepMs = 20;
constexpr int kMostSteps = 100;  // Of one client: two seconds.
constexpr absl::string_view kRequest = "GET /3000000 HTTP/1.1\r\nHost: bench.test\r\n\r\n";

// Waits until `fd` has events, at most one step.
void Wait(int fd, short events) {
  pollfd wait = {fd, events, 0};
  poll(&wait, 1, kStepMs);
}

void Reset(int fd) {
  const linger no_linger = {1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &no_linger, sizeof no_linger);
}

// One connection, from its beginning to its bad end.
class RoughClient final {
 public:
  RoughClient(uint16_t port, SSL_CTX* tls, std::mt19937_64& random, const std::atomic<bool>& stop)
      : tls_(tls), random_(random), stop_(stop), fd_(ConnectToLoopback(port)) {}

  void Run() {
    if (!fd_.valid()) return;
    Wait(fd_.get(), POLLOUT);
    switch (random_() % 6) {
      case 0:
        return Reset(fd_.get());
      case 1:
        return StaySilent();
      case 2:
        return SendGarbage("");
      case 3:
        // The header of a record, and no hello in it.
        return SendGarbage(absl::string_view("\x16\x03\x01\x02\x00", 5));
      case 4:
        return Download(kStepMs, 65536);
      default:
        return Download(kStepMs * 4, 1024);
    }
  }

 private:
  void StaySilent() {
    for (int i = 0; i < kMostSteps / 4 && !stop_; ++i) poll(nullptr, 0, kStepMs);
  }

  void SendGarbage(absl::string_view start) {
    std::string bytes(start);
    while (bytes.size() < 300) bytes.push_back(static_cast<char>(random_()));
    send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    Wait(fd_.get(), POLLIN);
    if (random_() % 2 == 0) Reset(fd_.get());
  }

  // Reads at most `read_bytes` in each step, and leaves with a RST or without close_notify.
  void Download(int step_ms, size_t read_bytes) {
    const int fd = fd_.get();
    bssl::UniquePtr<SSL> ssl(SSL_new(tls_));
    SSL_set_connect_state(ssl.get());
    SSL_set_tlsext_host_name(ssl.get(), kServerName);
    TlsSocket socket(std::move(fd_), std::move(ssl));
    ssize_t result = kWait;
    for (int i = 0; i < kMostSteps && result == kWait && !stop_; ++i) {
      result = socket.Handshake();
      if (result == kWait) Wait(fd, POLLIN);
    }
    if (result != 1) return;
    socket.Write(kRequest.data(), kRequest.size());
    std::vector<char> buffer(read_bytes);
    const int steps = static_cast<int>(random_() % kMostSteps) * kStepMs / step_ms;
    for (int i = 0; i < steps && result != kEnd && result != kBroken && !stop_; ++i) {
      poll(nullptr, 0, step_ms);
      result = socket.Read(buffer.data(), buffer.size());
    }
    if (random_() % 2 == 0) Reset(fd);
  }

  SSL_CTX* const tls_;
  std::mt19937_64& random_;
  const std::atomic<bool>& stop_;
  OwnedFd fd_;
};

}  // namespace

RoughClients::RoughClients(uint16_t port, SSL_CTX* tls, uint64_t seed)
    : port_(port), tls_(tls), thread_([this, seed] { Run(seed); }) {}

RoughClients::~RoughClients() {
  stop_ = true;
  thread_.join();
}

void RoughClients::Run(uint64_t seed) {
  std::mt19937_64 random(seed);
  while (!stop_) {
    RoughClient(port_, tls_, random, stop_).Run();
    ++connections_;
  }
}

}  // namespace trestle::bench
