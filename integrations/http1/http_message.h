// HTTP/1.1 messages: parsed heads for the gateway and for guards (a WAF), and rejections.
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

/// A request's head, valid by RFC 9112 and unambiguous for all readers. The views refer to the
/// bytes that were read.
struct HttpRequestHead {
  absl::string_view method;
  absl::string_view target;  ///< As in the request line: usually "/path?query".
  int minor_version = 1;     ///< Of HTTP/1.x.
  std::vector<HttpField> fields;
  std::string host;  ///< Host or the target's authority, in lower case, without port; may be empty.
  absl::string_view authority;  ///< `host` as sent, with the port.

  /// The body: its size, or chunks.
  uint64_t content_length = 0;
  bool chunked = false;
  bool has_body() const { return chunked || content_length > 0; }

  bool keep_alive = true;  ///< The connection may carry another request after this one.
  bool expects_continue =
      false;                  ///< The client waits for the backend's 100 before it sends the body.
  absl::string_view upgrade;  ///< The requested protocol (Upgrade), if any.
  std::vector<std::string> options;  ///< The tokens of Connection, in lower case.

  /// Returns the first field of this name, ignoring case; null if there is none.
  const HttpField* Find(absl::string_view name) const;

  /// Returns the target's path; "/" if it has none.
  absl::string_view path() const;
};

/// Returns whether `text` is a token (RFC 9110 5.6.2), the form of field and protocol names.
bool IsToken(absl::string_view text);

/// Parses "name", "name:port" or an address with or without a port. Returns the normalised name or
/// the address (IPv6 in brackets); empty if it is neither.
std::optional<std::string> HostOf(absl::string_view authority);

/// The reason for a rejection, and the status for the client.
struct HttpRefusal {
  int status = 400;
  std::string reason;  ///< For the observer; the client gets the status only.
};

/// Limits of a request's head. Larger heads are rejected with 431, longer targets with 414.
struct Http1Limits {
  /// Request line and fields together. Also applies to trailers separately, and to a response's
  /// head.
  size_t head_bytes = 32 * 1024;
  size_t target_bytes = 8 * 1024;
  size_t fields = 100;  ///< Number of fields. Also of names in the Connection fields.
};

/// Parses a complete head, which ends in an empty line. Rejects everything that readers interpret
/// differently: bare CR and LF, folded lines, space before a colon, and control characters. Also
/// rejects more than one Content-Length or Host, and Transfer-Encoding with Content-Length or other
/// than "chunked" (RFC 9112 5.1, 5.2, 6.1, 6.3, 3.2). Also rejects Connection options that would
/// make the backend drop fields it relies on. Sets `refusal` if the result is empty.
std::optional<HttpRequestHead> ReadRequestHead(absl::string_view head, const Http1Limits& limits,
                                               HttpRefusal& refusal);

/// A response's head, valid by RFC 9112. The views refer to the bytes that were read.
struct HttpAnswerHead {
  std::vector<HttpField> fields;

  /// Returns the value of the only field of this name, ignoring case. Empty if there is none, or
  /// more than one.
  absl::string_view Only(absl::string_view name) const;
};

/// Checks the beginning of a response, of any length. It detects bytes that cannot be a status line
/// of HTTP/1.1 or HTTP/1.0 before the line is complete. Empty if there is no problem so far.
std::string ProblemOfStatusLine(absl::string_view beginning);

/// Parses a response's complete head, which ends in an empty line, with `reader`. `BeginAnswer`
/// must have been called on the reader. Rejects everything that readers interpret differently: a
/// status that is not three digits, and Transfer-Encoding in HTTP/1.0, twice, or other than
/// "chunked". Also rejects framing that llhttp rejects (RFC 9112 4, 6.1, 6.3). Sets `problem` if
/// the result is empty.
std::optional<HttpAnswerHead> ReadAnswerHead(absl::string_view head, MessageReader& reader,
                                             std::string& problem);

/// Checks a trailer section, which ends in an empty line, by the same rules as a head. Also rejects
/// fields that have a meaning in a head (RFC 9110 6.5.1).
std::optional<HttpRefusal> CheckTrailers(absl::string_view trailers, const Http1Limits& limits);

/// Finds the end of a head or trailer section, and rejects bytes that are invalid in any line of
/// it.
class HeadScanner {
 public:
  enum class State : uint8_t { kNeedMore, kComplete, kRefused };

  /// Scans the new part of `bytes`, which must begin with the bytes of the previous call. Sets
  /// `refusal` on kRefused.
  State Scan(absl::string_view bytes, const Http1Limits& limits, HttpRefusal& refusal);

  /// Returns the number of valid bytes. Once complete, that is the whole head with its empty line.
  size_t scanned() const { return scanned_; }

 private:
  size_t scanned_ = 0;
  size_t line_start_ = 0;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP1_HTTP_MESSAGE_H_
