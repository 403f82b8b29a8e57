// A reader of HTTP/1.1 that accepts one form only, written apart from the gateway: the reference
// for what a backend and a client must see.
#ifndef TRESTLE_TESTS_INTEGRATIONS_HTTP_STRICT_HTTP_H_
#define TRESTLE_TESTS_INTEGRATIONS_HTTP_STRICT_HTTP_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace trestle {

/// One message that was read.
struct StrictMessage {
  std::string first_line;
  std::vector<std::pair<std::string, std::string>> fields;  // Names in lower case.
  std::string body;
  bool complete = false;

  /// Returns the value of the field; empty without one.
  std::string Value(absl::string_view name) const {
    for (const auto& [known, value] : fields) {
      if (known == name) return value;
    }
    return "";
  }
};

/// Reads messages from all bytes of one direction. Any deviation from the one form is a fault.
class StrictReader {
 public:
  /// `is_answer`: reads responses; `to_head` tells of each whether it is to HEAD.
  explicit StrictReader(bool is_answer) : is_answer_(is_answer) {}

  std::vector<bool> to_head;

  /// Reads the new part of `all`, which begins with the bytes of the last call.
  void Read(absl::string_view all) {
    while (fault_.empty() && at_ < all.size() && ReadMessage(all)) {
    }
  }

  /// Reads the end of the direction, which completes a response without framing.
  void ReadEnd() {
    if (!until_end_) return;
    messages_.back().complete = true;
    until_end_ = false;
  }

  /// Returns the messages whose heads are complete.
  const std::vector<StrictMessage>& messages() const { return messages_; }
  size_t complete() const {
    size_t count = 0;
    for (const StrictMessage& message : messages_) count += message.complete ? 1 : 0;
    return count;
  }
  const std::string& fault() const { return fault_; }

 private:
  static bool IsTokenByte(char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
           absl::string_view("!#$%&'*+-.^_`|~").find(c) != absl::string_view::npos;
  }

  bool Fail(std::string fault) {
    fault_ = std::move(fault);
    return false;
  }

  // Returns false if more bytes are needed, or after a fault.
  bool ReadMessage(absl::string_view all) {
    absl::string_view rest = all.substr(at_);
    if (until_end_) {
      absl::StrAppend(&messages_.back().body, rest);
      at_ = all.size();
      return false;
    }
    const size_t end = rest.find("\r\n\r\n");
    if (end == absl::string_view::npos) return false;
    StrictMessage message;
    if (!ReadHead(rest.substr(0, end), message)) return false;
    rest.remove_prefix(end + 4);
    const size_t before = rest.size();
    if (messages_.size() == begun_) messages_.emplace_back();
    std::optional<bool> complete = ReadBody(message, rest);
    messages_.back() = message;
    if (!complete.has_value()) return false;
    messages_.back().complete = *complete;
    if (!*complete && !until_end_) return false;
    ++begun_;
    at_ += end + 4 + (before - rest.size());
    return !until_end_;
  }

  bool ReadHead(absl::string_view head, StrictMessage& message) {
    for (const char c : head) {
      const bool control =
          absl::ascii_iscntrl(static_cast<unsigned char>(c)) && c != '\r' && c != '\n' && c != '\t';
      if (control) return Fail("a control byte in a head");
    }
    const std::vector<std::string> lines = absl::StrSplit(head, "\r\n");
    for (const std::string& line : lines) {
      if (line.find_first_of("\r\n") != std::string::npos) return Fail("a bare CR or LF");
    }
    message.first_line = lines[0];
    const std::vector<std::string> words = absl::StrSplit(lines[0], ' ');
    const bool good = is_answer_
                          ? words.size() >= 2 && words[0] == "HTTP/1.1" && words[1].size() == 3
                          : words.size() == 3 && words[2] == "HTTP/1.1" && !words[0].empty() &&
                                absl::StartsWith(words[1], "/");
    if (!good && !(words.size() == 3 && words[1] == "*")) {
      return Fail(absl::StrCat("a first line: ", lines[0]));
    }
    for (size_t i = 1; i < lines.size(); ++i) {
      const size_t colon = lines[i].find(':');
      if (colon == std::string::npos || colon == 0) return Fail("a line without a field");
      const std::string name = lines[i].substr(0, colon);
      for (const char c : name) {
        if (!IsTokenByte(c)) return Fail(absl::StrCat("a name: ", name));
      }
      message.fields.emplace_back(absl::AsciiStrToLower(name),
                                  absl::StripAsciiWhitespace(lines[i].substr(colon + 1)));
    }
    return true;
  }

  // Returns whether the body is complete; empty after a fault. Removes it from `rest` then.
  std::optional<bool> ReadBody(StrictMessage& message, absl::string_view& rest) {
    std::vector<std::string> lengths, codings;
    for (const auto& [name, value] : message.fields) {
      // Backends exist that take these for the ones that they resemble.
      std::string folded = name;
      for (char& c : folded) c = c == '_' && !is_answer_ ? '-' : c;
      if (folded == "content-length") lengths.push_back(value);
      if (folded == "transfer-encoding") codings.push_back(value);
    }
    if (lengths.size() + codings.size() > 1) return FailBody("two framings");
    if (HasNoBody(message)) return true;
    if (!codings.empty()) {
      if (codings[0] != "chunked") return FailBody(absl::StrCat("a coding: ", codings[0]));
      return ReadChunks(message, rest);
    }
    if (lengths.empty()) {
      until_end_ = is_answer_;
      if (!until_end_) return true;
      message.body = std::string(rest);
      rest = {};
      return false;
    }
    uint64_t length = 0;
    const bool digits = lengths[0].find_first_not_of("0123456789") == std::string::npos;
    if (!digits || !absl::SimpleAtoi(lengths[0], &length)) return FailBody("a length");
    if (rest.size() < length) return false;
    message.body = std::string(rest.substr(0, length));
    rest.remove_prefix(length);
    return true;
  }

  std::optional<bool> FailBody(std::string fault) {
    Fail(std::move(fault));
    return std::nullopt;
  }

  bool HasNoBody(const StrictMessage& message) const {
    if (!is_answer_) return false;
    const std::string status = message.first_line.substr(9, 3);
    size_t finals = 0;
    for (size_t i = 0; i < begun_; ++i) finals += messages_[i].first_line[9] == '1' ? 0 : 1;
    const bool head = finals < to_head.size() && to_head[finals];
    return head || status[0] == '1' || status == "204" || status == "304";
  }

  std::optional<bool> ReadChunks(StrictMessage& message, absl::string_view& rest) {
    absl::string_view left = rest;
    while (true) {
      const size_t end = left.find("\r\n");
      if (end == absl::string_view::npos) return false;
      const absl::string_view size_text = left.substr(0, end);
      uint64_t size = 0;
      const bool hex =
          size_text.find_first_not_of("0123456789abcdefABCDEF") == absl::string_view::npos;
      if (!hex || !absl::SimpleHexAtoi(size_text, &size)) return FailBody("a chunk's size");
      left.remove_prefix(end + 2);
      if (size == 0) break;
      if (left.size() < size + 2) return false;
      absl::StrAppend(&message.body, left.substr(0, size));
      if (left.substr(size, 2) != "\r\n") return FailBody("a chunk's end");
      left.remove_prefix(size + 2);
    }
    while (true) {
      const size_t end = left.find("\r\n");
      if (end == absl::string_view::npos) return false;
      if (end > 0 && left.substr(0, end).find(':') == absl::string_view::npos) {
        return FailBody("a trailer");
      }
      left.remove_prefix(end + 2);
      if (end == 0) break;
    }
    rest = left;
    return true;
  }

  const bool is_answer_;
  size_t at_ = 0;
  size_t begun_ = 0;  // Messages before the current one.
  bool until_end_ = false;
  std::vector<StrictMessage> messages_;
  std::string fault_;
};

}  // namespace trestle

#endif  // TRESTLE_TESTS_INTEGRATIONS_HTTP_STRICT_HTTP_H_
