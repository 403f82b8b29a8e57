#include "integrations/http2/http2_routes.h"

#include <optional>
#include <string>
#include <utility>

#include "integrations/http2/request_reader.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

/// Selects one target without reading.
class Unread final : public ContentReader {
 public:
  explicit Unread(std::shared_ptr<const ContentTarget> target) : target_(std::move(target)) {}
  ContentAnswer Read(ByteView, bool) override { return ContentAnswer::Go(target_); }

 private:
  const std::shared_ptr<const ContentTarget> target_;
};

class Http2RouteReader final : public ContentReader {
 public:
  Http2RouteReader(std::shared_ptr<const HttpRoutes> routes, const Http2RouteOptions& options,
                   std::string server_name)
      : routes_(std::move(routes)),
        hosts_(options.hosts),
        server_name_(std::move(server_name)),
        reader_(options.limits) {}

  ContentAnswer Read(ByteView bytes, bool) override {
    const ByteView fresh = bytes.subspan(fed_);
    fed_ = bytes.size();
    switch (reader_.Feed(fresh)) {
      case Http2RequestReader::State::kReading:
        return ContentAnswer::ReadMore();
      case Http2RequestReader::State::kRefused:
        return Refuse(reader_.refusal());
      case Http2RequestReader::State::kComplete:
        return Choose();
    }
    return ContentAnswer::ReadMore();
  }

 private:
  ContentAnswer Refuse(const HttpRefusal& refusal) {
    return ContentAnswer::Refuse(refusal.reason, reader_.AnswerAndEnd(refusal.status));
  }

  ContentAnswer Choose() {
    const std::optional<std::string> host = HostOf(reader_.authority());
    if (!host.has_value()) return Refuse({400, "the request's host isn't a name or an address"});
    // Servers differ in which of the two they use.
    if (!reader_.host().empty() && HostOf(reader_.host()) != host) {
      return Refuse({400, ":authority and host name different hosts"});
    }
    if (!HostAllowed(hosts_, server_name_, *host)) {
      return Refuse({421, "the request is for another host than the ClientHello was"});
    }
    if (auto target = routes_->FindOnly(*host)) return ContentAnswer::Go(std::move(target));
    HttpRefusal refusal;
    const std::string path = reader_.path().substr(0, reader_.path().find('?'));
    const auto target = routes_->Find(*host, path, refusal);
    if (target == nullptr) {
      return ContentAnswer::NoRoute(refusal.reason, reader_.AnswerAndEnd(refusal.status));
    }
    // Unread requests for other paths would follow.
    return ContentAnswer::NoRoute("the host's paths have routes of their own, which need HTTP/1.1",
                                  reader_.DemandHttp1());
  }

  const std::shared_ptr<const HttpRoutes> routes_;
  const Http1Options::HostPolicy hosts_;
  const std::string server_name_;
  Http2RequestReader reader_;
  size_t fed_ = 0;
};

}  // namespace

absl::StatusOr<ContentReaderFactory> NewHttp2RouteReaderFactory(
    std::shared_ptr<const HttpRoutes> routes, const Http2RouteOptions& options,
    ContentReaderFactory otherwise) {
  if (!options.dangerous_unread_http2) {
    return ConfigurationError(
        "routes of HTTP/2 let all behind the first request pass unread, which "
        "dangerous_unread_http2 has to allow");
  }
  return ContentReaderFactory(
      [routes = std::move(routes), options, otherwise = std::move(otherwise)](
          const ConnectionReport& connection) mutable -> std::unique_ptr<ContentReader> {
        if (!SpeaksHttp2(connection)) return otherwise ? otherwise(connection) : nullptr;
        const std::string& name = connection.server_name;
        auto only = name.empty() ? nullptr : routes->FindOnly(name);
        if (only != nullptr) return std::make_unique<Unread>(std::move(only));
        return std::make_unique<Http2RouteReader>(routes, options, name);
      });
}

}  // namespace trestle
