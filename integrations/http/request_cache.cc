// What a RequestExchange does with the gateway's cache.

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "integrations/http/front_connection.h"
#include "integrations/http/gateway_core.h"
#include "integrations/http/http_cache.h"
#include "integrations/http/request_exchange.h"

namespace trestle {
namespace {

bool IsSafe(absl::string_view method) {
  return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "TRACE";
}

// Returns whether If-None-Match covers `etag`, by weak comparison (RFC 9110 13.1.2).
bool Covers(const std::string& condition, absl::string_view etag) {
  if (condition == "*") return true;
  absl::ConsumePrefix(&etag, "W/");
  for (absl::string_view item : absl::StrSplit(condition, ',')) {
    item = absl::StripAsciiWhitespace(item);
    absl::ConsumePrefix(&item, "W/");
    if (!etag.empty() && item == etag) return true;
  }
  return false;
}

bool IsUnchanged(const HttpFields& conditions, const HttpResponse& head) {
  const std::string* const etag = head.fields.Find("etag");
  if (const std::string* const none_match = conditions.Find("if-none-match")) {
    return etag != nullptr && Covers(*none_match, *etag);
  }
  const std::string* const since = conditions.Find("if-modified-since");
  const std::string* const modified = head.fields.Find("last-modified");
  return since != nullptr && modified != nullptr && *since == *modified;
}

}  // namespace

// Returns whether the cache answers, or the request waits for another one's fetch.
bool RequestExchange::AskCache() {
  const TlsInfo* const tls = connection_->report().front.tls.get();
  // What a backend tells one certificate is not for others.
  if (core_.cache == nullptr || (tls != nullptr && tls->peer_identity != nullptr)) return false;
  cache_key_ =
      HttpCache::KeyOf(tls != nullptr ? "https" : "http", request_.authority, report_.target);
  if (!route_->is_only_one() || !HttpCache::MayAnswer(request_)) return false;
  stored_ = core_.cache->Find(cache_key_, request_);
  const bool demands = HttpCache::DemandsValidation(request_);
  if (stored_ != nullptr && !demands && stored_->IsFresh(core_.scheduler.MonotonicNow())) {
    ServeCached(*stored_);
    return true;
  }
  if (request_.method != "GET") return false;
  const auto [fetch, first] = core_.fetches.try_emplace(cache_key_);
  if (first) {
    leads_fetch_ = true;
  } else if (!demands && !std::exchange(waited_, true)) {
    waits_for_fetch_ = true;
    fetch->second.push_back(this);
    return true;
  }
  if (stored_ != nullptr) AddValidators();
  fetches_ = true;
  return false;
}

void RequestExchange::AddValidators() {
  const std::string* const etag = stored_->head.fields.Find("etag");
  const std::string* const modified = stored_->head.fields.Find("last-modified");
  if (etag == nullptr && modified == nullptr) return;
  for (const char* const name : {"if-none-match", "if-modified-since"}) {
    if (const std::string* const value = request_.fields.Find(name)) conditions_.Add(name, *value);
    request_.fields.Remove(name);
  }
  if (etag != nullptr) request_.fields.Add("if-none-match", *etag);
  if (modified != nullptr) request_.fields.Add("if-modified-since", *modified);
  validates_ = true;
}

void RequestExchange::ServeCached(const CachedResponse& cached) {
  report_.cached = true;
  HttpResponse response = cached.head;
  const absl::Duration age = cached.AgeAt(core_.scheduler.MonotonicNow());
  response.fields.Set("age", absl::StrCat(std::max<int64_t>(0, absl::ToInt64Seconds(age))));
  response.fields.Add("cache-status", "trestle; hit");
  response.content_length = cached.body.size();
  const bool unchanged = IsUnchanged(validates_ ? conditions_ : request_.fields, response);
  if (unchanged) {
    response.status = 304;
    response.content_length.reset();
  }
  if (!unchanged && !to_head_) response_body.Append(cached.body);
  response_body.End();
  own_page_ = true;
  SendResponse(std::move(response));
}

// Returns whether a cached response is sent instead of the backend's.
bool RequestExchange::TakeFromCache(const HttpResponse& response) {
  if (core_.cache == nullptr || cache_key_.empty()) return false;
  if (!IsSafe(request_.method) && response.status < 400) core_.cache->Invalidate(cache_key_);
  if (!fetches_) return false;
  const absl::Time now = core_.scheduler.Now();
  const MonotonicTime monotonic_now = core_.scheduler.MonotonicNow();
  if (validates_ && response.status == 304) {
    std::shared_ptr<CachedResponse> refreshed =
        HttpCache::Refresh(*stored_, request_, response, now, monotonic_now);
    if (refreshed != nullptr) core_.cache->Store(cache_key_, refreshed);
    const std::shared_ptr<const CachedResponse> served = refreshed != nullptr ? refreshed : stored_;
    EndFetch();
    ServeCached(*served);
    return true;
  }
  if (response.status >= 500 && ServeStale()) return true;
  to_store_ = HttpCache::Prepare(request_, response, now, monotonic_now);
  if (to_store_ == nullptr) EndFetch();
  return false;
}

// Serves a stale response instead of an error, if it allows that (RFC 5861 4).
bool RequestExchange::ServeStale() {
  if (stored_ == nullptr || !fetches_ || state_ == State::kResponding) return false;
  const MonotonicTime now = core_.scheduler.MonotonicNow();
  if (stored_->AgeAt(now) >= stored_->lifetime + stored_->stale_if_error) return false;
  DropBack();
  ServeCached(*stored_);
  return true;
}

// Copies the bytes that the back codec has just put into `response_body`.
void RequestExchange::KeepForCache() {
  if (to_store_ == nullptr) return;
  const size_t fresh = static_cast<size_t>(response_body.passed() - to_store_->body.size());
  const absl::string_view view = response_body.view();
  to_store_->body.append(std::string(view.substr(view.size() - std::min(view.size(), fresh))));
  if (to_store_->body.size() != response_body.passed() ||
      to_store_->body.size() > core_.cache->body_bytes()) {
    to_store_ = nullptr;
    EndFetch();
  }
}

void RequestExchange::StoreComplete() {
  KeepForCache();
  if (to_store_ != nullptr && response_body.trailers().empty()) {
    to_store_->head.content_length = to_store_->body.size();
    core_.cache->Store(cache_key_, std::exchange(to_store_, nullptr));
  }
  EndFetch();
}

// Lets the requests that wait for this one's fetch go on.
void RequestExchange::EndFetch() {
  to_store_ = nullptr;
  if (!std::exchange(leads_fetch_, false)) return;
  const auto found = core_.fetches.find(cache_key_);
  const std::vector<RequestExchange*> waiting = std::move(found->second);
  core_.fetches.erase(found);
  for (RequestExchange* const exchange : waiting) {
    exchange->waits_for_fetch_ = false;
    if (!exchange->AskCache()) exchange->Connect();
  }
}

void RequestExchange::LeaveFetch() {
  if (!std::exchange(waits_for_fetch_, false)) return;
  std::vector<RequestExchange*>& waiting = core_.fetches[cache_key_];
  waiting.erase(std::find(waiting.begin(), waiting.end(), this));
}

}  // namespace trestle
