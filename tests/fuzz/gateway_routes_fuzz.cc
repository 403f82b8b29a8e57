// Paths of requests, and routes of operators. A backend may decode a path once or twice, merge
// slashes, resolve dots, drop parameters, or treat backslashes as slashes. The route for the result
// must be the route that was chosen.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "integrations/http/gateway_routes.h"
#include "tests/fuzz/fuzz_input.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

// Removes the percent-encoding, and leaves other text unchanged.
std::string Decode(absl::string_view path) {
  std::string plain;
  for (size_t i = 0; i < path.size(); ++i) {
    uint32_t code = 0;
    const absl::string_view digits = path.substr(i + 1, 2);
    const bool encoded = path[i] == '%' && digits.size() == 2 &&
                         absl::ascii_isxdigit(static_cast<unsigned char>(digits[0])) &&
                         absl::SimpleHexAtoi(digits, &code);
    plain += encoded ? static_cast<char>(code) : path[i];
    if (encoded) i += 2;
  }
  return plain;
}

// Returns the path as the most lenient backend interprets it.
std::string Resolve(std::string path) {
  for (char& c : path) {
    if (c == '\\') c = '/';
  }
  path = path.substr(0, path.find('\0'));
  std::vector<absl::string_view> kept;
  for (absl::string_view segment : absl::StrSplit(path, '/')) {
    segment = segment.substr(0, segment.find(';'));
    if (segment == "..") {
      if (!kept.empty()) kept.pop_back();
    } else if (!segment.empty() && segment != ".") {
      kept.push_back(segment);
    }
  }
  std::string resolved;
  for (const absl::string_view segment : kept) absl::StrAppend(&resolved, "/", segment);
  return resolved.empty() ? "/" : resolved;
}

const GatewayRoutes& Fixed() {
  static const auto* const routes = new std::shared_ptr<const GatewayRoutes>(*GatewayRoutes::Create(
      *ParseGatewayRoutes("a.test=http://192.0.2.1:1,a.test/api=http://192.0.2.1:2,"
                          "a.test/api/v2=http://192.0.2.1:3,b.test/only/this=http://192.0.2.1:4")));
  return **routes;
}

// Routes by resolved paths only.
std::string RouteOf(absl::string_view host, absl::string_view path) {
  const auto under = [path](absl::string_view prefix) {
    return path == prefix || absl::StartsWith(path, absl::StrCat(prefix, "/"));
  };
  if (host == "b.test") return under("/only/this") ? "b.test/only/this" : "";
  return under("/api/v2") ? "a.test/api/v2" : (under("/api") ? "a.test/api" : "a.test/");
}

void RoutePath(absl::string_view host, const std::string& path) {
  HttpRefusal refusal;
  const Endpoint client = *Endpoint::Parse("198.51.100.1:5");
  const auto target = Fixed().Find({host, path, "GET", HttpFields(), 0, client}, refusal);
  Require((target == nullptr) == !refusal.reason.empty(), "a refusal has a reason");
  if (target == nullptr) return;
  std::string decoded = path;
  for (int times = 1; times <= 3; ++times) {
    decoded = Decode(decoded);
    Require(RouteOf(host, Resolve(decoded)) == target->name(), "backends agree with the route");
  }
}

void CheckRoutes(absl::StatusOr<std::vector<GatewayRoute>> parsed) {
  const auto made = parsed.ok() ? GatewayRoutes::Create(*std::move(parsed)) : parsed.status();
  if (!made.ok()) {
    const auto error = GetError(made.status());
    Require(error.has_value() && error->code == ErrorCode::kConfiguration, "errors are typed");
    return;
  }
  for (const std::shared_ptr<const GatewayRoute>& route : (*made)->routes()) {
    Require(route->redirect.has_value() != !route->backends.endpoints.empty(),
            "a redirect or backends");
    Require(absl::StartsWith(route->path, "/"), "whole routes");
  }
}

}  // namespace
}  // namespace trestle

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 8 * 1024) return 0;
  const std::string text(reinterpret_cast<const char*>(data), size);
  // Targets without a path ("*", an authority) have no meaning as paths for backends.
  trestle::RoutePath("a.test", absl::StrCat("/", text));
  trestle::RoutePath("b.test", absl::StrCat("/", text));
  trestle::CheckRoutes(trestle::ParseGatewayRoutes(text));
  trestle::CheckRoutes(trestle::ParseGatewayRoutesFile(text));
  return 0;
}
