#include "integrations/http1/http_message.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "integrations/http1/message_reader.h"
#include "integrations/http1/proxy_fields.h"
#include "trestle/base/endpoint.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

constexpr absl::string_view kWhiteSpace = " \t";
constexpr absl::string_view kEncoding = "Transfer-Encoding";

absl::string_view Trim(absl::string_view text) {
  const size_t first = text.find_first_not_of(kWhiteSpace);
  if (first == absl::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kWhiteSpace) - first + 1);
}

bool IsControl(char c) {
  const auto byte = static_cast<uint8_t>(c);
  return (byte < 0x20 && c != '\t') || byte == 0x7f;
}

bool HasHighBytes(absl::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<uint8_t>(c) > 0x7f; });
}

/// Collects the views of a head that is read in one piece, so that each text arrives in one piece.
class HeadCollector final : public MessageSink {
 public:
  explicit HeadCollector(std::vector<HttpField>& fields) : fields_(fields) {}

  absl::string_view target() const { return target_; }

  void OnTarget(absl::string_view piece) override { Extend(target_, piece); }
  void OnFieldName(absl::string_view piece) override { Extend(field_.name, piece); }
  void OnFieldValue(absl::string_view piece) override { Extend(field_.value, piece); }
  void OnFieldEnd() override {
    field_.value = Trim(field_.value);
    fields_.push_back(std::exchange(field_, {}));
  }

 private:
  static void Extend(absl::string_view& text, absl::string_view piece) {
    text = text.empty() ? piece : absl::string_view(text.data(), text.size() + piece.size());
  }

  std::vector<HttpField>& fields_;
  absl::string_view target_;
  HttpField field_;
};

bool HaveNames(const std::vector<HttpField>& fields) {
  return std::all_of(fields.begin(), fields.end(),
                     [](const HttpField& field) { return IsToken(field.name); });
}

/// The rules of one head, which are applied in turn. Each may reject it.
class HeadRules {
 public:
  HeadRules(HttpRequestHead& head, HttpRefusal& refusal) : head_(head), refusal_(refusal) {}

  bool RequestLine(absl::string_view line);
  bool Framing();
  bool Target();
  bool Host();
  bool Connection(size_t max_options);
  bool Expect();

 private:
  bool Refuse(std::string reason, int status = 400) {
    refusal_ = {status, std::move(reason)};
    return false;
  }

  /// Finds the only field of this name; rejects a second one.
  bool FindOnly(absl::string_view name, const HttpField*& found) {
    found = nullptr;
    for (const HttpField& field : head_.fields) {
      if (!absl::EqualsIgnoreCase(field.name, name)) continue;
      if (found != nullptr) return Refuse(absl::StrCat("more than one ", name));
      found = &field;
    }
    return true;
  }

  bool SetAuthority(absl::string_view authority);

  HttpRequestHead& head_;
  HttpRefusal& refusal_;
};

bool HeadRules::RequestLine(absl::string_view line) {
  if (std::count(line.begin(), line.end(), ' ') != 2) {
    return Refuse("the request line isn't method, target and version with one space between");
  }
  const absl::string_view version = line.substr(line.rfind(' ') + 1);
  if (version == "HTTP/1.1" || version == "HTTP/1.0") {
    head_.minor_version = version.back() - '0';
    return true;
  }
  return absl::StartsWith(version, "HTTP/") ? Refuse("not HTTP/1.1 or HTTP/1.0", 505)
                                            : Refuse("no HTTP version in the request line");
}

bool HeadRules::Framing() {
  const HttpField* length = nullptr;
  const HttpField* encoding = nullptr;
  if (!FindOnly("Content-Length", length) || !FindOnly(kEncoding, encoding)) return false;
  if (length != nullptr && encoding != nullptr) {
    return Refuse("Content-Length beside Transfer-Encoding");
  }
  if (length != nullptr) {
    const absl::string_view digits = length->value;
    const bool number = !digits.empty() && std::all_of(digits.begin(), digits.end(), [](char c) {
      return absl::ascii_isdigit(static_cast<unsigned char>(c));
    });
    if (!number || !absl::SimpleAtoi(digits, &head_.content_length)) {
      return Refuse("Content-Length isn't a number");
    }
  }
  if (encoding == nullptr) return true;
  if (head_.minor_version == 0) return Refuse("Transfer-Encoding in HTTP/1.0");
  if (!absl::EqualsIgnoreCase(encoding->value, "chunked")) {
    return Refuse("a Transfer-Encoding other than chunked", 501);
  }
  head_.chunked = true;
  return true;
}

bool HeadRules::SetAuthority(absl::string_view authority) {
  std::optional<std::string> host = HostOf(authority);
  if (!host.has_value())
    return Refuse("the host isn't a name or an address, with or without a port");
  head_.authority = authority;
  head_.host = *std::move(host);
  return true;
}

bool HeadRules::Target() {
  absl::string_view target = head_.target;
  if (absl::StrContains(target, '#')) return Refuse("a fragment in the target");
  if (head_.method == "CONNECT") return SetAuthority(target);
  if (absl::StartsWith(target, "/")) return true;
  if (target == "*") {
    return head_.method == "OPTIONS" || Refuse("the target * of another method than OPTIONS");
  }
  const size_t scheme = target.find("://");
  const absl::string_view name = target.substr(0, scheme == absl::string_view::npos ? 0 : scheme);
  if (!absl::EqualsIgnoreCase(name, "https") && !absl::EqualsIgnoreCase(name, "http")) {
    return Refuse("the target isn't a path");
  }
  target.remove_prefix(scheme + 3);
  return SetAuthority(target.substr(0, target.find_first_of("/?")));
}

bool HeadRules::Host() {
  const HttpField* host = nullptr;
  if (!FindOnly("Host", host)) return false;
  if (host == nullptr) return head_.minor_version == 0 || Refuse("no Host");
  // An authority in the target has priority over Host (RFC 9112 3.2.2). Not every reader implements
  // that, so both must be equal.
  const std::string of_target = head_.host;
  if (!SetAuthority(host->value)) return false;
  return of_target.empty() || of_target == head_.host ||
         Refuse("Host and the target name different hosts");
}

// Fields that a client cannot remove by naming them as options of Connection.
bool IsEndToEnd(absl::string_view option) {
  const std::string folded = FoldedName(option);
  for (const absl::string_view name :
       {"host", "content-length", "transfer-encoding", "cookie", "authorization", "content-type"}) {
    if (folded == name) return true;
  }
  return IsProxyField(folded);
}

bool HeadRules::Connection(size_t max_options) {
  size_t options = 0;  // Includes empty ones (RFC 9110 5.6.1.2).
  for (const HttpField& field : head_.fields) {
    if (!absl::EqualsIgnoreCase(field.name, "Connection")) continue;
    for (const absl::string_view token : absl::StrSplit(field.value, ',')) {
      if (++options > max_options) {
        return Refuse("more options of Connection than the limit of fields", 431);
      }
      std::string option = absl::AsciiStrToLower(Trim(token));
      if (option.empty()) continue;
      if (IsEndToEnd(option)) return Refuse("Connection names a field that isn't its own");
      head_.options.push_back(std::move(option));
    }
  }
  const auto has = [&](absl::string_view option) {
    return std::find(head_.options.begin(), head_.options.end(), option) != head_.options.end();
  };
  head_.keep_alive = head_.minor_version == 0 ? has("keep-alive") && !has("close") : !has("close");
  const HttpField* upgrade = nullptr;
  if (!FindOnly("Upgrade", upgrade)) return false;
  if (upgrade != nullptr && has("upgrade") && head_.minor_version == 1) {
    head_.upgrade = upgrade->value;
  }
  return true;
}

bool HeadRules::Expect() {
  const HttpField* expect = nullptr;
  if (!FindOnly("Expect", expect)) return false;
  if (expect == nullptr) return true;
  if (!absl::EqualsIgnoreCase(expect->value, "100-continue")) {
    return Refuse("an expectation other than 100-continue", 417);
  }
  head_.expects_continue = head_.has_body() && head_.minor_version == 1;
  return true;
}

}  // namespace

bool IsToken(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
           absl::StrContains("!#$%&'*+-.^_`|~", c);
  });
}

std::optional<std::string> HostOf(absl::string_view authority) {
  absl::string_view host = authority;
  const size_t colon = authority.rfind(':');
  if (colon != absl::string_view::npos && !absl::EndsWith(authority, "]")) {
    const absl::string_view digits = authority.substr(colon + 1);
    uint32_t port = 0;
    const bool number =
        !digits.empty() && absl::ascii_isdigit(static_cast<unsigned char>(digits[0]));
    if (!digits.empty() && (!number || !absl::SimpleAtoi(digits, &port) || port > 65535)) {
      return std::nullopt;
    }
    host = authority.substr(0, colon);
  }
  if (Endpoint::ParseIp(absl::StrCat(host, ":1")).ok()) return absl::AsciiStrToLower(host);
  absl::StatusOr<std::string> name = NormalizeServerName(host);
  if (!name.ok()) return std::nullopt;
  return *std::move(name);
}

const HttpField* HttpRequestHead::Find(absl::string_view name) const {
  for (const HttpField& field : fields) {
    if (absl::EqualsIgnoreCase(field.name, name)) return &field;
  }
  return nullptr;
}

absl::string_view HttpRequestHead::path() const {
  absl::string_view path = target;
  const size_t scheme = path.find("://");
  if (!absl::StartsWith(path, "/") && scheme != absl::string_view::npos) {
    path.remove_prefix(std::min(path.size(), path.find_first_of("/?", scheme + 3)));
  }
  path = path.substr(0, path.find('?'));
  return path.empty() ? "/" : path;
}

std::optional<HttpRequestHead> ReadRequestHead(absl::string_view head, const Http1Limits& limits,
                                               HttpRefusal& refusal) {
  HttpRequestHead result;
  HeadRules rules(result, refusal);
  const absl::string_view request_line = head.substr(0, head.find("\r\n"));
  if (!rules.RequestLine(request_line)) return std::nullopt;
  if (HasHighBytes(request_line)) {
    refusal = {400, "bytes above 127 in the request line, which need percent-encoding"};
    return std::nullopt;
  }
  HeadCollector collector(result.fields);
  MessageReader reader;
  reader.BeginRequest();
  const size_t read = reader.Read(head, collector);
  if (reader.state() == MessageReader::State::kFailed || !reader.head_done()) {
    refusal = {reader.unknown_method() ? 501 : 400,
               absl::StrCat("no HTTP request: ", reader.error())};
    return std::nullopt;
  }
  if (read != head.size()) {
    refusal = {400, "the head ends before its empty line"};
    return std::nullopt;
  }
  result.method = reader.method();
  result.target = collector.target();
  if (result.target.size() > limits.target_bytes) {
    refusal = {414, "the target is over the limit"};
    return std::nullopt;
  }
  if (!HaveNames(result.fields)) {
    refusal = {400, "a field's name that is none"};
    return std::nullopt;
  }
  if (result.fields.size() > limits.fields) {
    refusal = {431, "more header fields than the limit"};
    return std::nullopt;
  }
  const bool good = rules.Framing() && rules.Target() && rules.Host() &&
                    rules.Connection(limits.fields) && rules.Expect();
  if (!good) return std::nullopt;
  return result;
}

absl::string_view HttpAnswerHead::Only(absl::string_view name) const {
  const HttpField* found = nullptr;
  for (const HttpField& field : fields) {
    if (!absl::EqualsIgnoreCase(field.name, name)) continue;
    if (found != nullptr) return {};
    found = &field;
  }
  return found == nullptr ? absl::string_view() : found->value;
}

std::string ProblemOfStatusLine(absl::string_view beginning) {
  constexpr absl::string_view kProtocol = "HTTP/";
  constexpr size_t kStatusDigits = 3;
  if (absl::StartsWith(beginning, "\r") || absl::StartsWith(beginning, "\n")) {
    return "it begins with an empty line";
  }
  const absl::string_view protocol = beginning.substr(0, kProtocol.size());
  if (!absl::StartsWith(kProtocol, protocol)) return "it doesn't begin with a status line";
  absl::string_view rest = beginning.substr(protocol.size());
  const absl::string_view version = rest.substr(0, 3);
  if (!absl::StartsWith("1.1", version) && !absl::StartsWith("1.0", version)) {
    return "its version is neither HTTP/1.1 nor HTTP/1.0";
  }
  rest.remove_prefix(version.size());
  if (!absl::StartsWith(rest.empty() ? " " : rest, " ")) return "no space follows its version";
  const absl::string_view status = rest.empty() ? rest : rest.substr(1, kStatusDigits + 1);
  for (size_t i = 0; i < status.size(); ++i) {
    const bool digit = absl::ascii_isdigit(static_cast<unsigned char>(status[i]));
    const bool good = i < kStatusDigits ? digit : status[i] == ' ' || status[i] == '\r';
    if (!good || status[0] == '0') return "its status isn't a number of three digits";
  }
  return "";
}

std::optional<HttpAnswerHead> ReadAnswerHead(absl::string_view head, MessageReader& reader,
                                             std::string& problem) {
  problem = ProblemOfStatusLine(head);
  if (!problem.empty()) return std::nullopt;
  const auto refuse = [&](std::string why) {
    problem = std::move(why);
    return std::nullopt;
  };
  HttpAnswerHead result;
  HeadCollector collector(result.fields);
  const size_t read = reader.Read(head, collector);
  if (reader.state() == MessageReader::State::kFailed) return refuse(reader.error());
  if (!reader.head_done() || read != head.size()) {
    return refuse("its head ends before its empty line");
  }
  if (!HaveNames(result.fields)) return refuse("a field's name that is none");
  const bool encoded = std::any_of(
      result.fields.begin(), result.fields.end(),
      [](const HttpField& field) { return absl::EqualsIgnoreCase(field.name, kEncoding); });
  if (!encoded) return result;
  if (absl::StartsWith(head, "HTTP/1.0")) return refuse("Transfer-Encoding in HTTP/1.0");
  if (!absl::EqualsIgnoreCase(result.Only(kEncoding), "chunked")) {
    return refuse("a Transfer-Encoding other than chunked");
  }
  return result;
}

std::optional<HttpRefusal> CheckTrailers(absl::string_view trailers, const Http1Limits& limits) {
  size_t count = 0;
  for (const absl::string_view line : absl::StrSplit(trailers, "\r\n", absl::SkipEmpty())) {
    if (++count > limits.fields) return HttpRefusal{431, "more trailer fields than the limit"};
    const size_t colon = line.find(':');
    const absl::string_view name = line.substr(0, colon);
    if (colon == absl::string_view::npos || !IsToken(name)) {
      return HttpRefusal{400, "a trailer line that is no field"};
    }
    const std::string lower = FoldedName(name);
    if (IsEndToEnd(lower) || lower == "connection" || lower == "te" || lower == "trailer" ||
        lower == "upgrade" || lower == "expect") {
      return HttpRefusal{400, "a trailer field that belongs into the head"};
    }
  }
  return std::nullopt;
}

HeadScanner::State HeadScanner::Scan(absl::string_view bytes, const Http1Limits& limits,
                                     HttpRefusal& refusal) {
  const auto refuse = [&](int status, absl::string_view reason) {
    refusal = {status, std::string(reason)};
    return State::kRefused;
  };
  for (; scanned_ < bytes.size(); ++scanned_) {
    if (scanned_ >= limits.head_bytes) return refuse(431, "the head is over the limit of bytes");
    const char c = bytes[scanned_];
    if (c == '\n') return refuse(400, "a line that ends in a bare LF");
    if (c == '\r') {
      if (scanned_ + 1 == bytes.size()) return State::kNeedMore;
      if (scanned_ + 1 >= limits.head_bytes)
        return refuse(431, "the head is over the limit of bytes");
      if (bytes[scanned_ + 1] != '\n') return refuse(400, "a bare CR");
      ++scanned_;
      const bool empty_line = scanned_ == line_start_ + 1;
      line_start_ = scanned_ + 1;
      if (!empty_line) continue;
      ++scanned_;
      return State::kComplete;
    }
    if (scanned_ == line_start_ && (c == ' ' || c == '\t')) {
      return refuse(400, "a line that begins with white space");
    }
    if (IsControl(c)) return refuse(400, "a control character in the head");
  }
  return State::kNeedMore;
}

}  // namespace trestle
