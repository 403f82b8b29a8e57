// Content routing: selects the backend of a decrypted connection by the first bytes that the client
// sends. A ContentReader interprets the bytes; integrations/ has readers for HTTP.
#ifndef TRESTLE_PROXY_CONTENT_ROUTING_H_
#define TRESTLE_PROXY_CONTENT_ROUTING_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "trestle/base/bytes.h"
#include "trestle/proxy/observer.h"
#include "trestle/proxy/route_table.h"

namespace trestle {

/// A possible destination of a connection.
struct ContentTarget {
  RouteTarget target;
  /// For a bridge: the name to send and to verify for this backend. Empty: the bridge's own;
  /// tls_bridge.h has the order of precedence.
  std::string backend_name;
  std::string route;  ///< For `ConnectionReport::route`.
};

/// A reader's decision on the bytes so far, created by one of the four functions.
class ContentAnswer {
 public:
  /// What the answer asks for.
  enum class Action : uint8_t { kReadMore, kGo, kNoRoute, kRefuse };

  /// Asks for more bytes. If the client has ended its stream, the connection ends with
  /// ErrorCode::kNoRoute.
  static ContentAnswer ReadMore() { return ContentAnswer(Action::kReadMore); }

  /// Sends the connection to `target`, which receives every byte that was read. `target` must not
  /// be null.
  static ContentAnswer Go(std::shared_ptr<const ContentTarget> target) {
    ContentAnswer answer(Action::kGo);
    answer.target_ = std::move(target);
    return answer;
  }

  /// `NoRoute` ends the connection with ErrorCode::kNoRoute. `Refuse` ends it with
  /// ErrorCode::kBlockedByInspector, for bytes that no client may send. `last_words`, if any, are
  /// sent to the client first.
  static ContentAnswer NoRoute(std::string reason, std::string last_words = {}) {
    return Ended(Action::kNoRoute, std::move(reason), std::move(last_words));
  }
  /// Ends the connection: `reason` goes to the observer, `last_words` to the client.
  static ContentAnswer Refuse(std::string reason, std::string last_words = {}) {
    return Ended(Action::kRefuse, std::move(reason), std::move(last_words));
  }

  Action action() const { return action_; }
  const std::shared_ptr<const ContentTarget>& target() const { return target_; }
  const std::string& reason() const { return reason_; }
  const std::string& last_words() const { return last_words_; }

 private:
  explicit ContentAnswer(Action action) : action_(action) {}
  static ContentAnswer Ended(Action action, std::string reason, std::string last_words) {
    ContentAnswer answer(action);
    answer.reason_ = std::move(reason);
    answer.last_words_ = std::move(last_words);
    return answer;
  }

  Action action_;
  std::shared_ptr<const ContentTarget> target_;
  std::string reason_;
  std::string last_words_;
};

/// Reads the first bytes of one connection, on the loop's thread. Must not block or throw.
class ContentReader {
 public:
  virtual ~ContentReader() = default;

  /// Decides on `bytes`: everything that the client has sent so far. The first call has no bytes,
  /// for readers that can decide without any. After ReadMore, the next call has more bytes.
  /// `end_of_stream` is true if the client ended its stream cleanly and nothing follows.
  virtual ContentAnswer Read(ByteView bytes, bool end_of_stream) = 0;
};

/// Creates the reader of one connection. The report has the facts that are known once the front leg
/// is open. Null sends the connection to the block's own backend without reading.
using ContentReaderFactory =
    absl::AnyInvocable<std::unique_ptr<ContentReader>(const ConnectionReport& connection)>;

/// Routing by the client's first bytes of clear text; off without a factory.
struct ContentRouting {
  ContentReaderFactory new_reader = {};  ///< Empty: no content routing.
  /// The maximum number of bytes to read before the choice.
  size_t max_bytes = 64 * 1024;
  /// The total time from the end of the front handshake to the choice, not an idle time.
  absl::Duration timeout = absl::Seconds(10);
};

}  // namespace trestle

#endif  // TRESTLE_PROXY_CONTENT_ROUTING_H_
