#include "integrations/http1/forwarded_fields.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "trestle/proxy/xfcc.h"

namespace trestle {
namespace {

// As backends see a name that they turn into a variable.
std::string Folded(absl::string_view name) {
  return absl::AsciiStrToLower(absl::StrReplaceAll(name, {{"_", "-"}}));
}

// The address without its port: "192.0.2.1", "2001:db8::1".
std::string AddressOf(const Endpoint& endpoint) {
  const std::string text = endpoint.ToString();
  absl::string_view address = absl::string_view(text).substr(0, text.rfind(':'));
  if (absl::ConsumePrefix(&address, "[")) absl::ConsumeSuffix(&address, "]");
  return std::string(address);
}

// What a field's value may hold. Certificates may hold anything.
std::string Printable(std::string value) {
  for (char& c : value) {
    if (!absl::ascii_isprint(static_cast<unsigned char>(c))) c = '?';
  }
  return value;
}

// Tells whether every quoted string in `value` ends (RFC 9110 5.6.4).
bool QuotesMatch(absl::string_view value) {
  bool quoted = false;
  for (size_t i = 0; i < value.size(); ++i) {
    if (value[i] == '"') quoted = !quoted;
    if (value[i] == '\\' && quoted) ++i;
  }
  return !quoted;
}

}  // namespace

HeadRewriter::HeadRewriter(const ForwardingOptions& options, const ConnectionReport& connection)
    : options_(options), trusted_(options.append_from.Contains(connection.front.peer)) {
  const bool known = connection.front.peer.family() != Endpoint::Family::kNone;
  address_ = known ? AddressOf(connection.front.peer) : "unknown";
  scheme_ = connection.front.tls != nullptr ? "https" : "http";
  const bool v6 = absl::StrContains(address_, ':');
  forwarded_for_ = absl::StrCat("for=", v6 ? absl::StrCat("\"[", address_, "]\"") : address_,
                                ";proto=", scheme_);
  if (options.client_certificate && connection.front.tls != nullptr &&
      connection.front.tls->peer_identity != nullptr) {
    xfcc_ = absl::StrCat("X-Forwarded-Client-Cert: ",
                         Printable(XfccElement(*connection.front.tls->peer_identity)), "\r\n");
  }
}

bool HeadRewriter::Passes(const HttpRequestHead& head, absl::string_view name, bool upgrade) const {
  const std::string folded = Folded(name);
  if (folded == "upgrade") return upgrade;
  for (const absl::string_view own :
       {"connection", "proxy-connection", "keep-alive", "http2-settings", "proxy", "forwarded",
        "x-real-ip", "x-client-ip", "true-client-ip"}) {
    if (folded == own) return false;
  }
  if (absl::StartsWith(folded, "x-forwarded-")) return false;
  // A second spelling of what the framing was read from, or of Host.
  if (absl::StrContains(name, '_') &&
      (folded == "content-length" || folded == "transfer-encoding" || folded == "host")) {
    return false;
  }
  const auto named = [&](absl::string_view option) { return absl::EqualsIgnoreCase(option, name); };
  if (std::any_of(head.options.begin(), head.options.end(), named)) return false;
  return std::none_of(options_.strip.begin(), options_.strip.end(),
                      [&](absl::string_view strip) { return folded == Folded(strip); });
}

std::string HeadRewriter::Rewrite(const HttpRequestHead& head, bool upgrade, bool close) const {
  std::string text =
      absl::StrCat(head.method, " ", head.target, " HTTP/1.", head.minor_version, "\r\n");
  for (const HttpField& field : head.fields) {
    if (Passes(head, field.name, upgrade)) {
      absl::StrAppend(&text, field.name, ": ", field.value, "\r\n");
    }
  }
  if (upgrade) {
    absl::StrAppend(&text, "Connection: upgrade\r\n");
  } else if (close || !head.keep_alive) {
    absl::StrAppend(&text, "Connection: close\r\n");
  } else if (head.minor_version == 0) {
    absl::StrAppend(&text, "Connection: keep-alive\r\n");
  }
  if (options_.x_forwarded) AppendXForwarded(head, text);
  absl::StrAppend(&text, xfcc_);
  if (options_.forwarded) AppendForwarded(head, text);
  return text + "\r\n";
}

// What a trusted proxy sent under `name`, all of it, to be added to; of others nothing.
std::string HeadRewriter::Earlier(const HttpRequestHead& head, absl::string_view name) const {
  std::string earlier;
  if (!trusted_) return earlier;
  for (const HttpField& field : head.fields) {
    if (!absl::EqualsIgnoreCase(field.name, name) || field.value.empty()) continue;
    absl::StrAppend(&earlier, earlier.empty() ? "" : ", ", field.value);
  }
  return earlier;
}

void HeadRewriter::AppendXForwarded(const HttpRequestHead& head, std::string& text) const {
  const std::string earlier = Earlier(head, "X-Forwarded-For");
  const std::string proto = Earlier(head, "X-Forwarded-Proto");
  const bool known_proto = proto == "http" || proto == "https";
  absl::StrAppend(&text, "X-Forwarded-For: ", earlier, earlier.empty() ? "" : ", ", address_,
                  "\r\nX-Forwarded-Proto: ", known_proto ? proto : scheme_, "\r\n");
}

void HeadRewriter::AppendForwarded(const HttpRequestHead& head, std::string& text) const {
  const std::string earlier = Earlier(head, "Forwarded");
  absl::StrAppend(&text, "Forwarded: ");
  if (!earlier.empty() && QuotesMatch(earlier)) absl::StrAppend(&text, earlier, ", ");
  absl::StrAppend(&text, forwarded_for_);
  if (!head.authority.empty()) absl::StrAppend(&text, ";host=\"", head.authority, "\"");
  absl::StrAppend(&text, "\r\n");
}

}  // namespace trestle
