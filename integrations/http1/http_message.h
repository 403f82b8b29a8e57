// What a request is, once its head was read: values for guards (a WAF, a router) and for the
// inspector itself; and how a request is refused.
#ifndef TRESTLE_INTEGRATIONS_HTTP1_HTTP_MESSAGE_H_
#define TRESTLE_INTEGRATIONS_HTTP1_HTTP_MESSAGE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace trestle {

class MessageReader;

/// One header field, without the white space around its value.
struct HttpField {
  absl::string_view name;
  absl::string_view value;
};

/// A request's head, valid by RFC 9112 and without anything that two readers could take
/// differently. The texts are views of the bytes that were read.
struct HttpRequestHead {
  absl::string_view method;
  absl::string_view target;  ///< As it stands in the request line: "/path?query", in most cases.
  int minor_version = 1;     ///< Of HTTP/1.x.
  std::vector<HttpField> fields;
  std::string host;  ///< Host or the target's authority, in lower case, without port; may be empty.
  absl::string_view authority;  ///< The same as it was sent, with the port.

  /// What follows: so many bytes, or chunks.
  uint64_t content_length = 0;
  bool chunked = false;
  bool has_body() const { return chunked || content_length > 0; }

  bool keep_alive = true;            ///< The connection may carry another request after this one.
  bool expects_continue = false;     ///< The body comes only once the backend asked for it.
  absl::string_view upgrade;         ///< The protocol that the connection is to change to, if any.
  std::vector<std::string> options;  ///< The tokens of Connection, in lower case.

  /// The first field of this name, in any case; null where there is none.
  const HttpField* Find(absl::string_view name) const;

  /// The target's path: "/", where it has none.
  absl::string_view path() const;
};

/// Tells whether `text` is a token (RFC 9110 5.6.2), as names of fields and of protocols are.
bool IsToken(absl::string_view text);

/// Reads "name", "name:port" or the same with an address: the name in its normal form, or the
/// address (IPv6 in brackets). Empty where it is neither.
std::optional<std::string> HostOf(absl::string_view authority);

/// Why a request isn't passed on, and what the client is told.
struct HttpRefusal {
  int status = 400;
  std::string reason;  ///< For the observer; the client is told the status only.
};

/// Bounds of a request's head. What is over them is refused with 431, or 414 (the target).
struct Http1Limits {
  /// First line and fields together; trailers once more. Also the bound of an answer's head.
  size_t head_bytes = 32 * 1024;
  size_t target_bytes = 8 * 1024;
  size_t fields = 100;  ///< Also of the names that the Connection fields list.
};

/// Reads a whole head, which ends in an empty line. Refuses all that readers disagree about: bare
/// CR and LF, folded lines, space before a colon, control characters, more than one Content-Length
/// or Host, Transfer-Encoding beside Content-Length or other than "chunked" (RFC
/// 9112 5.1, 5.2, 6.1, 6.3, 3.2), and options of Connection that would make the backend lose fields
/// it relies on. `refusal` is set where the result is empty.
std::optional<HttpRequestHead> ReadRequestHead(absl::string_view head, const Http1Limits& limits,
                                               HttpRefusal& refusal);

/// An answer's head, valid by RFC 9112. The texts are views of the bytes that were read.
struct HttpAnswerHead {
  std::vector<HttpField> fields;

  /// The value of the only field of this name, in any case; empty where there is none, or several.
  absl::string_view Only(absl::string_view name) const;
};

/// Judges the beginning of an answer, of which any part may have come: what is no status line of
/// HTTP/1.1 or HTTP/1.0 needs no waiting for its end. Empty where nothing is wrong so far.
std::string ProblemOfStatusLine(absl::string_view beginning);

/// Reads a whole answer's head, which ends in an empty line, with `reader`, which was told what
/// request it answers and goes on with the body. Refuses what readers disagree about: a status that
/// isn't three digits, Transfer-Encoding in HTTP/1.0, twice or other than "chunked", and framing
/// that llhttp refuses (RFC 9112 4, 6.1, 6.3). `problem` is set where the result is empty.
std::optional<HttpAnswerHead> ReadAnswerHead(absl::string_view head, MessageReader& reader,
                                             std::string& problem);

/// Judges a trailer section, which ends in an empty line: by the same rules, and without fields
/// that would mean something in a head (RFC 9110 6.5.1).
std::optional<HttpRefusal> CheckTrailers(absl::string_view trailers, const Http1Limits& limits);

/// Finds the end of a head, or of a trailer section, and refuses what no line of one may hold.
class HeadScanner {
 public:
  enum class State : uint8_t { kNeedMore, kComplete, kRefused };

  /// Looks at what is new in `bytes`, which begin like the last time. `refusal` is set on kRefused.
  State Scan(absl::string_view bytes, const Http1Limits& limits, HttpRefusal& refusal);

  /// How many bytes were found good: all of the head with its empty line, once complete.
  size_t scanned() const { return scanned_; }

 private:
  size_t scanned_ = 0;
  size_t line_start_ = 0;
};

/// Makes the whole answer to a refused request. The connection ends after it.
std::string RefusalPage(int status, bool head_request);

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP1_HTTP_MESSAGE_H_
