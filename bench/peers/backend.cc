#include "bench/peers/backend.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/log/check.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "bench/peers/tls_socket.h"

namespace trestle::bench {
namespace {

constexpr size_t kScratchBytes = 256 * 1024;
constexpr size_t kMaxHeadBytes = 8192;

// The number after `mark`; 0 if there is none.
uint64_t NumberAfter(absl::string_view text, absl::string_view mark) {
  const size_t at = text.find(mark);
  if (at == absl::string_view::npos) return 0;
  text.remove_prefix(at + mark.size());
  uint64_t number = 0;
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  return absl::SimpleAtoi(text.substr(0, digits), &number) ? number : 0;
}

// One connection. Requests are answered in turn; pipelining is not supported.
class Session final {
 public:
  Session(TlsSocket socket, std::string& scratch) : socket_(std::move(socket)), scratch_(scratch) {}

  // False when the connection is over.
  bool Advance() {
    if (!open_) {
      const ssize_t result = socket_.Handshake();
      if (result != 1) return result == kWait;
      open_ = true;
    }
    while (true) {
      const ssize_t result = answer_left_ > 0 ? SendAnswer() : TakeRequest();
      if (result == kWait) return true;
      if (result <= 0) return false;
    }
  }

 private:
  ssize_t SendAnswer() {
    const bool in_head = !answer_head_.empty();
    if (in_head && answer_left_ > answer_head_.size()) {
      // Sends head and body together, as servers do.
      scratch_.replace(0, answer_head_.size(), answer_head_);
    }
    const size_t bytes = std::min<uint64_t>(answer_left_, scratch_.size());
    const ssize_t sent = socket_.Write(scratch_.data(), bytes);
    if (in_head) {
      if (sent > 0) CHECK_GE(static_cast<size_t>(sent), answer_head_.size());
      if (sent > 0) answer_head_.clear();
    }
    if (sent > 0) answer_left_ -= static_cast<uint64_t>(sent);
    return sent;
  }

  ssize_t TakeRequest() {
    const ssize_t bytes = socket_.Read(&scratch_[0], scratch_.size());
    if (bytes <= 0) return bytes;
    absl::string_view data(scratch_.data(), static_cast<size_t>(bytes));
    if (body_left_ == 0) {
      head_.append(data.data(), data.size());
      const size_t end = head_.find("\r\n\r\n");
      if (end == std::string::npos) return head_.size() > kMaxHeadBytes ? kBroken : bytes;
      data = absl::string_view(head_).substr(end + 4);
      body_left_ = NumberAfter(head_, "Content-Length: ");
      answer_bytes_ = NumberAfter(head_, " /");
    }
    body_left_ -= std::min<uint64_t>(body_left_, data.size());
    if (body_left_ == 0) {
      answer_head_ = absl::StrCat("HTTP/1.1 200 OK\r\nContent-Length: ", answer_bytes_, "\r\n\r\n");
      answer_left_ = answer_head_.size() + std::max<uint64_t>(answer_bytes_, 1);
      head_.clear();
    }
    return bytes;
  }

  TlsSocket socket_;
  std::string& scratch_;
  bool open_ = false;
  std::string head_;
  uint64_t body_left_ = 0;
  uint64_t answer_bytes_ = 0;
  std::string answer_head_;
  uint64_t answer_left_ = 0;
};

class Server final {
 public:
  Server(OwnedFd clear, OwnedFd tls, SSL_CTX* context)
      : clear_(std::move(clear)), tls_(std::move(tls)), context_(context) {
    Watch(clear_.get(), EPOLLIN);
    Watch(tls_.get(), EPOLLIN);
  }

  [[noreturn]] void Run() {
    std::vector<epoll_event> events(512);
    while (true) {
      const int room = static_cast<int>(events.size());
      const int count = epoll_wait(epoll_.get(), events.data(), room, -1);
      if (count < 0 && errno != EINTR) _exit(1);
      for (int i = 0; i < count; ++i) Handle(events[i].data.fd);
    }
  }

 private:
  void Watch(int fd, uint32_t events) {
    epoll_event event = {};
    event.events = events;
    event.data.fd = fd;
    PCHECK(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0);
  }

  void Handle(int fd) {
    if (fd == clear_.get()) return Accept(clear_.get(), nullptr);
    if (fd == tls_.get()) return Accept(tls_.get(), context_);
    const auto session = sessions_.find(fd);
    if (session != sessions_.end() && !session->second->Advance()) sessions_.erase(session);
  }

  void Accept(int listener, SSL_CTX* context) {
    while (true) {
      OwnedFd fd(accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!fd.valid()) return;
      bssl::UniquePtr<SSL> ssl(context == nullptr ? nullptr : SSL_new(context));
      if (ssl != nullptr) SSL_set_accept_state(ssl.get());
      const int number = fd.get();
      sessions_[number] =
          std::make_unique<Session>(TlsSocket(std::move(fd), std::move(ssl)), scratch_);
      Watch(number, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    }
  }

  const OwnedFd clear_;
  const OwnedFd tls_;
  SSL_CTX* const context_;
  const OwnedFd epoll_{epoll_create1(EPOLL_CLOEXEC)};
  std::string scratch_ = std::string(kScratchBytes, 'x');
  std::unordered_map<int, std::unique_ptr<Session>> sessions_;
};

}  // namespace

void ServeBackend(OwnedFd clear, OwnedFd tls, SSL_CTX* context) {
  // Retries may come from another place in the scratch buffer.
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  Server(std::move(clear), std::move(tls), context).Run();
}

Backend::Backend(SSL_CTX* tls) {
  OwnedFd clear_listener = ListenOnLoopback(&clear_port_);
  OwnedFd tls_listener = ListenOnLoopback(&tls_port_);
  const pid_t parent = getpid();
  pid_ = fork();
  PCHECK(pid_ >= 0);
  if (pid_ > 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  ServeBackend(std::move(clear_listener), std::move(tls_listener), tls);
}

Backend::~Backend() {
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

}  // namespace trestle::bench
