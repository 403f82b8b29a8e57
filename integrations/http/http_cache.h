// HttpCache: a shared cache of responses in memory (RFC 9111), for one loop. What is doubtful is
// not stored.
#ifndef TRESTLE_INTEGRATIONS_HTTP_HTTP_CACHE_H_
#define TRESTLE_INTEGRATIONS_HTTP_HTTP_CACHE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "integrations/http/http_exchange.h"
#include "trestle/base/monotonic_time.h"

namespace trestle {

/// A stored response. Immutable: a validation stores a new one.
struct CachedResponse {
  HttpResponse head;
  std::string body;
  /// The request's fields that the response depends on (Vary), with their values.
  std::vector<std::pair<std::string, std::string>> vary;
  MonotonicTime stored;
  absl::Duration age;             ///< When it was stored (Age, Date).
  absl::Duration lifetime;        ///< From its origin (s-maxage, max-age, Expires).
  absl::Duration stale_if_error;  ///< RFC 5861 4.

  bool IsFresh(MonotonicTime now) const { return AgeAt(now) < lifetime; }
  absl::Duration AgeAt(MonotonicTime now) const { return age + (now - stored); }
};

/// Stores complete responses to GET with status 200, 203, 301, 308, 404 or 410 and an explicit
/// lifetime. Never those with Set-Cookie, no-store, private, no-cache or `Vary: *`, nor those to
/// requests with Authorization, a range or no-store. At the limit, the least recently used go.
class HttpCache {
 public:
  /// `max_bytes` bounds bodies, fields and keys. A body takes at most an eighth, and at most 1 MiB.
  explicit HttpCache(size_t max_bytes) : max_bytes_(max_bytes) {}

  /// Returns the key of a request: scheme, authority and the client's target, so that none can be
  /// confused.
  static std::string KeyOf(absl::string_view scheme, absl::string_view authority,
                           absl::string_view target);

  /// Returns whether a request may be answered from a cache.
  static bool MayAnswer(const HttpRequest& request);

  /// Returns whether the client demands a validated response.
  static bool DemandsValidation(const HttpRequest& request);

  /// Returns the response for `request`, fresh or stale; null if there is none.
  std::shared_ptr<const CachedResponse> Find(const std::string& key, const HttpRequest& request);

  /// Returns the response without its body if it may be stored; null otherwise. `now` is the date.
  static std::shared_ptr<CachedResponse> Prepare(const HttpRequest& request,
                                                 const HttpResponse& response, absl::Time now,
                                                 MonotonicTime monotonic_now);

  /// Returns `stored` with the fields of a 304 (RFC 9111 4.3.4); null if it may not be stored.
  static std::shared_ptr<CachedResponse> Refresh(const CachedResponse& stored,
                                                 const HttpRequest& request,
                                                 const HttpResponse& not_modified, absl::Time now,
                                                 MonotonicTime monotonic_now);

  /// Stores a complete response.
  void Store(const std::string& key, std::shared_ptr<const CachedResponse> response);

  /// Removes all responses of `key`, after a request that may have changed it.
  void Invalidate(const std::string& key);

  void Clear();

  /// Returns the maximum size of a body.
  size_t body_bytes() const { return std::min<size_t>(max_bytes_ / 8, 1 << 20); }
  size_t bytes() const { return bytes_; }
  size_t entries() const { return entries_.size(); }

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<const CachedResponse> response;
    size_t bytes;
  };
  using Place = std::list<Entry>::iterator;

  void Remove(Place place);

  const size_t max_bytes_;
  size_t bytes_ = 0;
  std::list<Entry> entries_;  // The most recently used first.
  absl::flat_hash_map<std::string, std::vector<Place>> by_key_;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP_HTTP_CACHE_H_
