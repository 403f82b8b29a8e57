#include "trestle/proxy/xfcc.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace trestle {
namespace {

// What ends or splits a value is only safe between quotes.
bool NeedsQuotes(absl::string_view value) {
  return value.find_first_of(",;= ") != absl::string_view::npos;
}

void AppendName(absl::string_view key, absl::string_view name, std::string& out) {
  const std::string value = absl::StrReplaceAll(name, {{"\"", "%22"}, {"\\", "%5C"}});
  const absl::string_view quote = NeedsQuotes(value) ? "\"" : "";
  absl::StrAppend(&out, ";", key, "=", quote, value, quote);
}

}  // namespace

std::string XfccElement(const PeerIdentity& identity, absl::string_view by) {
  const absl::string_view digest(reinterpret_cast<const char*>(identity.certificate_sha256.data()),
                                 identity.certificate_sha256.size());
  std::string out;
  if (!by.empty()) AppendName("By", by, out);
  absl::StrAppend(&out, ";Hash=", absl::BytesToHexString(digest));
  // The pairs are taken from the left, so that the second of two backslashes escapes nothing.
  const std::string subject =
      absl::StrReplaceAll(identity.subject, {{"\\\\", "\\5C"}, {"\\\"", "\\22"}, {"\"", "\\22"}});
  absl::StrAppend(&out, ";Subject=\"", subject, "\"");
  for (const std::string& name : identity.uri_names) AppendName("URI", name, out);
  for (const std::string& name : identity.dns_names) AppendName("DNS", name, out);
  return out.substr(1);
}

}  // namespace trestle
