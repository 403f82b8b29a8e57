// Server names: one normal form, one set of rules for what is refused, and one way to match.
//
// Certificates and routes are looked up through this file alone, so that the name that chose the
// route and the name that chooses the certificate can't be read in two ways.
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

/// What a server name may hold beside letters, digits, hyphens and dots. The default holds for SNI,
/// routes, certificates and HTTP hosts alike: a name that one of them takes, all of them take.
struct ServerNameRules {
  /// Allows '_' anywhere in a label: internal DNS names have it, host names don't (RFC 952).
  bool allow_underscore = true;
};

/// Brings `name` into the form that every comparison uses: ASCII lower case (RFC 4343), without the
/// one trailing dot that an absolute DNS name may have.
///
/// Refuses, with kInvalidArgument and the reason as the message (it holds no bytes of `name`): the
/// empty name, more than `kMaxServerNameBytes`, empty labels and labels over `kMaxLabelBytes`,
/// labels that begin or end with a hyphen, bytes that `rules` don't allow (NUL, UTF-8 and ports
/// among them), and IP literals (RFC 6066 3): whatever ends in a numeric label is taken for
/// IPv4. A-labels ("xn--…") pass as they are, since SNI carries nothing else.
absl::StatusOr<std::string> NormalizeServerName(absl::string_view name,
                                                const ServerNameRules& rules = {});

/// Makes bytes from the network fit for a log line: printable ASCII stays, '"', '\' and all else
/// become "\xNN". What is over `max_bytes` input bytes is cut and its length told: "aaa…(300
/// bytes)".
std::string EscapeForLog(absl::string_view raw, size_t max_bytes = 64);

/// A name as it is written in a route table or a certificate:
///   "a.test"        that name only;
///   "*.wild.test"   exactly one label before the base (RFC 9525 6.3);
///   "**.wild.test"  one label or more before the base (routes only; no certificate has it).
/// No pattern matches its own base: "*.wild.test" and "**.wild.test" don't match "wild.test".
class NamePattern {
 public:
  enum class Kind : uint8_t { kExact, kOneLabel, kAnyDepth };
  /// How many kinds there are, for tables by kind.
  static constexpr size_t kKinds = static_cast<size_t>(Kind::kAnyDepth) + 1;

  /// Reads a pattern and normalises its base as `NormalizeServerName` does. A star anywhere else
  /// ("w*.test", "a.*.test", "*") is refused with kInvalidArgument and a reason.
  static absl::StatusOr<NamePattern> Parse(absl::string_view text);

  Kind kind() const { return kind_; }

  /// The name without its "*." or "**.".
  const std::string& base() const { return base_; }

  /// Tells whether the pattern covers `name`, which must be in the normal form.
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

/// Calls `visit` with each pattern (kind, base) that could cover `name`, the most specific first:
/// the exact name, then per parent from the longest to the shortest "*." (immediate parent only)
/// before "**.". Stops at the first `true` and returns whether there was one. A table that looks
/// up each of these keys in a hash map has Trestle's matching rules: cost grows with the labels of
/// `name` (at most 127), never with the table. `name` must be in the normal form.
bool VisitCoveringPatterns(absl::string_view name,
                           absl::FunctionRef<bool(NamePattern::Kind, absl::string_view)> visit);

}  // namespace trestle

#endif  // TRESTLE_WIRE_SERVER_NAME_H_
