#include "integrations/http1/xfcc.h"

#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"

namespace trestle {
namespace {

// Characters that end or split a value are safe only within quotes.
bool NeedsQuotes(absl::string_view value) {
  return value.find_first_of(",;= ") != absl::string_view::npos;
}

std::string NamePair(absl::string_view key, absl::string_view name) {
  const std::string value = absl::StrReplaceAll(name, {{"\"", "%22"}, {"\\", "%5C"}});
  const absl::string_view quote = NeedsQuotes(value) ? "\"" : "";
  return absl::StrCat(";", key, "=", quote, value, quote);
}

// Appends pairs until one does not fit. Reduces `room`.
void AppendNames(absl::string_view key, const std::vector<std::string>& names, size_t& room,
                 std::string& out) {
  for (const std::string& name : names) {
    const std::string pair = NamePair(key, name);
    if (pair.size() > room) {
      room = 0;
      return;
    }
    room -= pair.size();
    out += pair;
  }
}

// Returns a certificate as PEM; all characters that are not unreserved (RFC 3986 2.3) are
// percent-encoded.
std::string EncodedPem(absl::string_view der) {
  constexpr size_t kLine = 64;  // RFC 7468 2.
  const std::string base64 = absl::Base64Escape(der);
  std::string lines;
  for (size_t at = 0; at < base64.size(); at += kLine) {
    absl::StrAppend(&lines, base64.substr(at, kLine), "%0A");
  }
  return absl::StrCat("-----BEGIN%20CERTIFICATE-----%0A",
                      absl::StrReplaceAll(lines, {{"+", "%2B"}, {"/", "%2F"}, {"=", "%3D"}}),
                      "-----END%20CERTIFICATE-----%0A");
}

}  // namespace

std::string XfccElement(const PeerIdentity& identity, const XfccOptions& options) {
  const absl::string_view digest(reinterpret_cast<const char*>(identity.certificate_sha256.data()),
                                 identity.certificate_sha256.size());
  std::string out;
  if (!options.by.empty()) out = NamePair("By", options.by);
  absl::StrAppend(&out, ";Hash=", absl::BytesToHexString(digest));
  if (options.certificate && !identity.certificates.empty()) {
    absl::StrAppend(&out, ";Cert=\"", EncodedPem(identity.certificates.front()), "\"");
  }
  // Pairs are read from the left, so the second of two backslashes escapes nothing.
  std::string subject =
      absl::StrReplaceAll(identity.subject, {{"\\\\", "\\5C"}, {"\\\"", "\\22"}, {"\"", "\\22"}});
  if (subject.size() > options.max_name_bytes) subject.clear();
  absl::StrAppend(&out, ";Subject=\"", subject, "\"");
  size_t room = options.max_name_bytes - subject.size();
  AppendNames("URI", identity.uri_names, room, out);
  AppendNames("DNS", identity.dns_names, room, out);
  return out.substr(1);
}

}  // namespace trestle
