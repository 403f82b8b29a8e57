#include "integrations/http1/http1_inspector.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "integrations/http1/answer_follower.h"
#include "integrations/http1/message_reader.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/error.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

constexpr int kMaxEmptyLines = 4;  // Before a request line (RFC 9112 2.2).

// State that all connections of a block share.
struct SharedOptions {
  Http1Options options;
  Scheduler& scheduler;
};

class Http1Inspector final : public Inspector, private MessageSink {
 public:
  Http1Inspector(std::shared_ptr<SharedOptions> shared, const ConnectionReport& connection)
      : shared_(std::move(shared)),
        options_(shared_->options),
        server_name_(connection.server_name),
        http2_(SpeaksHttp2(connection)),
        one_request_(shared_->options.one_request && shared_->options.one_request(connection)),
        rewriter_(options_.forwarding, connection),
        answers_(options_.limits) {
    for (HttpGuardFactory& new_guard : shared_->options.guards) {
      if (std::unique_ptr<HttpGuard> guard = new_guard(connection)) {
        guards_.push_back(std::move(guard));
      }
    }
  }

  Verdict Inspect(Direction direction, ByteView pending, bool end_of_stream) override {
    if (direction == Direction::kToClient) return answers_.Judge(AsText(pending), end_of_stream);
    return OnRequests(AsText(pending), end_of_stream);
  }

 private:
  enum class State : uint8_t {
    kHead,
    kBody,
    kTrailers,
    kAgreement,  // A protocol change was requested; the backend's response decides.
    kOver,       // No more requests: later bytes are dropped.
  };

  Verdict OnRequests(absl::string_view pending, bool end);
  Verdict OnHead(absl::string_view pending, bool end);
  Verdict OnWholeHead(absl::string_view head_bytes);
  Verdict OnBodyBytes(absl::string_view pending);
  Verdict OnTrailers(absl::string_view pending, bool end);
  std::optional<HttpRefusal> CheckPolicy(const HttpRequestHead& head) const;
  std::optional<HttpRefusal> AskGuards(const HttpRequestHead& head);
  void Begin(const HttpRequestHead& head);
  Verdict PassOn(absl::string_view pending, size_t bytes, bool complete);
  Verdict Release(size_t consumed);
  std::optional<HttpRefusal> EndOfGuarded();
  void EndRequest();
  Verdict Refuse(HttpRefusal refusal);
  Verdict RefuseNow();
  bool UpgradeAllowed(const HttpRequestHead& head) const;

  void OnBody(absl::string_view piece) override;

  const std::shared_ptr<SharedOptions> shared_;
  const Http1Options& options_;
  const std::string server_name_;
  const bool http2_;
  const bool one_request_;
  const HeadRewriter rewriter_;
  std::vector<std::unique_ptr<HttpGuard>> guards_;

  State state_ = State::kHead;
  HeadScanner scanner_;
  MessageReader reader_;
  AnswerFollower answers_;
  std::optional<MonotonicTime> head_began_;
  int empty_lines_ = 0;

  // The current request.
  AnswerFollower::Expected request_;
  bool last_request_ = false;  // No request follows on this connection.
  bool passed_on_ = false;     // Its head went to the backend.
  size_t framing_bytes_ = 0;   // Since the last piece of the body.
  bool guarded_ = false;       // Guards still look at its body.
  size_t guarded_bytes_ = 0;   // Body bytes that guards saw.
  std::string kept_;           // Bytes that guards have not accepted yet.
  std::optional<HttpRefusal> refusal_;
};

Verdict Http1Inspector::OnRequests(absl::string_view pending, bool end) {
  if (refusal_.has_value()) return RefuseNow();
  if (state_ == State::kAgreement) {
    if (answers_.agreed()) return Verdict::Forward(pending.size());
    if (answers_.expected() > 0) return pending.empty() ? Verdict::Forward(0) : Verdict::Wait();
    state_ = last_request_ ? State::kOver : State::kHead;
  }
  if (pending.empty() && guarded_) {
    return Refuse({400, "the client ended in the middle of a request"});
  }
  // The backend sees the incomplete end of the request itself.
  if (pending.empty()) return Verdict::Forward(0);
  switch (state_) {
    case State::kHead:
      return OnHead(pending, end);
    case State::kBody:
      return OnBodyBytes(pending);
    case State::kTrailers:
      return OnTrailers(pending, end);
    case State::kAgreement:
    case State::kOver:
      break;
  }
  return Verdict::Replace(pending.size(), "");
}

Verdict Http1Inspector::OnHead(absl::string_view pending, bool end) {
  if (http2_) return Refuse({505, "HTTP/2 was agreed on, and only HTTP/1.1 is read here"});
  if (answers_.expected() >= options_.pipelined_requests) return Verdict::Wait();
  if (scanner_.scanned() == 0 && absl::StartsWith(pending, "\r\n")) {
    if (++empty_lines_ > kMaxEmptyLines) return Refuse({400, "empty lines instead of a request"});
    return Verdict::Replace(2, "");
  }
  const MonotonicTime now = shared_->scheduler.MonotonicNow();
  if (!head_began_.has_value()) head_began_ = now;
  if (now - *head_began_ > options_.head_timeout) {
    return Refuse({408, "the head took longer than its limit"});
  }
  HttpRefusal refusal;
  switch (scanner_.Scan(pending, options_.limits, refusal)) {
    case HeadScanner::State::kRefused:
      return Refuse(std::move(refusal));
    case HeadScanner::State::kNeedMore:
      if (end) return Refuse({400, "the client ended in the middle of a head"});
      return Verdict::Hold();
    case HeadScanner::State::kComplete:
      return OnWholeHead(pending.substr(0, scanner_.scanned()));
  }
  return Verdict::Hold();
}

Verdict Http1Inspector::OnWholeHead(absl::string_view head_bytes) {
  scanner_ = {};
  head_began_.reset();
  empty_lines_ = 0;
  passed_on_ = false;
  HttpRefusal refusal;
  const std::optional<HttpRequestHead> head = ReadRequestHead(head_bytes, options_.limits, refusal);
  if (!head.has_value()) return Refuse(std::move(refusal));
  request_ = {head->method == "HEAD", head->method == "CONNECT",
              std::string(UpgradeAllowed(*head) ? head->upgrade : "")};
  if (std::optional<HttpRefusal> no = CheckPolicy(*head)) return Refuse(*std::move(no));
  if (std::optional<HttpRefusal> no = AskGuards(*head)) return Refuse(*std::move(no));
  Begin(*head);
  std::string text = rewriter_.Rewrite(*head, !request_.upgrade.empty(), last_request_);
  if (!head->has_body()) {
    if (std::optional<HttpRefusal> no = EndOfGuarded()) return Refuse(*std::move(no));
    guarded_ = false;
  }
  if (guarded_ && !head->expects_continue) {
    kept_ = std::move(text);
    return Verdict::Replace(head_bytes.size(), "");
  }
  // Otherwise a client that waits for "100 Continue" would wait forever: the backend gets the head.
  passed_on_ = true;
  answers_.Expect(request_);
  if (!head->has_body()) EndRequest();
  return Verdict::Replace(head_bytes.size(), std::move(text));
}

std::optional<HttpRefusal> Http1Inspector::CheckPolicy(const HttpRequestHead& head) const {
  if (request_.connect && !options_.allow_connect) return HttpRefusal{405, "CONNECT isn't allowed"};
  if (request_.connect && head.has_body()) return HttpRefusal{400, "CONNECT with a body"};
  if (!HostAllowed(options_.hosts, server_name_, head.host)) {
    return HttpRefusal{421, "the request is for another host than the ClientHello was"};
  }
  return rewriter_.refusal();
}

bool Http1Inspector::UpgradeAllowed(const HttpRequestHead& head) const {
  return std::any_of(
      options_.upgrades.begin(), options_.upgrades.end(),
      [&](absl::string_view allowed) { return absl::EqualsIgnoreCase(allowed, head.upgrade); });
}

std::optional<HttpRefusal> Http1Inspector::AskGuards(const HttpRequestHead& head) {
  guarded_ = false;
  guarded_bytes_ = 0;
  for (const std::unique_ptr<HttpGuard>& guard : guards_) {
    if (std::optional<HttpRefusal> no = guard->OnHead(head)) return no;
    guarded_ = guarded_ || guard->wants_body();
  }
  const bool too_long = head.content_length > options_.guarded_body_bytes;
  if (guarded_ && too_long && !options_.pass_longer_bodies) {
    return HttpRefusal{413, "the body is longer than what may be kept for inspection"};
  }
  return std::nullopt;
}

// Parses the head again, so that the reader knows the framing of the body; few fields suffice.
void Http1Inspector::Begin(const HttpRequestHead& head) {
  last_request_ = one_request_ || !head.keep_alive;
  framing_bytes_ = 0;
  if (!head.has_body()) return;
  state_ = State::kBody;
  reader_.BeginRequest();
  const std::string framing = head.chunked ? "Transfer-Encoding: chunked"
                                           : absl::StrCat("Content-Length: ", head.content_length);
  reader_.Read(absl::StrCat("POST / HTTP/1.1\r\n", framing, "\r\n\r\n"), *this);
}

void Http1Inspector::OnBody(absl::string_view piece) {
  if (!guarded_ || refusal_.has_value()) return;
  const size_t room = options_.guarded_body_bytes - guarded_bytes_;
  if (piece.size() > room && !options_.pass_longer_bodies) {
    refusal_ = {413, "the body is longer than what may be kept for inspection"};
    return;
  }
  piece = piece.substr(0, room);
  guarded_bytes_ += piece.size();
  for (const std::unique_ptr<HttpGuard>& guard : guards_) {
    if (!guard->wants_body() || refusal_.has_value()) continue;
    refusal_ = guard->OnBody(piece);
  }
}

Verdict Http1Inspector::OnBodyBytes(absl::string_view pending) {
  const uint64_t body_before = reader_.body_bytes();
  const size_t bytes = reader_.Read(pending, *this);
  if (refusal_.has_value()) return RefuseNow();
  if (reader_.state() == MessageReader::State::kFailed) {
    return Refuse({400, absl::StrCat("no HTTP body: ", reader_.error())});
  }
  framing_bytes_ = reader_.body_bytes() > body_before ? 0 : framing_bytes_ + bytes;
  if (framing_bytes_ > options_.chunk_line_bytes) {
    return Refuse({400, "the lines between chunks are over the limit of bytes"});
  }
  if (reader_.state() == MessageReader::State::kLastChunk) {
    state_ = State::kTrailers;
    scanner_ = {};
  }
  return PassOn(pending, bytes, reader_.state() == MessageReader::State::kComplete);
}

Verdict Http1Inspector::OnTrailers(absl::string_view pending, bool end) {
  HttpRefusal refusal;
  switch (scanner_.Scan(pending, options_.limits, refusal)) {
    case HeadScanner::State::kRefused:
      return Refuse(std::move(refusal));
    case HeadScanner::State::kNeedMore:
      if (end) return Refuse({400, "the client ended in the middle of a request"});
      return Verdict::Hold();
    case HeadScanner::State::kComplete:
      break;
  }
  const size_t bytes = scanner_.scanned();
  scanner_ = {};
  if (std::optional<HttpRefusal> no = CheckTrailers(pending.substr(0, bytes), options_.limits)) {
    return Refuse(*std::move(no));
  }
  return PassOn(pending, bytes, true);
}

// Passes on the first `bytes` of `pending`, which are valid. `complete`: they end the request.
Verdict Http1Inspector::PassOn(absl::string_view pending, size_t bytes, bool complete) {
  if (!guarded_) {
    if (complete) EndRequest();
    return Verdict::Forward(bytes);
  }
  kept_.append(pending.data(), bytes);
  const bool seen_enough = guarded_bytes_ == options_.guarded_body_bytes;
  // Small chunks with long extensions must not exceed the memory limit.
  const bool full = kept_.size() > 2 * options_.guarded_body_bytes + options_.limits.head_bytes;
  if (full && !options_.pass_longer_bodies) {
    return Refuse({413, "the body's framing is longer than what may be kept for inspection"});
  }
  if (!complete && !(options_.pass_longer_bodies && (seen_enough || full))) {
    return Verdict::Replace(bytes, "");
  }
  if (std::optional<HttpRefusal> no = EndOfGuarded()) return Refuse(*std::move(no));
  guarded_ = false;
  if (!passed_on_) answers_.Expect(request_);
  passed_on_ = true;
  if (complete) EndRequest();
  return Verdict::Replace(bytes, std::exchange(kept_, {}));
}

std::optional<HttpRefusal> Http1Inspector::EndOfGuarded() {
  for (const std::unique_ptr<HttpGuard>& guard : guards_) {
    if (std::optional<HttpRefusal> no = guard->OnEnd()) return no;
  }
  return std::nullopt;
}

void Http1Inspector::EndRequest() {
  const bool asked = !request_.upgrade.empty() || request_.connect;
  state_ = asked ? State::kAgreement : (last_request_ ? State::kOver : State::kHead);
  // Later rejections are for another request.
  request_ = {};
  passed_on_ = false;
}

Verdict Http1Inspector::Refuse(HttpRefusal refusal) {
  refusal_ = std::move(refusal);
  kept_.clear();
  return RefuseNow();
}

// Send a page only if the client interprets it as the response to the rejected request.
Verdict Http1Inspector::RefuseNow() {
  const size_t own = passed_on_ ? 1 : 0;
  if (answers_.expected() > own) return Verdict::Wait();
  const bool answered = passed_on_ && (answers_.expected() == 0 || answers_.begun());
  return Verdict::Block(refusal_->reason,
                        answered ? "" : RefusalPage(refusal_->status, request_.head));
}

// Returns whether connections may change to `protocol`, which is not read.
absl::Status CheckUpgrade(absl::string_view protocol) {
  const std::vector<absl::string_view> parts = absl::StrSplit(protocol, absl::MaxSplits('/', 1));
  if (!std::all_of(parts.begin(), parts.end(), IsToken)) {
    return ConfigurationError(
        absl::StrCat("the upgrade \"", EscapeForLog(protocol), "\" is no protocol"));
  }
  for (const absl::string_view http : {"h2c", "h2", "http", "tls"}) {
    if (!absl::EqualsIgnoreCase(parts.front(), http)) continue;
    return ConfigurationError(
        absl::StrCat("an upgrade to ", protocol, " would let requests pass unread"));
  }
  return absl::OkStatus();
}

}  // namespace

bool HostAllowed(Http1Options::HostPolicy policy, const std::string& server_name,
                 const std::string& host) {
  if (policy == Http1Options::HostPolicy::kAny) return true;
  if (!server_name.empty()) return host == server_name;
  return Endpoint::ParseIp(absl::StrCat(host, ":1")).ok();
}

bool SpeaksHttp2(const ConnectionReport& connection) {
  return connection.front.tls != nullptr && connection.front.tls->alpn == "h2";
}

absl::StatusOr<InspectorFactory> NewHttp1InspectorFactory(Scheduler& scheduler,
                                                          Http1Options options) {
  const Http1Limits& limits = options.limits;
  if (limits.head_bytes == 0 || limits.target_bytes == 0 || limits.fields == 0 ||
      options.pipelined_requests == 0 || options.chunk_line_bytes == 0 ||
      options.guarded_body_bytes == 0) {
    return ConfigurationError("each limit of HTTP/1.1 requests must be at least 1");
  }
  if (options.head_timeout <= absl::ZeroDuration() ||
      options.head_timeout == absl::InfiniteDuration()) {
    return ConfigurationError("the time for a request's head must be positive and finite");
  }
  for (const std::string& protocol : options.upgrades) {
    if (absl::Status upgrade = CheckUpgrade(protocol); !upgrade.ok()) return upgrade;
  }
  if (absl::Status fields = CheckForwarding(options.forwarding); !fields.ok()) return fields;
  auto shared = std::make_shared<SharedOptions>(SharedOptions{std::move(options), scheduler});
  return InspectorFactory(
      [shared](const ConnectionReport& connection) -> std::unique_ptr<Inspector> {
        if (shared->options.dangerous_unread_http2 && SpeaksHttp2(connection)) return nullptr;
        return std::make_unique<Http1Inspector>(shared, connection);
      });
}

}  // namespace trestle
