#include "examples/support/forwarding_flags.h"

#include <utility>

#include "absl/flags/flag.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "examples/support/program.h"

ABSL_FLAG(std::string, http_trusted_proxies, "",
          "IP addresses or CIDR ranges, comma-separated, of trusted HTTP proxies. Their "
          "X-Forwarded-For and Forwarded are extended, and http_proxy keeps their X-Request-ID. "
          "Those of all other clients are removed");
ABSL_FLAG(std::string, http_upgrades, "websocket",
          "protocols, comma-separated, that requests may change to; they pass unread after the "
          "backend accepts; empty: none");
ABSL_FLAG(bool, http_client_cert, false,
          "sends the client's certificate, and the others that it sent, to backends in Client-Cert "
          "and Client-Cert-Chain (RFC 9440)");
ABSL_FLAG(bool, http_xfcc_cert, false,
          "adds the client's certificate to X-Forwarded-Client-Cert, as Cert=");
ABSL_FLAG(std::string, dangerous_http_keep, "",
          "names, comma-separated, of proxy fields (docs/http.md) that pass from clients to "
          "backends: any client can forge them");

namespace trestle::examples {

std::vector<std::string> ListOf(absl::string_view text) {
  std::vector<std::string> list;
  for (const absl::string_view item : absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    list.push_back(absl::AsciiStrToLower(absl::StripAsciiWhitespace(item)));
  }
  return list;
}

absl::StatusOr<ForwardingOptions> ForwardingFromFlags() {
  ForwardingOptions forwarding;
  forwarding.client_cert = absl::GetFlag(FLAGS_http_client_cert);
  forwarding.xfcc_certificate = absl::GetFlag(FLAGS_http_xfcc_cert);
  forwarding.dangerous_keep = ListOf(absl::GetFlag(FLAGS_dangerous_http_keep));
  const std::string ranges = absl::GetFlag(FLAGS_http_trusted_proxies);
  if (ranges.empty()) return forwarding;
  absl::StatusOr<TrustedPeers> trusted = TrustedPeers::Parse(ranges);
  if (!trusted.ok()) {
    return FlagError("http_trusted_proxies",
                     absl::StrCat("is wrong: ", Sentence(trusted.status())));
  }
  forwarding.append_from = *std::move(trusted);
  return forwarding;
}

std::vector<std::string> UpgradesFromFlags() { return ListOf(absl::GetFlag(FLAGS_http_upgrades)); }

}  // namespace trestle::examples
