#include "bench/peers/load.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/log/check.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "bench/peers/tls_socket.h"

namespace trestle::bench {
namespace {

constexpr size_t kScratchBytes = 256 * 1024;

std::string RequestHead(const LoadPlan& plan) {
  const bool post = plan.request_body_bytes > 0;
  std::string head = absl::StrCat(post ? "POST" : "GET", " /", plan.response_body_bytes,
                                  " HTTP/1.1\r\nHost: bench.test\r\n");
  if (post) absl::StrAppend(&head, "Content-Length: ", plan.request_body_bytes, "\r\n");
  return absl::StrCat(head, "\r\n");
}

}  // namespace

class Load::State {
 public:
  explicit State(const LoadPlan& plan);
  LoadResult Run(int requests);

  const LoadPlan& plan() const { return plan_; }
  const std::string& head() const { return head_; }
  std::string& scratch() { return scratch_; }
  SSL_SESSION* session() const { return session_.get(); }
  void KeepSession(SSL_SESSION* session) { session_.reset(session); }
  LoadResult& result() { return result_; }
  int epoll() const { return epoll_.get(); }

  /// Returns whether another request may start, and counts it.
  bool TakeRequest() { return requests_left_ > 0 && requests_left_-- > 0; }
  void Fail(std::string why);

 private:
  bool finished() const {
    return result_.responses + result_.errors >= requests_ && closing() == 0;
  }
  int closing() const;

  const LoadPlan plan_;
  const std::string head_;
  std::string scratch_ = std::string(kScratchBytes, 'y');
  const OwnedFd epoll_{epoll_create1(EPOLL_CLOEXEC)};
  int requests_ = 0;  // Of this run.
  int requests_left_ = 0;
  bssl::UniquePtr<SSL_SESSION> session_;
  LoadResult result_;
  std::vector<std::unique_ptr<Client>> clients_;
};

// Makes one connection after another, and on each one request after another.
class Load::Client {
 public:
  explicit Client(State& state) : state_(state) {}

  void Start() {
    if (!state_.TakeRequest()) return;
    if (socket_ == nullptr) return Connect();
    Ask();
    Advance();
  }
  void Advance();
  bool closing() const { return stage_ == Stage::kClosing; }

 private:
  enum class Stage { kIdle, kHandshaking, kSending, kReceiving, kClosing };

  void Connect();
  void Ask();
  ssize_t Step();
  ssize_t Handshake();
  ssize_t Send();
  ssize_t Receive();
  ssize_t FinishResponse();
  ssize_t AwaitEnd();
  void GiveUp(const char* doing);

  State& state_;
  std::unique_ptr<TlsSocket> socket_;
  Stage stage_ = Stage::kIdle;
  uint64_t sent_ = 0;
  std::string response_head_;
  uint64_t response_left_ = 0;
};

void Load::Client::Connect() {
  OwnedFd fd = ConnectToLoopback(state_.plan().port);
  if (!fd.valid()) {
    stage_ = Stage::kIdle;
    return state_.Fail("connect was refused");
  }
  bssl::UniquePtr<SSL> ssl(SSL_new(state_.plan().tls));
  SSL_set_connect_state(ssl.get());
  SSL_set_tlsext_host_name(ssl.get(), "bench.test");
  SSL_set_app_data(ssl.get(), &state_);
  if (state_.plan().resume && state_.session() != nullptr) {
    SSL_set_session(ssl.get(), state_.session());
  }
  epoll_event event = {};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = this;
  const int number = fd.get();
  socket_ = std::make_unique<TlsSocket>(std::move(fd), std::move(ssl));
  PCHECK(epoll_ctl(state_.epoll(), EPOLL_CTL_ADD, number, &event) == 0);
  stage_ = Stage::kHandshaking;
}

void Load::Client::Ask() {
  stage_ = Stage::kSending;
  sent_ = 0;
  response_head_.clear();
  response_left_ = 0;
}

void Load::Client::Advance() {
  while (stage_ != Stage::kIdle) {
    const Stage stage = stage_;
    ERR_clear_error();
    const ssize_t result = Step();
    if (result == kWait) return;
    if (result > 0) continue;
    static constexpr const char* kDoing[] = {"idle", "in the handshake", "while sending",
                                             "while receiving", "while closing"};
    GiveUp(kDoing[static_cast<int>(stage)]);
    Start();
  }
}

void Load::Client::GiveUp(const char* doing) {
  const char* reason = ERR_reason_error_string(ERR_peek_error());
  socket_.reset();
  stage_ = Stage::kIdle;
  state_.Fail(absl::StrCat("the connection broke ", doing, ": ",
                           reason == nullptr ? "reset or closed" : reason));
}

ssize_t Load::Client::Step() {
  switch (stage_) {
    case Stage::kIdle:
      return kWait;
    case Stage::kHandshaking:
      return Handshake();
    case Stage::kSending:
      return Send();
    case Stage::kReceiving:
      return Receive();
    case Stage::kClosing:
      return AwaitEnd();
  }
  return kBroken;
}

ssize_t Load::Client::Handshake() {
  const ssize_t result = socket_->Handshake();
  if (result != 1) return result;
  ++state_.result().handshakes;
  if (SSL_session_reused(socket_->ssl())) ++state_.result().resumptions;
  if (SSL_get_group_id(socket_->ssl()) == SSL_GROUP_X25519_MLKEM768) ++state_.result().post_quantum;
  Ask();
  return 1;
}

ssize_t Load::Client::Send() {
  const uint64_t head_bytes = state_.head().size();
  const uint64_t all = head_bytes + state_.plan().request_body_bytes;
  ssize_t bytes = 0;
  if (sent_ < head_bytes) {
    bytes = socket_->Write(state_.head().data() + sent_, head_bytes - sent_);
  } else {
    bytes = socket_->Write(state_.scratch().data(), std::min<uint64_t>(all - sent_, kScratchBytes));
  }
  if (bytes > 0) sent_ += static_cast<uint64_t>(bytes);
  if (sent_ == all) stage_ = Stage::kReceiving;
  return bytes == 0 ? kBroken : bytes;
}

ssize_t Load::Client::Receive() {
  const ssize_t bytes = socket_->Read(&state_.scratch()[0], kScratchBytes);
  if (bytes <= 0) return bytes == kEnd ? kBroken : bytes;
  uint64_t body = static_cast<uint64_t>(bytes);
  if (response_left_ == 0) {
    response_head_.append(state_.scratch().data(), body);
    const size_t end = response_head_.find("\r\n\r\n");
    if (end == std::string::npos) return bytes;
    body = response_head_.size() - end - 4;
    response_left_ = std::max<uint64_t>(state_.plan().response_body_bytes, 1);
  }
  if (body > response_left_) return kBroken;
  response_left_ -= body;
  return response_left_ == 0 ? FinishResponse() : bytes;
}

ssize_t Load::Client::FinishResponse() {
  ++state_.result().responses;
  if (state_.plan().reconnect) {
    stage_ = Stage::kClosing;
    socket_->EndWrite();
  } else if (state_.TakeRequest()) {
    Ask();
  } else {
    stage_ = Stage::kIdle;
  }
  return 1;
}

// The peer closes before the next connection is made, so that no stream is truncated.
ssize_t Load::Client::AwaitEnd() {
  char rest[64];
  const ssize_t bytes = socket_->Read(rest, sizeof(rest));
  if (bytes == kWait || bytes > 0) return bytes;
  // Not every peer sends a close_notify of its own, so any end is accepted.
  socket_.reset();
  stage_ = Stage::kIdle;
  Start();
  return 1;
}

Load::State::State(const LoadPlan& plan) : plan_(plan), head_(RequestHead(plan)) {
  SSL_CTX_set_mode(plan.tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_session_cache_mode(plan.tls, SSL_SESS_CACHE_CLIENT);
  SSL_CTX_sess_set_new_cb(plan.tls, [](SSL* ssl, SSL_SESSION* session) {
    static_cast<State*>(SSL_get_app_data(ssl))->KeepSession(session);
    return 1;
  });
}

void Load::State::Fail(std::string why) {
  if (++result_.errors == 1) result_.first_error = std::move(why);
}

int Load::State::closing() const {
  return static_cast<int>(std::count_if(clients_.begin(), clients_.end(),
                                        [](const auto& client) { return client->closing(); }));
}

LoadResult Load::State::Run(int requests) {
  const absl::Time deadline = absl::Now() + plan_.limit;
  requests_ = requests_left_ = requests;
  result_ = LoadResult();
  while (clients_.size() < static_cast<size_t>(plan_.connections)) {
    clients_.push_back(std::make_unique<Client>(*this));
  }
  for (const auto& client : clients_) client->Start();
  std::vector<epoll_event> events(512);
  while (!finished()) {
    if (absl::Now() > deadline) {
      Fail("ran out of time");
      return result_;
    }
    const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 200);
    for (int i = 0; i < count; ++i) static_cast<Client*>(events[i].data.ptr)->Advance();
  }
  return result_;
}

Load::Load(const LoadPlan& plan) : state_(std::make_unique<State>(plan)) {}
Load::~Load() = default;
LoadResult Load::Open() { return state_->Run(state_->plan().connections); }
LoadResult Load::Run() { return state_->Run(state_->plan().requests); }

}  // namespace trestle::bench
