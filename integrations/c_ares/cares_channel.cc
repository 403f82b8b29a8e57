#include "integrations/c_ares/cares_channel.h"

#include <arpa/nameser.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

// The rounds of work for sockets that stay ready, before other calls of the loop have a turn.
constexpr int kRounds = 16;

Endpoint EndpointOf(const sockaddr* address, uint16_t port) {
  if (address->sa_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, address, sizeof(v4));
    return Endpoint(ByteView(reinterpret_cast<const uint8_t*>(&v4.sin_addr), 4), port);
  }
  sockaddr_in6 v6;
  std::memcpy(&v6, address, sizeof(v6));
  return Endpoint(ByteView(reinterpret_cast<const uint8_t*>(&v6.sin6_addr), 16), port);
}

absl::Duration Shorter(absl::Duration ttl, int64_t seconds) {
  return std::min(ttl, absl::Seconds(std::max<int64_t>(seconds, 0)));
}

// Returns the shortest time to live of all answer records (RFC 1035 4.1): that of a service, which
// c-ares doesn't tell. A message that ends early gives zero.
absl::Duration AnswerTtl(const unsigned char* message, int size) {
  if (size < HFIXEDSZ) return absl::ZeroDuration();
  const auto read16 = [&](const unsigned char* at) { return at[0] << 8 | at[1]; };
  const int questions = read16(message + 4);
  const int answers = read16(message + 6);
  const unsigned char* at = message + HFIXEDSZ;
  const unsigned char* const end = message + size;
  const auto skip_name = [&] {
    char* name = nullptr;
    long bytes = 0;  // NOLINT(runtime/int)
    if (at >= end || ares_expand_name(at, message, size, &name, &bytes) != ARES_SUCCESS) {
      return false;
    }
    ares_free_string(name);
    at += bytes;
    return true;
  };
  for (int i = 0; i < questions; ++i) {
    if (!skip_name() || end - at < QFIXEDSZ) return absl::ZeroDuration();
    at += QFIXEDSZ;
  }
  absl::Duration ttl = absl::InfiniteDuration();
  for (int i = 0; i < answers; ++i) {
    if (!skip_name() || end - at < RRFIXEDSZ) return absl::ZeroDuration();
    ttl = Shorter(ttl, int64_t{read16(at + 4)} << 16 | read16(at + 6));
    const int bytes = read16(at + 8);
    at += RRFIXEDSZ;
    if (end - at < bytes) return absl::ZeroDuration();
    at += bytes;
  }
  return ttl;
}

CaresHost HostOf(int status, const ares_addrinfo* info, int family, uint16_t port) {
  CaresHost host;
  host.status = status;
  if (status != ARES_SUCCESS || info == nullptr) return host;
  host.ttl = absl::InfiniteDuration();
  for (const ares_addrinfo_cname* name = info->cnames; name != nullptr; name = name->next) {
    host.ttl = Shorter(host.ttl, name->ttl);
  }
  for (const ares_addrinfo_node* node = info->nodes; node != nullptr; node = node->ai_next) {
    if (node->ai_family != family) continue;
    host.ttl = Shorter(host.ttl, node->ai_ttl);
    host.endpoints.push_back(EndpointOf(node->ai_addr, port));
  }
  if (host.endpoints.empty()) host.status = ARES_ENODATA;
  return host;
}

CaresService ServiceOf(int status, const unsigned char* message, int size) {
  CaresService service;
  service.status = status;
  if (status != ARES_SUCCESS) return service;
  ares_srv_reply* records = nullptr;
  service.status = ares_parse_srv_reply(message, size, &records);
  for (const ares_srv_reply* record = records; record != nullptr; record = record->next) {
    // A host "." says that there is no such service (RFC 2782).
    const std::string host = record->host;
    if (host.empty() || host == ".") continue;
    service.records.push_back({host, record->port, record->priority, record->weight});
  }
  if (records != nullptr) ares_free_data(records);
  service.ttl = AnswerTtl(message, size);
  if (service.status == ARES_SUCCESS && service.records.empty()) service.status = ARES_ENODATA;
  return service;
}

}  // namespace

// c-ares has the pending part until it calls back; the owner of the question may be gone then.
template <typename Answer>
class CaresChannel::Question final : public CaresQuestion {
 public:
  struct Pending {
    Question* question;
    int family;
    uint16_t port;
  };

  explicit Question(absl::AnyInvocable<void(Answer)> done) : done_(std::move(done)) {}
  ~Question() override {
    if (pending_ != nullptr) pending_->question = nullptr;
  }

  Pending* Begin(int family, uint16_t port) { return pending_ = new Pending{this, family, port}; }

  static void End(Pending* pending, Answer answer) {
    Question* const question = pending->question;
    delete pending;
    if (question == nullptr) return;
    question->pending_ = nullptr;
    question->done_(std::move(answer));
  }

 private:
  absl::AnyInvocable<void(Answer)> done_;
  Pending* pending_ = nullptr;
};

// A socket of c-ares, and the directions for which it waits.
class CaresChannel::Socket final : public FdWatcher {
 public:
  Socket(CaresChannel& channel, int fd) : channel_(channel), fd_(fd) {}

  void OnFdReady(uint32_t /*events*/) override { channel_.Drive(); }

  int fd() const { return fd_; }
  uint32_t wanted = 0;

 private:
  CaresChannel& channel_;
  const int fd_;
};

CaresChannel::CaresChannel(FdLoop& loop, Options options)
    : loop_(loop), options_(std::move(options)) {}

CaresChannel::~CaresChannel() {
  // Calls back for all questions, whose owners are gone, and closes the sockets.
  if (channel_ != nullptr) ares_destroy(channel_);
}

absl::Status CaresChannel::Open() {
  static const int kLibrary = ares_library_init(ARES_LIB_INIT_ALL);
  if (kLibrary != ARES_SUCCESS) return ConfigurationError("c-ares doesn't start");
  ares_options options = {};
  options.flags = ARES_FLAG_NOALIASES | ARES_FLAG_STAYOPEN;
  int given = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB |
              ARES_OPT_LOOKUPS;
  if (!options_.search_domains) {
    // ares_getaddrinfo doesn't honour ARES_FLAG_NOSEARCH alone: the list of domains is empty, too.
    options.flags |= ARES_FLAG_NOSEARCH;
    given |= ARES_OPT_DOMAINS;
  }
  options.timeout = static_cast<int>(absl::ToInt64Milliseconds(options_.server_timeout));
  options.tries = options_.rounds;
  options.sock_state_cb = OnSocketState;
  options.sock_state_cb_data = this;
  char lookups[] = "fb";  // The hosts file, then DNS.
  options.lookups = lookups;
  const int opened = ares_init_options(&channel_, &options, given);
  if (opened != ARES_SUCCESS) {
    channel_ = nullptr;
    return ConfigurationError(absl::StrCat("names can't be resolved: ", ares_strerror(opened)));
  }
  if (options_.servers.empty()) return absl::OkStatus();
  const std::string servers =
      absl::StrJoin(options_.servers, ",",
                    [](std::string* out, const Endpoint& server) { *out += server.ToString(); });
  const int set = ares_set_servers_ports_csv(channel_, servers.c_str());
  if (set == ARES_SUCCESS) return absl::OkStatus();
  return ConfigurationError(
      absl::StrCat("the DNS servers ", servers, " can't be used: ", ares_strerror(set)));
}

std::unique_ptr<CaresQuestion> CaresChannel::AskHost(const std::string& name, int family,
                                                     uint16_t port,
                                                     absl::AnyInvocable<void(CaresHost)> done) {
  auto question = std::make_unique<Question<CaresHost>>(std::move(done));
  ares_addrinfo_hints hints = {};
  hints.ai_family = family;
  hints.ai_flags = ARES_AI_NOSORT;
  if (options_.hosts_from_environment) hints.ai_flags |= ARES_AI_ENVHOSTS;
  ares_getaddrinfo(
      channel_, name.c_str(), nullptr, &hints,
      [](void* arg, int status, int /*timeouts*/, ares_addrinfo* info) {
        auto* const pending = static_cast<Question<CaresHost>::Pending*>(arg);
        CaresHost host = HostOf(status, info, pending->family, pending->port);
        if (info != nullptr) ares_freeaddrinfo(info);
        Question<CaresHost>::End(pending, std::move(host));
      },
      question->Begin(family, port));
  DriveSoon();
  return question;
}

std::unique_ptr<CaresQuestion> CaresChannel::AskService(
    const std::string& name, absl::AnyInvocable<void(CaresService)> done) {
  auto question = std::make_unique<Question<CaresService>>(std::move(done));
  ares_query(
      channel_, name.c_str(), ns_c_in, ns_t_srv,
      [](void* arg, int status, int /*timeouts*/, unsigned char* message, int size) {
        auto* const pending = static_cast<Question<CaresService>::Pending*>(arg);
        Question<CaresService>::End(pending, ServiceOf(status, message, size));
      },
      question->Begin(AF_UNSPEC, 0));
  DriveSoon();
  return question;
}

void CaresChannel::OnSocketState(void* self, ares_socket_t fd, int readable, int writable) {
  const uint32_t events = (readable != 0 ? EPOLLIN : 0u) | (writable != 0 ? EPOLLOUT : 0u);
  static_cast<CaresChannel*>(self)->Watch(fd, events);
}

// Called inside c-ares. Without events, c-ares closes the socket after this.
void CaresChannel::Watch(int fd, uint32_t events) {
  const auto found = sockets_.find(fd);
  if (events == 0) {
    if (found == sockets_.end()) return;
    loop_.Unwatch(fd);
    closed_.push_back(std::move(found->second));  // This may be its own call.
    sockets_.erase(found);
    return DriveSoon();
  }
  if (found != sockets_.end()) {
    found->second->wanted = events;
    return DriveSoon();
  }
  auto socket = std::make_unique<Socket>(*this, fd);
  socket->wanted = events;
  // A socket that can't be watched gets no answer, and its question times out.
  if (!loop_.Watch(fd, *socket).ok()) return;
  sockets_[fd] = std::move(socket);
  DriveSoon();
}

void CaresChannel::DriveSoon() {
  if (soon_ != nullptr) return;
  soon_ = loop_.RunAfter(absl::ZeroDuration(), [this] {
    soon_.reset();
    closed_.clear();
    Drive();
  });
}

// Lets c-ares work until no socket is ready. Edges are not enough: c-ares begins to wait for a
// direction after the socket became ready for it.
void CaresChannel::Drive() {
  int rounds = 0;
  while (rounds < kRounds && ProcessReady()) ++rounds;
  if (rounds == kRounds) {
    DriveSoon();
  } else {
    for (const auto& [fd, socket] : sockets_) loop_.Await(fd, socket->wanted);
  }
  ArmTimeout();
}

bool CaresChannel::ProcessReady() {
  std::vector<pollfd> ready;
  for (const auto& [fd, socket] : sockets_) {
    const short events =  // NOLINT(runtime/int)
        static_cast<short>((socket->wanted & EPOLLIN ? POLLIN : 0) |
                           (socket->wanted & EPOLLOUT ? POLLOUT : 0));
    ready.push_back({fd, events, 0});
  }
  if (ready.empty() || poll(ready.data(), ready.size(), 0) <= 0) return false;
  for (const pollfd& item : ready) {
    if (item.revents == 0 || !sockets_.contains(item.fd)) continue;
    const bool failed = (item.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;
    const bool in = failed || (item.revents & POLLIN) != 0;
    const bool out = (item.events & POLLOUT) != 0 && (failed || (item.revents & POLLOUT) != 0);
    ares_process_fd(channel_, in ? item.fd : ARES_SOCKET_BAD, out ? item.fd : ARES_SOCKET_BAD);
  }
  return true;
}

void CaresChannel::ArmTimeout() {
  timeval left = {};
  if (ares_timeout(channel_, nullptr, &left) == nullptr) {
    timeout_.reset();
    return;
  }
  // A millisecond more, because c-ares compares with its own, later look at the clock.
  const absl::Duration delay = absl::DurationFromTimeval(left) + absl::Milliseconds(1);
  timeout_ = loop_.RunAfter(delay, [this] {
    ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    Drive();
  });
}

}  // namespace trestle
