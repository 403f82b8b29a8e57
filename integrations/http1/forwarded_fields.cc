#include "integrations/http1/forwarded_fields.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "integrations/http1/proxy_fields.h"
#include "integrations/http1/xfcc.h"
#include "trestle/base/error.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

// Hop-by-hop fields between the client and this proxy.
bool IsHopByHop(absl::string_view folded) {
  return folded == "connection" || folded == "proxy-connection" || folded == "keep-alive" ||
         folded == "upgrade" || folded == "http2-settings";
}

// Fields that this proxy or a guard reads by their own name, and a backend by any name that folds
// into it.
bool IsReadHere(absl::string_view folded) {
  return folded == "transfer-encoding" || absl::StartsWith(folded, "content-");
}

bool Contains(const std::vector<std::string>& names, absl::string_view folded) {
  return std::any_of(names.begin(), names.end(),
                     [&](absl::string_view name) { return FoldedName(name) == folded; });
}

// Returns the names of the fields that `options` write.
std::vector<std::string> Written(const ForwardingOptions& options) {
  std::vector<std::string> names;
  if (options.x_forwarded) names.insert(names.end(), {"x-forwarded-for", "x-forwarded-proto"});
  if (options.forwarded) names.push_back("forwarded");
  if (options.client_certificate) names.push_back("x-forwarded-client-cert");
  if (options.client_cert) names.insert(names.end(), {"client-cert", "client-cert-chain"});
  return names;
}

absl::Status BadField(absl::string_view name, absl::string_view problem) {
  return ConfigurationError(absl::StrCat("the field \"", EscapeForLog(name), "\" ", problem));
}

// Returns a byte sequence of structured fields (RFC 9651 3.3.5).
std::string ByteSequence(absl::string_view bytes) {
  return absl::StrCat(":", absl::Base64Escape(bytes), ":");
}

// Replaces bytes that a field's value must not contain. Certificates may contain any byte.
std::string Printable(std::string value) {
  for (char& c : value) {
    if (!absl::ascii_isprint(static_cast<unsigned char>(c))) c = '?';
  }
  return value;
}

// Returns whether every quoted string in `value` ends (RFC 9110 5.6.4).
bool QuotesMatch(absl::string_view value) {
  bool quoted = false;
  for (size_t i = 0; i < value.size(); ++i) {
    if (value[i] == '"') quoted = !quoted;
    if (value[i] == '\\' && quoted) ++i;
  }
  return !quoted;
}

}  // namespace

absl::Status CheckForwarding(const ForwardingOptions& options) {
  if (options.certificate_bytes == 0) {
    return ConfigurationError("the limit of bytes for certificates must be at least 1");
  }
  const std::vector<std::string> written = Written(options);
  for (const std::string& name : options.dangerous_keep) {
    const std::string folded = FoldedName(name);
    if (!IsProxyField(folded)) return BadField(name, "passes anyway: it is no proxy's field");
    if (Contains(written, folded)) return BadField(name, "can't be kept, since it is written here");
  }
  return absl::OkStatus();
}

HeadRewriter::HeadRewriter(const ForwardingOptions& options, const ConnectionReport& connection)
    : options_(options), trusted_(options.append_from.Contains(connection.front.peer)) {
  address_ = connection.front.peer.AddressText();
  if (address_.empty()) address_ = "unknown";
  scheme_ = connection.front.tls != nullptr ? "https" : "http";
  const bool v6 = absl::StrContains(address_, ':');
  forwarded_for_ = absl::StrCat("for=", v6 ? absl::StrCat("\"[", address_, "]\"") : address_);
  if (connection.front.tls != nullptr && connection.front.tls->peer_identity != nullptr) {
    DescribeCertificate(*connection.front.tls->peer_identity);
  }
}

void HeadRewriter::DescribeCertificate(const PeerIdentity& identity) {
  const std::vector<std::string>& chain = identity.certificates;
  if (options_.client_certificate) {
    XfccOptions xfcc;
    xfcc.certificate = options_.xfcc_certificate;
    certificate_.emplace_back("X-Forwarded-Client-Cert", Printable(XfccElement(identity, xfcc)));
  }
  if (options_.client_cert && !chain.empty()) {
    certificate_.emplace_back("Client-Cert", ByteSequence(chain.front()));
  }
  if (options_.client_cert && chain.size() > 1) {
    const auto append = [](std::string* text, const std::string& der) {
      absl::StrAppend(text, ByteSequence(der));
    };
    certificate_.emplace_back("Client-Cert-Chain",
                              absl::StrJoin(chain.begin() + 1, chain.end(), ", ", append));
  }
  const bool whole = options_.client_cert || options_.xfcc_certificate;
  size_t bytes = 0;
  for (const auto& [name, value] : certificate_) bytes += name.size() + value.size() + 4;
  if (!whole || bytes <= options_.certificate_bytes) return;
  refusal_ = {431, "the size of the fields for the client's certificates is over the limit"};
}

bool HeadRewriter::Passes(const HttpRequestHead& head, absl::string_view name) const {
  const std::string folded = FoldedName(name);
  if (IsHopByHop(folded)) return false;
  const bool plain = absl::EqualsIgnoreCase(folded, name);
  if (!plain && IsReadHere(folded)) return false;
  const bool kept = plain && Contains(options_.dangerous_keep, folded);
  if (IsProxyField(folded) && !kept) return false;
  const auto named = [&](absl::string_view option) { return absl::EqualsIgnoreCase(option, name); };
  if (std::any_of(head.options.begin(), head.options.end(), named)) return false;
  return !Contains(options_.strip, folded);
}

void HeadRewriter::ForEachField(const HttpRequestHead& head, Emit emit) const {
  for (const HttpField& field : head.fields) {
    if (Passes(head, field.name)) emit(field.name, field.value);
  }
  EmitClient(head, emit);
}

void HeadRewriter::EmitClient(const HttpRequestHead& head, Emit emit) const {
  if (options_.x_forwarded) EmitXForwarded(head, emit);
  for (const auto& [name, value] : certificate_) emit(name, value);
  if (options_.forwarded) EmitForwarded(head, emit);
}

// Returns a trusted proxy's complete value of `name`, to be extended; empty for other clients.
std::string HeadRewriter::Earlier(const HttpRequestHead& head, absl::string_view name) const {
  std::string earlier;
  if (!trusted_) return earlier;
  for (const HttpField& field : head.fields) {
    if (!absl::EqualsIgnoreCase(field.name, name) || field.value.empty()) continue;
    absl::StrAppend(&earlier, earlier.empty() ? "" : ", ", field.value);
  }
  return earlier;
}

// Returns the scheme of the client's request, which a trusted proxy knows better.
std::string HeadRewriter::SchemeOf(const HttpRequestHead& head) const {
  std::string theirs = Earlier(head, "X-Forwarded-Proto");
  return theirs == "http" || theirs == "https" ? theirs : std::string(scheme_);
}

void HeadRewriter::EmitXForwarded(const HttpRequestHead& head, Emit emit) const {
  const std::string earlier = Earlier(head, "X-Forwarded-For");
  emit("X-Forwarded-For", absl::StrCat(earlier, earlier.empty() ? "" : ", ", address_));
  emit("X-Forwarded-Proto", SchemeOf(head));
}

void HeadRewriter::EmitForwarded(const HttpRequestHead& head, Emit emit) const {
  const std::string earlier = Earlier(head, "Forwarded");
  std::string value;
  if (!earlier.empty() && QuotesMatch(earlier)) absl::StrAppend(&value, earlier, ", ");
  absl::StrAppend(&value, forwarded_for_, ";proto=", SchemeOf(head));
  if (!head.authority.empty()) absl::StrAppend(&value, ";host=\"", head.authority, "\"");
  emit("Forwarded", value);
}

}  // namespace trestle
