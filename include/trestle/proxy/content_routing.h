// Content routing: a decrypted connection's backend is chosen by the first bytes that the client
// sends, instead of before. What the bytes mean is the reader's business: HTTP's is in
// integrations/.
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

/// Where a connection may go.
struct ContentTarget {
  RouteTarget target;
  /// Behind a bridge: the name that the backend's certificate must be for. Empty: the bridge's own.
  std::string backend_name;
  std::string route;  ///< For `ConnectionReport::route`.
};

/// What a reader makes of the bytes so far. Made by one of the four functions.
class ContentAnswer {
 public:
  enum class Action : uint8_t { kReadMore, kGo, kNoRoute, kRefuse };

  /// More bytes are needed. Where no more can come, the connection ends with ErrorCode::kNoRoute.
  static ContentAnswer ReadMore() { return ContentAnswer(Action::kReadMore); }

  /// The connection goes to `target`, which gets every byte that was read. Never null.
  static ContentAnswer Go(std::shared_ptr<const ContentTarget> target) {
    ContentAnswer answer(Action::kGo);
    answer.target_ = std::move(target);
    return answer;
  }

  /// Ends the connection with ErrorCode::kNoRoute, or, for bytes that nobody may send, with
  /// ErrorCode::kBlockedByInspector. `last_words`, if any, are sent to the client before.
  static ContentAnswer NoRoute(std::string reason, std::string last_words = {}) {
    return Ended(Action::kNoRoute, std::move(reason), std::move(last_words));
  }
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

/// Reads one connection's first bytes, on the loop's thread. Must not throw.
class ContentReader {
 public:
  virtual ~ContentReader() = default;

  /// Judges `bytes`, all that the client sent so far. Called with none at first, for readers that
  /// can tell without waiting for any, and again with more after ReadMore.
  /// `end_of_stream`: the client ended cleanly and nothing follows.
  virtual ContentAnswer Read(ByteView bytes, bool end_of_stream) = 0;
};

/// Makes the reader of one connection, of which the report tells what is known when the front leg
/// is open; null to go to the block's own backend without reading.
using ContentReaderFactory =
    absl::AnyInvocable<std::unique_ptr<ContentReader>(const ConnectionReport& connection)>;

struct ContentRouting {
  ContentReaderFactory new_reader = {};  ///< Empty: no content routing.
  /// The most that is read before the choice.
  size_t max_bytes = 64 * 1024;
  /// From the end of the front handshake to the choice: a total, not an idle time.
  absl::Duration timeout = absl::Seconds(10);
};

}  // namespace trestle

#endif  // TRESTLE_PROXY_CONTENT_ROUTING_H_
