#include "integrations/http/http_cache.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace trestle {
namespace {

constexpr size_t kEntryOverhead = 256;
constexpr size_t kMaxVariants = 16;  // Of one key.

bool IsStorableStatus(int status) {
  for (const int storable : {200, 203, 301, 308, 404, 410}) {
    if (status == storable) return true;
  }
  return false;
}

bool Has(const HttpFields& fields, absl::string_view directive) {
  return HasToken(fields.Joined("cache-control"), directive);
}

// Returns the seconds of a directive such as "max-age"; empty without one, or with a bad one.
std::optional<absl::Duration> SecondsOf(const HttpFields& fields, absl::string_view directive) {
  std::optional<absl::Duration> found;
  const std::string list = fields.Joined("cache-control");
  for (absl::string_view item : absl::StrSplit(list, ',')) {
    const std::string lower = absl::AsciiStrToLower(absl::StripAsciiWhitespace(item));
    item = lower;
    if (!absl::ConsumePrefix(&item, directive) || !absl::ConsumePrefix(&item, "=")) continue;
    uint32_t seconds = 0;
    if (found.has_value() || !absl::SimpleAtoi(item, &seconds)) return std::nullopt;
    found = absl::Seconds(seconds);
  }
  return found;
}

std::optional<absl::Time> DateOf(const HttpFields& fields, absl::string_view name) {
  const std::string* const text = fields.Find(name);
  absl::Time date;
  if (text == nullptr || !absl::ParseTime("%a, %d %b %Y %H:%M:%S GMT", *text, &date, nullptr)) {
    return std::nullopt;
  }
  return date;
}

std::optional<absl::Duration> LifetimeOf(const HttpFields& fields) {
  if (const auto shared = SecondsOf(fields, "s-maxage")) return shared;
  if (const auto own = SecondsOf(fields, "max-age")) return own;
  const std::optional<absl::Time> expires = DateOf(fields, "expires");
  const std::optional<absl::Time> date = DateOf(fields, "date");
  if (!expires.has_value() || !date.has_value()) return std::nullopt;
  return *expires - *date;
}

absl::Duration AgeOf(const HttpFields& fields, absl::Time now) {
  absl::Duration age = absl::ZeroDuration();
  uint32_t seconds = 0;
  const std::string* const age_field = fields.Find("age");
  if (age_field != nullptr && absl::SimpleAtoi(*age_field, &seconds)) age = absl::Seconds(seconds);
  const std::optional<absl::Time> date = DateOf(fields, "date");
  return date.has_value() ? std::max(age, now - *date) : age;
}

bool Matches(const CachedResponse& response, const HttpRequest& request) {
  return std::all_of(response.vary.begin(), response.vary.end(), [&](const auto& field) {
    return request.fields.Joined(field.first) == field.second;
  });
}

size_t BytesOf(const std::string& key, const CachedResponse& response) {
  size_t bytes = kEntryOverhead + 2 * key.size() + response.body.size();
  for (const HttpFields::Field& field : response.head.fields) {
    bytes += kEntryOverhead / 4 + field.name.size() + field.value.size();
  }
  for (const auto& [name, value] : response.vary) bytes += name.size() + value.size();
  return bytes;
}

}  // namespace

std::string HttpCache::KeyOf(absl::string_view scheme, absl::string_view authority,
                             absl::string_view target) {
  // None of the parts has a space.
  return absl::StrCat(scheme, " ", absl::AsciiStrToLower(authority), " ", target);
}

bool HttpCache::MayAnswer(const HttpRequest& request) {
  const bool reads = request.method == "GET" || request.method == "HEAD";
  if (!reads || request.has_body || !request.protocol.empty()) return false;
  for (const absl::string_view own :
       {"authorization", "range", "if-range", "if-match", "if-unmodified-since"}) {
    if (request.fields.Find(own) != nullptr) return false;
  }
  return !Has(request.fields, "no-store");
}

bool HttpCache::DemandsValidation(const HttpRequest& request) {
  if (Has(request.fields, "no-cache") || SecondsOf(request.fields, "max-age").has_value()) {
    return true;
  }
  const std::string* const pragma = request.fields.Find("pragma");
  return pragma != nullptr && HasToken(*pragma, "no-cache");
}

std::shared_ptr<const CachedResponse> HttpCache::Find(const std::string& key,
                                                      const HttpRequest& request) {
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return nullptr;
  for (const Place place : found->second) {
    if (!Matches(*place->response, request)) continue;
    entries_.splice(entries_.begin(), entries_, place);
    return place->response;
  }
  return nullptr;
}

std::shared_ptr<CachedResponse> HttpCache::Prepare(const HttpRequest& request,
                                                   const HttpResponse& response, absl::Time now,
                                                   MonotonicTime monotonic_now) {
  const HttpFields& fields = response.fields;
  if (request.method != "GET" || !IsStorableStatus(response.status)) return nullptr;
  if (fields.Find("set-cookie") != nullptr || fields.Find("content-range") != nullptr)
    return nullptr;
  // "private" and "no-cache" may have arguments.
  const std::string control = absl::AsciiStrToLower(fields.Joined("cache-control"));
  for (const absl::string_view never : {"no-store", "private", "no-cache"}) {
    if (absl::StrContains(control, never)) return nullptr;
  }
  // A cookie makes it likely that the response is for one user.
  const bool shared = Has(fields, "public") || SecondsOf(fields, "s-maxage").has_value();
  if (request.fields.Find("cookie") != nullptr && !shared) return nullptr;
  const std::optional<absl::Duration> lifetime = LifetimeOf(fields);
  if (!lifetime.has_value() || *lifetime <= absl::ZeroDuration()) return nullptr;
  auto stored = std::make_shared<CachedResponse>();
  for (absl::string_view name :
       absl::StrSplit(fields.Joined("vary"), ',', absl::SkipWhitespace())) {
    const std::string lower = absl::AsciiStrToLower(absl::StripAsciiWhitespace(name));
    if (lower == "*") return nullptr;
    stored->vary.emplace_back(lower, request.fields.Joined(lower));
  }
  stored->head = response;
  stored->head.fields.Remove("age");
  stored->stored = monotonic_now;
  stored->age = AgeOf(fields, now);
  stored->lifetime = *lifetime;
  const bool strict = Has(fields, "must-revalidate") || Has(fields, "proxy-revalidate") ||
                      SecondsOf(fields, "s-maxage").has_value();
  stored->stale_if_error = strict
                               ? absl::ZeroDuration()
                               : SecondsOf(fields, "stale-if-error").value_or(absl::ZeroDuration());
  return stored;
}

std::shared_ptr<CachedResponse> HttpCache::Refresh(const CachedResponse& stored,
                                                   const HttpRequest& request,
                                                   const HttpResponse& not_modified, absl::Time now,
                                                   MonotonicTime monotonic_now) {
  HttpResponse head = stored.head;
  for (const HttpFields::Field& field : not_modified.fields) head.fields.Remove(field.name);
  for (const HttpFields::Field& field : not_modified.fields) {
    head.fields.Add(field.name, field.value);
  }
  std::shared_ptr<CachedResponse> refreshed = Prepare(request, head, now, monotonic_now);
  if (refreshed != nullptr) refreshed->body = stored.body;
  return refreshed;
}

void HttpCache::Store(const std::string& key, std::shared_ptr<const CachedResponse> response) {
  const size_t bytes = BytesOf(key, *response);
  if (bytes > max_bytes_) return Invalidate(key);
  std::vector<Place>& places = by_key_[key];
  const auto same = std::find_if(places.begin(), places.end(), [&](const Place& place) {
    return place->response->vary == response->vary;
  });
  if (same != places.end()) {
    Remove(*same);
  } else if (places.size() >= kMaxVariants) {
    Remove(places.front());
  }
  while (bytes_ + bytes > max_bytes_) Remove(std::prev(entries_.end()));
  entries_.push_front({key, std::move(response), bytes});
  bytes_ += bytes;
  by_key_[key].push_back(entries_.begin());
}

void HttpCache::Invalidate(const std::string& key) {
  while (true) {
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) return;
    if (found->second.empty()) {
      by_key_.erase(found);
      return;
    }
    Remove(found->second.back());
  }
}

void HttpCache::Clear() {
  by_key_.clear();
  entries_.clear();
  bytes_ = 0;
}

void HttpCache::Remove(Place place) {
  const auto found = by_key_.find(place->key);
  std::vector<Place>& places = found->second;
  places.erase(std::find(places.begin(), places.end(), place));
  if (places.empty()) by_key_.erase(found);
  bytes_ -= place->bytes;
  entries_.erase(place);
}

}  // namespace trestle
