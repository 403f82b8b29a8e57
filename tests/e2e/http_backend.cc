#include "tests/e2e/http_backend.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "absl/log/check.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/e2e/bulk_bytes.h"

namespace trestle::e2e {
namespace {

constexpr absl::string_view kHeadEnd = "\r\n\r\n";

uint64_t ContentLength(const std::string& head) {
  for (const absl::string_view line : absl::StrSplit(head, "\r\n")) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(line, absl::MaxSplits(':', 1));
    uint64_t length = 0;
    if (absl::EqualsIgnoreCase(parts.first, "content-length") &&
        absl::SimpleAtoi(absl::StripAsciiWhitespace(parts.second), &length)) {
      return length;
    }
  }
  return 0;
}

std::string AnswerHead(uint64_t body_bytes) {
  return absl::StrCat("HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n",
                      "Content-Length: ", body_bytes, kHeadEnd);
}

bool WantsClose(const std::string& head) {
  return absl::StrContainsIgnoreCase(head, "\r\nconnection: close") ||
         absl::StrContains(head, " HTTP/1.0\r\n");
}

}  // namespace

HttpBackend::HttpBackend(Options options) : options_(std::move(options)) {
  listener_ = OwnedFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  CHECK_EQ(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  CHECK_EQ(listen(listener_.get(), 4096), 0);
  CHECK_EQ(getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { AcceptAll(); });
}

HttpBackend::~HttpBackend() {
  shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  std::vector<std::thread> threads;
  {
    absl::MutexLock lock(&mutex_);
    for (const std::shared_ptr<BlockingStream>& stream : streams_) stream->Interrupt();
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
}

std::string HttpBackend::address() const { return absl::StrCat("127.0.0.1:", port_); }

void HttpBackend::AcceptAll() {
  while (true) {
    OwnedFd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket.valid()) return;
    auto stream = std::make_shared<BlockingStream>(std::move(socket));
    absl::MutexLock lock(&mutex_);
    streams_.push_back(stream);
    threads_.emplace_back([this, stream] {
      Serve(*stream);
      stream->Close();
    });
  }
}

void HttpBackend::Serve(BlockingStream& stream) {
  Connection connection;
  const bool tls = options_.certificate.has_value();
  if (tls) {
    connection.handshake_failed = !stream.StartServer(*options_.certificate, options_.tls);
    connection.server_name = stream.server_name();
    connection.version = stream.version();
  }
  {
    absl::MutexLock lock(&mutex_);
    connections_.push_back(connection);
  }
  if (connection.handshake_failed) return;
  if (!options_.greeting.empty()) {
    stream.Write(options_.greeting);
    stream.ShutdownWrite();
    stream.ReadToEnd();
    return;
  }
  std::string rest;
  while (true) {
    rest += absl::StrContains(rest, kHeadEnd) ? "" : stream.ReadUntil(kHeadEnd);
    const size_t end = rest.find(kHeadEnd);
    if (end == std::string::npos) break;
    const std::string head = rest.substr(0, end + kHeadEnd.size());
    rest.erase(0, head.size());
    {
      absl::MutexLock lock(&mutex_);
      ++requests_;
    }
    if (!Answer(stream, head, rest)) return;
    if (WantsClose(head)) break;
  }
  stream.ShutdownWrite();
  stream.ReadToEnd();
}

bool HttpBackend::Answer(BlockingStream& stream, const std::string& head, std::string& rest) {
  const std::vector<std::string> words = absl::StrSplit(head.substr(0, head.find("\r\n")), ' ');
  if (words.size() != 3) return false;
  if (absl::StrContainsIgnoreCase(head, "\r\nUpgrade: ")) return Echo(stream, rest);
  if (words[0] != "GET") return AnswerSum(stream, ContentLength(head), rest);
  const std::vector<std::string> path = absl::StrSplit(words[1].substr(1), '/');
  uint64_t size = 0;
  if (path.size() == 2 && !absl::SimpleAtoi(path[1], &size)) return false;
  if (path[0] == "bytes") return AnswerBulk(stream, size);
  if (path[0] == "cut") {
    stream.Write(absl::StrCat(AnswerHead(size * 2), std::string(size, 'c')));
    stream.Cut();
    return false;
  }
  if (path[0] == "after-end") stream.ReadToEnd();
  return AnswerText(stream, absl::StrCat("hello from ", options_.name));
}

bool HttpBackend::Echo(BlockingStream& stream, const std::string& rest) {
  stream.Write(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
  stream.Write(rest);
  std::string buffer(BulkBytes::kBlockBytes, '\0');
  while (const size_t bytes = stream.Read(buffer.data(), buffer.size())) {
    if (!stream.Write(absl::string_view(buffer).substr(0, bytes))) return false;
  }
  stream.ShutdownWrite();
  return false;
}

bool HttpBackend::AnswerText(BlockingStream& stream, const std::string& text) {
  return stream.Write(absl::StrCat(AnswerHead(text.size()), text));
}

bool HttpBackend::AnswerBulk(BlockingStream& stream, uint64_t size) {
  if (!stream.Write(AnswerHead(size))) return false;
  BulkBytes bytes(size);
  for (absl::string_view block = bytes.NextBlock(); !block.empty(); block = bytes.NextBlock()) {
    if (!stream.Write(block)) return false;
  }
  return true;
}

bool HttpBackend::AnswerSum(BlockingStream& stream, uint64_t size, std::string& rest) {
  Sha256 sum;
  const size_t early = std::min<uint64_t>(size, rest.size());
  sum.Add(absl::string_view(rest).substr(0, early));
  rest.erase(0, early);
  std::string buffer(BulkBytes::kBlockBytes, '\0');
  for (uint64_t left = size - early; left > 0;) {
    const size_t bytes = stream.Read(buffer.data(), std::min<uint64_t>(left, buffer.size()));
    if (bytes == 0) return false;
    sum.Add(absl::string_view(buffer).substr(0, bytes));
    left -= bytes;
  }
  return AnswerText(stream, sum.Sum());
}

std::vector<HttpBackend::Connection> HttpBackend::connections() const {
  absl::MutexLock lock(&mutex_);
  return connections_;
}

int HttpBackend::requests() const {
  absl::MutexLock lock(&mutex_);
  return requests_;
}

bool HttpBackend::WaitForConnections(size_t count, absl::Duration limit) {
  absl::MutexLock lock(&mutex_);
  const auto came = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return connections_.size() >= count;
  };
  return mutex_.AwaitWithTimeout(absl::Condition(&came), limit);
}

bool HttpBackend::WaitForRequests(int count, absl::Duration limit) {
  absl::MutexLock lock(&mutex_);
  const auto came = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return requests_ >= count; };
  return mutex_.AwaitWithTimeout(absl::Condition(&came), limit);
}

}  // namespace trestle::e2e
