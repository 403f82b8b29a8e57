#include "integrations/prometheus/drain_server.h"

#include <cstdint>
#include <optional>
#include <string>

#include "absl/algorithm/container.h"
#include "absl/memory/memory.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "trestle/base/error.h"
#include "trestle/base/ip_range.h"

namespace trestle {
namespace {

constexpr absl::string_view kText = "text/plain; charset=utf-8";
constexpr char kUsage[] =
    "POST /drain?backend=192.0.2.1:443 and POST /undrain?backend=192.0.2.1:443, each with the "
    "field "
    "Trestle-Call: yes\n";

bool IsLoopback(const Endpoint& endpoint) {
  return IpRange::Parse("127.0.0.0/8")->Contains(endpoint) ||
         IpRange::Parse("::1/128")->Contains(endpoint);
}

// Returns nothing for an incomplete %XX.
std::optional<std::string> Unescaped(absl::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      plain.push_back(text[i]);
      continue;
    }
    const absl::string_view digits = text.substr(i + 1, 2);
    uint32_t byte = 0;
    if (digits.size() < 2 || !absl::c_all_of(digits, absl::ascii_isxdigit) ||
        !absl::SimpleHexAtoi(digits, &byte)) {
      return std::nullopt;
    }
    plain.push_back(static_cast<char>(byte));
    i += 2;
  }
  return plain;
}

// Returns the call, or why there is none.
absl::StatusOr<DrainCall> ParseCall(absl::string_view target) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(target, absl::MaxSplits('?', 1));
  DrainCall call;
  call.drain = parts.first == "/drain";
  absl::string_view value = parts.second;
  if ((!call.drain && parts.first != "/undrain") || !absl::ConsumePrefix(&value, "backend=") ||
      absl::StrContains(value, '&')) {
    return ConfigurationError(absl::StrCat("there are ", kUsage));
  }
  const std::optional<std::string> text = Unescaped(value);
  const absl::StatusOr<Endpoint> backend =
      text.has_value() ? Endpoint::Parse(*text) : ConfigurationError("% needs two hex digits");
  if (!backend.ok()) return backend.status();
  call.backend = *backend;
  return call;
}

}  // namespace

absl::StatusOr<std::unique_ptr<DrainServer>> DrainServer::Start(const Endpoint& listen,
                                                                Handler handler,
                                                                PageServerOptions options) {
  if (listen.is_ip() && !IsLoopback(listen)) {
    return ConfigurationError(
        absl::StrCat("calls have no authentication, so they are taken on a loopback address or a "
                     "Unix-domain socket, not on ",
                     listen.ToString()));
  }
  auto on_call = [handler = std::move(handler)](const std::string& target,
                                                PageReply reply) mutable {
    const absl::StatusOr<DrainCall> call = ParseCall(target);
    if (call.ok()) return handler(*call, std::move(reply));
    const std::optional<Error> error = GetError(call.status());
    reply({400, kText, absl::StrCat(error->detail, "\n")});
  };
  absl::StatusOr<std::unique_ptr<PageServer>> pages = PageServer::Start(
      listen,
      [](absl::string_view) {
        return Page{404, kText, kUsage};
      },
      std::move(options), std::move(on_call));
  if (!pages.ok()) return pages.status();
  return absl::WrapUnique(new DrainServer(*std::move(pages)));
}

}  // namespace trestle
