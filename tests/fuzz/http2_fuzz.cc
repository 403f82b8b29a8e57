// The first byte selects how the rest, an HTTP/2 client's first bytes, is split into segments.
// Every split gives the same choice at the same byte, and the choice is one of the routes.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "integrations/http1/http_routes.h"
#include "integrations/http2/http2_routes.h"
#include "tests/fuzz/fuzz_input.h"

namespace trestle {
namespace {

const std::shared_ptr<const HttpRoutes>& Routes() {
  static const auto* const routes = new std::shared_ptr<const HttpRoutes>(*HttpRoutes::Create(
      *ParseHttpRoutes("a.test=192.0.2.1:443,b.test=192.0.2.2:443,b.test/api=192.0.2.3:443")));
  return *routes;
}

std::unique_ptr<ContentReader> NewReader() {
  Http2RouteOptions options;
  options.hosts = Http1Options::HostPolicy::kAny;
  options.dangerous_unread_http2 = true;
  static ContentReaderFactory factory = *NewHttp2RouteReaderFactory(Routes(), options, {});
  ConnectionReport report;
  TlsInfo tls;
  tls.alpn = "h2";
  report.front.tls = std::make_shared<const TlsInfo>(std::move(tls));
  return factory(report);
}

// Reads as ContentLeg does: all bytes so far, until there is a decision.
ContentAnswer Read(ByteView wire, size_t longest) {
  const std::unique_ptr<ContentReader> reader = NewReader();
  Require(reader != nullptr, "HTTP/2 is read");
  size_t end = 0;
  ContentAnswer answer = reader->Read(wire.first(0), false);
  for (size_t size = 1; answer.action() == ContentAnswer::Action::kReadMore; ++size) {
    if (end == wire.size()) break;
    end += std::min(wire.size() - end, size * 7 % longest + 1);
    answer = reader->Read(wire.first(end), end == wire.size());
  }
  return answer;
}

}  // namespace
}  // namespace trestle

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using trestle::ContentAnswer;
  using trestle::Require;
  if (size == 0 || size > 64 * 1024) return 0;
  const trestle::ByteView wire(data + 1, size - 1);
  const ContentAnswer whole = trestle::Read(wire, wire.size() + 1);
  if (whole.action() == ContentAnswer::Action::kGo) {
    Require(whole.target() != nullptr && whole.target() == trestle::Routes()->FindOnly("a.test"),
            "the only route that needs no path");
  }
  const bool ended = whole.action() == ContentAnswer::Action::kNoRoute ||
                     whole.action() == ContentAnswer::Action::kRefuse;
  Require(ended == !whole.reason().empty(), "refusals say why");
  for (size_t longest : {size_t{1}, size_t{data[0]} + 1}) {
    const ContentAnswer cut = trestle::Read(wire, longest);
    Require(cut.action() == whole.action(), "cuts don't change the answer");
    Require(cut.target() == whole.target(), "cuts don't change the target");
    Require(cut.reason() == whole.reason(), "cuts don't change the reason");
  }
  return 0;
}
