// Server names: one normal form, one set of rules for rejection, and one way to match.
//
// All look-ups of certificates and routes use this file, so that both read a name in the same way.
#ifndef TRESTLE_WIRE_SERVER_NAME_H_
#define TRESTLE_WIRE_SERVER_NAME_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace trestle {

/// The longest name, in bytes, without the trailing dot (RFC 1035 3.1).
inline constexpr size_t kMaxServerNameBytes = 253;

/// The longest label of a name, in bytes (RFC 1035 2.3.4).
inline constexpr size_t kMaxLabelBytes = 63;

/// The characters that a server name may have beside letters, digits, hyphens and dots. SNI,
/// routes, certificates and HTTP hosts use the same default: a name that one accepts, all accept.
struct ServerNameRules {
  /// Allows '_' anywhere in a label. Internal DNS names have it; host names don't (RFC 952).
  bool allow_underscore = true;
};

/// Returns `name` in the form that every comparison uses: ASCII lower case (RFC 4343). The single
/// trailing dot of an absolute DNS name is removed.
///
/// Rejects these with kInvalidArgument and the reason as the message, which has no bytes of `name`:
///  - the empty name, and a name over `kMaxServerNameBytes`;
///  - empty labels, and labels over `kMaxLabelBytes`;
///  - labels that begin or end with a hyphen;
///  - bytes that `rules` don't allow, such as NUL, UTF-8 and the colon before a port;
///  - IP literals (RFC 6066 3); a name whose last label is a number ("1", "0x7f") counts as IPv4.
/// Leaves A-labels ("xn--…") as they are, since SNI carries no other form.
absl::StatusOr<std::string> NormalizeServerName(absl::string_view name,
                                                const ServerNameRules& rules = {});

/// Escapes bytes from the network for a log line. Printable ASCII stays; '"', '\' and all other
/// bytes become "\xNN". Input over `max_bytes` is cut, and its length is appended: "aaa…(300
/// bytes)".
std::string EscapeForLog(absl::string_view raw, size_t max_bytes = 64);

/// A name pattern of a route table or a certificate:
///   "a.test"        that name only;
///   "*.wild.test"   exactly one label before the base (RFC 9525 6.3);
///   "**.wild.test"  one or more labels before the base (routes only; not in certificates).
/// No pattern matches its own base: "*.wild.test" and "**.wild.test" don't match "wild.test".
class NamePattern {
 public:
  /// The kinds of pattern.
  enum class Kind : uint8_t { kExact, kOneLabel, kAnyDepth };
  /// The number of kinds, for tables by kind.
  static constexpr size_t kKinds = static_cast<size_t>(Kind::kAnyDepth) + 1;

  /// Reads a pattern and normalises its base as `NormalizeServerName` does. Rejects a star anywhere
  /// else ("w*.test", "a.*.test", "*") with kInvalidArgument and a reason.
  static absl::StatusOr<NamePattern> Parse(absl::string_view text);

  Kind kind() const { return kind_; }

  /// The name without its "*." or "**.".
  const std::string& base() const { return base_; }

  /// Returns whether the pattern covers `name`, which must be in the normal form.
  bool Matches(absl::string_view name) const;

  /// Writes the pattern in its normal form: "*.wild.test".
  std::string ToString() const;

  friend bool operator==(const NamePattern& a, const NamePattern& b) {
    return a.kind_ == b.kind_ && a.base_ == b.base_;
  }
  friend bool operator!=(const NamePattern& a, const NamePattern& b) { return !(a == b); }

 private:
  NamePattern(Kind kind, std::string base) : kind_(kind), base_(std::move(base)) {}

  Kind kind_;
  std::string base_;
};

/// Calls `visit` with each pattern (kind, base) that could cover `name`, the most specific first.
/// The order is: the exact name; "*." with the immediate parent; then "**." with each parent, from
/// the longest to the shortest. Stops at the first `true` and returns whether there was one.
///
/// A table that looks up each of these keys in a hash map has Trestle's matching rules. The cost
/// grows with the labels of `name` (at most 127), not with the table. `name` must be in the normal
/// form.
bool VisitCoveringPatterns(absl::string_view name,
                           absl::FunctionRef<bool(NamePattern::Kind, absl::string_view)> visit);

}  // namespace trestle

#endif  // TRESTLE_WIRE_SERVER_NAME_H_
