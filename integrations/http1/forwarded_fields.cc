#include "integrations/http1/forwarded_fields.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"

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

// A value in double quotes: certificates may hold anything.
std::string Quoted(absl::string_view value) {
  std::string quoted = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += absl::ascii_isprint(static_cast<unsigned char>(c)) ? c : '?';
  }
  return quoted + "\"";
}

std::string ClientCertificate(const CertificateInfo& leaf) {
  std::vector<std::string> parts = {absl::StrCat("Subject=", Quoted(leaf.subject))};
  for (const std::string& name : leaf.uri_names)
    parts.push_back(absl::StrCat("URI=", Quoted(name)));
  for (const std::string& name : leaf.dns_names)
    parts.push_back(absl::StrCat("DNS=", Quoted(name)));
  return absl::StrJoin(parts, ";");
}

}  // namespace

HeadRewriter::HeadRewriter(const ForwardingOptions& options, const ConnectionReport& connection)
    : options_(options) {
  const bool known = connection.front.peer.family() != Endpoint::Family::kNone;
  const std::string address = known ? AddressOf(connection.front.peer) : "unknown";
  const absl::string_view scheme = connection.front.tls.has_value() ? "https" : "http";
  if (options.x_forwarded) {
    absl::StrAppend(&fixed_fields_, "X-Forwarded-For: ", address, "\r\nX-Forwarded-Proto: ", scheme,
                    "\r\n");
  }
  const bool v6 = absl::StrContains(address, ':');
  forwarded_for_ =
      absl::StrCat("for=", v6 ? absl::StrCat("\"[", address, "]\"") : address, ";proto=", scheme);
  if (options.client_certificate && connection.front.tls.has_value() &&
      !connection.front.tls->peer_chain.empty()) {
    absl::StrAppend(&fixed_fields_, "X-Forwarded-Client-Cert: ",
                    ClientCertificate(connection.front.tls->peer_chain.front()), "\r\n");
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
  absl::StrAppend(&text, fixed_fields_);
  if (options_.forwarded) {
    absl::StrAppend(&text, "Forwarded: ", forwarded_for_);
    if (!head.authority.empty()) absl::StrAppend(&text, ";host=\"", head.authority, "\"");
    absl::StrAppend(&text, "\r\n");
  }
  return text + "\r\n";
}

}  // namespace trestle
