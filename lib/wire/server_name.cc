#include "trestle/wire/server_name.h"

#include <array>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace trestle {
namespace {

// Maps each byte to its form in a normal name; 0 for bytes that no name has. One table look-up per
// byte checks and lower-cases in one pass.
constexpr std::array<char, 256> MakeNameBytes() {
  std::array<char, 256> table = {};
  for (int c = 'a'; c <= 'z'; ++c) table[c] = static_cast<char>(c);
  for (int c = 'A'; c <= 'Z'; ++c) table[c] = static_cast<char>(c - 'A' + 'a');
  for (int c = '0'; c <= '9'; ++c) table[c] = static_cast<char>(c);
  table['-'] = '-';
  table['.'] = '.';
  table['_'] = '_';
  return table;
}
constexpr std::array<char, 256> kNameBytes = MakeNameBytes();

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsHexDigit(char c) { return IsDigit(c) || (c >= 'a' && c <= 'f'); }

// Returns whether a resolver could read a name with this last label as an IPv4 address: "1",
// "0x7f".
bool IsNumericLabel(absl::string_view label) {
  const bool hex = absl::StartsWith(label, "0x");
  if (hex) label.remove_prefix(2);
  for (char c : label) {
    if (hex ? !IsHexDigit(c) : !IsDigit(c)) return false;
  }
  return true;
}

// Returns the reason why the byte at `bad` can't be part of `name`.
absl::string_view ReasonForByte(absl::string_view name, size_t bad) {
  const char c = name[bad];
  if (c == '\0') return "a NUL byte";
  if (c == '[') return "an IPv6 literal";
  if (c == ':') {
    return name.find(':', bad + 1) != absl::string_view::npos ? "an IPv6 literal"
                                                              : "a port, or another ':'";
  }
  if (c == '_') return "an underscore, which the rules don't allow";
  if (c == '*') return "a '*'";
  if (static_cast<unsigned char>(c) >= 0x80) return "bytes outside ASCII";
  return "a byte that is not a letter, digit or hyphen";
}

absl::string_view ReasonForLabel(absl::string_view label) {
  if (label.empty()) return "an empty label";
  if (label.size() > kMaxLabelBytes) return "a label of more than 63 bytes";
  if (label.front() == '-' || label.back() == '-')
    return "a label that begins or ends with a hyphen";
  return absl::string_view();
}

// Writes the normal form of `name` (at most `kMaxServerNameBytes` long) to `out`. Returns the
// reason for a rejection; empty if there is none.
absl::string_view Normalize(absl::string_view name, const ServerNameRules& rules, char* out) {
  size_t label_begin = 0;
  for (size_t i = 0; i <= name.size(); ++i) {
    if (i < name.size() && name[i] != '.') {
      const char c = kNameBytes[static_cast<unsigned char>(name[i])];
      if (c == 0 || (c == '_' && !rules.allow_underscore)) return ReasonForByte(name, i);
      out[i] = c;
      continue;
    }
    const absl::string_view reason =
        ReasonForLabel(absl::string_view(out + label_begin, i - label_begin));
    if (!reason.empty()) return reason;
    if (i == name.size()) break;
    out[i] = '.';
    label_begin = i + 1;
  }
  if (IsNumericLabel(absl::string_view(out + label_begin, name.size() - label_begin))) {
    return "an IPv4 literal";
  }
  return absl::string_view();
}

}  // namespace

absl::StatusOr<std::string> NormalizeServerName(absl::string_view name,
                                                const ServerNameRules& rules) {
  const absl::string_view relative = absl::StripSuffix(name, ".");
  char normal[kMaxServerNameBytes];
  absl::string_view reason;
  if (relative.empty()) {
    reason = "an empty name";
  } else if (relative.size() > kMaxServerNameBytes) {
    reason = "a name of more than 253 bytes";
  } else {
    reason = Normalize(relative, rules, normal);
  }
  if (!reason.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("server name refused: ", reason));
  }
  return std::string(normal, relative.size());
}

std::string EscapeForLog(absl::string_view raw, size_t max_bytes) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  for (char c : raw.substr(0, max_bytes)) {
    const unsigned char byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\') {
      text.push_back(c);
    } else {
      text.append({'\\', 'x', kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  if (raw.size() > max_bytes) absl::StrAppend(&text, "…(", raw.size(), " bytes)");
  return text;
}

absl::StatusOr<NamePattern> NamePattern::Parse(absl::string_view text) {
  Kind kind = Kind::kExact;
  absl::string_view base = text;
  if (absl::StartsWith(base, "**.")) {
    kind = Kind::kAnyDepth;
    base.remove_prefix(3);
  } else if (absl::StartsWith(base, "*.")) {
    kind = Kind::kOneLabel;
    base.remove_prefix(2);
  }
  if (absl::StrContains(base, '*')) {
    return absl::InvalidArgumentError(
        absl::StrCat("name pattern \"", EscapeForLog(text),
                     "\" refused: a star may only be the whole left-most label, as in \"*.a.test\" "
                     "or \"**.a.test\""));
  }
  absl::StatusOr<std::string> normal = NormalizeServerName(base);
  if (!normal.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("name pattern \"", EscapeForLog(text), "\": ", normal.status().message()));
  }
  return NamePattern(kind, *std::move(normal));
}

bool NamePattern::Matches(absl::string_view name) const {
  if (kind_ == Kind::kExact) return name == base_;
  if (name.size() < base_.size() + 2 || !absl::EndsWith(name, base_)) return false;
  const absl::string_view left = name.substr(0, name.size() - base_.size());
  if (left.back() != '.') return false;
  return kind_ == Kind::kAnyDepth || left.find('.') == left.size() - 1;
}

std::string NamePattern::ToString() const {
  switch (kind_) {
    case Kind::kExact:
      break;
    case Kind::kOneLabel:
      return absl::StrCat("*.", base_);
    case Kind::kAnyDepth:
      return absl::StrCat("**.", base_);
  }
  return base_;
}

bool VisitCoveringPatterns(absl::string_view name,
                           absl::FunctionRef<bool(NamePattern::Kind, absl::string_view)> visit) {
  if (visit(NamePattern::Kind::kExact, name)) return true;
  bool immediate = true;
  for (size_t dot = name.find('.'); dot != absl::string_view::npos; dot = name.find('.')) {
    name.remove_prefix(dot + 1);
    if (immediate && visit(NamePattern::Kind::kOneLabel, name)) return true;
    immediate = false;
    if (visit(NamePattern::Kind::kAnyDepth, name)) return true;
  }
  return false;
}

}  // namespace trestle
