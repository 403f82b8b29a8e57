#include "integrations/prometheus/page_server.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "integrations/http1/message_reader.h"
#include "trestle/base/bytes.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

constexpr size_t kMaxRequestBytes = 8192;
// A field that no form of a web page can send.
constexpr char kCallField[] = "Trestle-Call";
// The maximum bytes to discard from a client that still sends after its request.
constexpr size_t kMaxExcessBytes = 64 << 10;

absl::string_view ReasonOf(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 421:
      return "Misdirected Request";
    case 431:
      return "Request Header Fields Too Large";
    default:
      return "Service Unavailable";
  }
}

// The page must load nothing, and no site may frame it, whatever its certificates contain.
std::string HeadOf(const Page& page) {
  return absl::StrCat("HTTP/1.1 ", page.status, " ", ReasonOf(page.status),
                      "\r\nContent-Type: ", page.type, "\r\nContent-Length: ", page.body.size(),
                      "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
                      "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; "
                      "frame-ancestors 'none'\r\nConnection: close\r\n\r\n");
}

// "name:port" without its port.
absl::string_view WithoutPort(absl::string_view host) {
  const size_t colon = host.rfind(':');
  const bool has_port = colon != absl::string_view::npos && colon + 1 < host.size() &&
                        std::all_of(host.begin() + static_cast<std::ptrdiff_t>(colon) + 1,
                                    host.end(), absl::ascii_isdigit);
  return has_port ? host.substr(0, colon) : host;
}

bool IsAddress(absl::string_view host) {
  return Endpoint::ParseIp(host).ok() || Endpoint::ParseIp(absl::StrCat(host, ":80")).ok();
}

absl::Status CannotServe(const Endpoint& listen, const absl::Status& why) {
  std::optional<Error> error = GetError(why);
  if (!error.has_value()) return why;
  error->detail = absl::StrCat("cannot serve HTTP on ", listen.ToString(), ": ", error->detail);
  return MakeError(*std::move(error));
}

}  // namespace

class PageServer::Connection final : private TransportHandler, private MessageSink {
 public:
  Connection(PageServer& server, uint64_t id, std::unique_ptr<Transport> transport)
      : server_(server), id_(id), transport_(std::move(transport)) {
    reader_.BeginRequest();
  }

  void Start() {
    LimitTo(server_.options_.request_timeout);
    transport_->SetHandler(this);
    OnReadable();
  }

  /// Stops all activity until the destructor.
  void Stop() {
    state_ = State::kOver;
    transport_->SetHandler(nullptr);
  }

  uint64_t id() const { return id_; }
  bool is_reading() const { return state_ == State::kReading; }
  const std::string& target() const { return target_; }
  absl::string_view path() const { return absl::string_view(target_).substr(0, target_.find('?')); }

  /// The request's Host; empty if it has none or several.
  absl::string_view host() const { return host_; }
  int hosts() const { return hosts_; }
  absl::string_view method() const { return reader_.method(); }
  bool has_origin() const { return has_origin_; }
  bool wants_call() const { return wants_call_; }

  /// Gives a call the time of an answer.
  void AwaitReply() { LimitTo(server_.options_.answer_timeout); }

  void Send(const Page& page) {
    state_ = State::kWriting;
    LimitTo(server_.options_.answer_timeout);
    to_write_ = HeadOf(page);
    if (method() != "HEAD") to_write_ += page.body;
    OnWritable();
  }

 private:
  enum class State { kReading, kWaiting, kWriting, kEnding, kOver };

  void LimitTo(absl::Duration time) {
    limit_ = server_.loop_->RunAfter(time, [this] { server_.Remove(*this); });
  }

  void OnReadable() override {
    std::array<uint8_t, 4096> block;
    while (state_ == State::kReading || state_ == State::kEnding) {
      const IoResult result = transport_->Read(MutableByteView(block.data(), block.size()));
      if (result.state == IoState::kWouldBlock) return;
      bytes_ += result.bytes;
      if (result.state != IoState::kOk || bytes_ > kMaxExcessBytes) return server_.Remove(*this);
      if (state_ == State::kReading) OnBytes(AsText(ByteView(block.data(), result.bytes)));
    }
  }

  void OnBytes(absl::string_view text) {
    reader_.Read(text, *this);
    if (reader_.head_done()) {
      state_ = State::kWaiting;
      return server_.Answer(*this);
    }
    if (reader_.state() == MessageReader::State::kFailed) return Send({400, kText, "no request\n"});
    if (bytes_ > kMaxRequestBytes) Send({431, kText, "too long a request\n"});
  }

  void OnWritable() override {
    while (state_ == State::kWriting && written_ < to_write_.size()) {
      const IoResult result = transport_->Write(AsBytes(to_write_).subspan(written_));
      if (result.state == IoState::kWouldBlock) return;
      if (result.state != IoState::kOk) return server_.Remove(*this);
      written_ += result.bytes;
    }
    if (state_ != State::kWriting && state_ != State::kEnding) return;
    state_ = State::kEnding;
    const IoState ended = transport_->ShutdownWrite(StreamEnd::kClean).state;
    if (ended == IoState::kWouldBlock) return;
    if (ended != IoState::kOk) return server_.Remove(*this);
    // If the client has sent more, a close now would reset the connection before the client has
    // read all.
    OnReadable();
  }

  void OnTarget(absl::string_view piece) override { target_.append(piece.data(), piece.size()); }
  void OnFieldName(absl::string_view piece) override { name_.append(piece.data(), piece.size()); }
  void OnFieldValue(absl::string_view piece) override { value_.append(piece.data(), piece.size()); }
  void OnFieldEnd() override {
    if (absl::EqualsIgnoreCase(name_, "host")) {
      ++hosts_;
      host_ = std::string(absl::StripAsciiWhitespace(value_));
    }
    has_origin_ = has_origin_ || absl::EqualsIgnoreCase(name_, "origin");
    wants_call_ = wants_call_ || (absl::EqualsIgnoreCase(name_, kCallField) &&
                                  absl::StripAsciiWhitespace(value_) == "yes");
    name_.clear();
    value_.clear();
  }

  static constexpr absl::string_view kText = "text/plain; charset=utf-8";

  PageServer& server_;
  const uint64_t id_;
  const std::unique_ptr<Transport> transport_;
  MessageReader reader_;
  State state_ = State::kReading;
  Timer limit_;
  size_t bytes_ = 0;  // Bytes read so far.
  std::string target_;
  std::string name_;
  std::string value_;
  std::string host_;
  int hosts_ = 0;
  bool has_origin_ = false;
  bool wants_call_ = false;
  std::string to_write_;
  size_t written_ = 0;
};

absl::StatusOr<std::unique_ptr<PageServer>> PageServer::Start(const Endpoint& listen, Source source,
                                                              PageServerOptions options,
                                                              Call on_call) {
  absl::StatusOr<std::unique_ptr<EpollLoop>> loop = EpollLoop::Create();
  if (!loop.ok()) return loop.status();
  auto server = absl::WrapUnique(
      new PageServer(*std::move(loop), std::move(source), std::move(options), std::move(on_call)));
  absl::StatusOr<std::unique_ptr<TcpListener>> listener = TcpListener::Create(
      *server->loop_, listen, [server = server.get()](std::unique_ptr<Transport> transport) {
        server->OnConnection(std::move(transport));
      });
  if (!listener.ok()) return CannotServe(listen, listener.status());
  server->listener_ = *std::move(listener);
  absl::StatusOr<Thread> thread = Thread::Start([loop = server->loop_.get()] { loop->Run(); });
  if (!thread.ok()) return thread.status();
  server->thread_ = *std::move(thread);
  return server;
}

PageServer::PageServer(std::unique_ptr<EpollLoop> loop, Source source, PageServerOptions options,
                       Call on_call)
    : loop_(std::move(loop)),
      source_(std::move(source)),
      options_(std::move(options)),
      on_call_(std::move(on_call)) {}

PageServer::~PageServer() {
  loop_->Stop();
  thread_.Join();
}

void PageServer::OnConnection(std::unique_ptr<Transport> transport) {
  if (connections_.size() >= options_.max_connections) {
    const auto oldest =
        std::find_if(connections_.begin(), connections_.end(),
                     [](const auto& connection) { return connection->is_reading(); });
    Remove(oldest == connections_.end() ? *connections_.front() : **oldest);
  }
  connections_.push_back(std::make_unique<Connection>(*this, ++last_id_, std::move(transport)));
  connections_.back()->Start();
}

bool PageServer::MayAsk(absl::string_view host) const {
  const absl::string_view name = WithoutPort(host);
  return IsAddress(host) ||
         std::any_of(options_.hosts.begin(), options_.hosts.end(),
                     [&](const std::string& known) { return absl::EqualsIgnoreCase(known, name); });
}

bool PageServer::IsUrgent(absl::string_view path) const {
  return std::find(options_.urgent_paths.begin(), options_.urgent_paths.end(), path) !=
         options_.urgent_paths.end();
}

void PageServer::Answer(Connection& connection) {
  Page refusal;
  if (connection.hosts() > 1) {
    refusal = {400, refusal.type, "more than one Host\n"};
  } else if (connection.hosts() == 1 && !MayAsk(connection.host())) {
    refusal = {421, refusal.type, "Host is neither an address nor one of this server's names\n"};
  } else if (!absl::StartsWith(connection.path(), "/")) {
    refusal = {400, refusal.type, "the request target is not a path\n"};
  } else if (connection.method() == "POST" && on_call_) {
    return AnswerCall(connection);
  } else if (connection.method() != "GET" && connection.method() != "HEAD") {
    refusal = {405, refusal.type, on_call_ ? "only GET, HEAD and POST\n" : "only GET and HEAD\n"};
  } else if (IsUrgent(connection.path())) {
    return connection.Send(source_(connection.path()));
  } else {
    waiting_.push_back(&connection);
    next_answer_ = loop_->RunAfter(absl::ZeroDuration(), [this] { AnswerNext(); });
    return;
  }
  connection.Send(refusal);
}

void PageServer::AnswerCall(Connection& connection) {
  Page refusal = {403, Page().type, ""};
  if (connection.has_origin()) {
    refusal.body = "a call has no Origin: web sites may make none\n";
  } else if (!connection.wants_call()) {
    refusal.body = absl::StrCat("a call needs the field ", kCallField, ": yes\n");
  } else {
    connection.AwaitReply();
    return on_call_(connection.target(), ReplyTo(connection.id()));
  }
  connection.Send(refusal);
}

PageReply PageServer::ReplyTo(uint64_t connection) {
  return [this, connection, weak_loop = std::weak_ptr<EpollLoop>(loop_)](Page page) {
    const std::shared_ptr<EpollLoop> loop = weak_loop.lock();
    if (loop == nullptr) return;
    // If the server ends before, the loop does not run this.
    loop->PostFromAnyThread([this, connection, page = std::move(page)] {
      const auto found =
          std::find_if(connections_.begin(), connections_.end(),
                       [connection](const auto& one) { return one->id() == connection; });
      if (found != connections_.end()) (*found)->Send(page);
    });
  };
}

// Answers one request per turn of the loop, so that urgent ones are not delayed.
void PageServer::AnswerNext() {
  if (waiting_.empty()) return;
  Connection& connection = *waiting_.front();
  waiting_.pop_front();
  connection.Send(source_(connection.path()));
  next_answer_ = loop_->RunAfter(absl::ZeroDuration(), [this] { AnswerNext(); });
}

void PageServer::Remove(const Connection& connection) {
  waiting_.erase(std::remove(waiting_.begin(), waiting_.end(), &connection), waiting_.end());
  const auto found = std::find_if(connections_.begin(), connections_.end(),
                                  [&](const auto& one) { return one.get() == &connection; });
  if (found == connections_.end()) return;
  (*found)->Stop();
  over_.splice(over_.end(), connections_, found);
  burial_ = loop_->RunAfter(absl::ZeroDuration(), [this] { over_.clear(); });
}

}  // namespace trestle
