#include "integrations/prometheus/spiffe_section.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace trestle {
namespace {

std::string Escaped(absl::string_view text) {
  return absl::StrReplaceAll(
      text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}, {"'", "&#39;"}});
}

std::string TimeText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

}  // namespace

std::string SpiffeHtml(const SpiffeStatus& status) {
  return absl::StrCat(
      "<h2>SPIFFE agent</h2>\n<table>\n<tr><th>Agent</th><th>SVID</th><th>Updates</th></tr>\n",
      "<tr><td>", Escaped(status.agent), "<br><small>", status.connected ? "connected" : "away",
      "</small></td><td>", Escaped(status.id), "<br>ends ", TimeText(status.not_after),
      status.late ? "<br><b>not renewed in time</b>" : "", "<br><small>bundles of ",
      Escaped(absl::StrJoin(status.trust_domains, ", ")), "</small></td><td>", status.updates, ", ",
      status.refused, " refused, ", status.losses, " connections lost",
      status.fault.empty() ? "" : absl::StrCat("<br><b>", Escaped(status.fault), "</b>"),
      "</td></tr>\n</table>\n");
}

nlohmann::ordered_json SpiffeJson(const SpiffeStatus& status) {
  nlohmann::ordered_json fault = nullptr;
  if (!status.fault.empty()) fault = status.fault;
  return {{"agent", status.agent},
          {"connected", status.connected},
          {"id", status.id},
          {"not_before", TimeText(status.not_before)},
          {"not_after", TimeText(status.not_after)},
          {"late", status.late},
          {"trust_domains", status.trust_domains},
          {"updates", status.updates},
          {"refused", status.refused},
          {"losses", status.losses},
          {"fault", fault}};
}

}  // namespace trestle
