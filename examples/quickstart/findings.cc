#include "examples/quickstart/findings.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace trestle::examples {
namespace {

// A table's rows; each cell may have several lines.
using Cell = std::vector<std::string>;
using Rows = std::vector<std::vector<Cell>>;

constexpr absl::string_view kNone = "none";
constexpr char kTlsHandshakeRecord = 0x16;  // RFC 8446 5.1

std::string SerialOf(const ChainInfo& chain) { return chain.empty() ? "" : chain.front().serial; }

Cell DescribeCertificate(const ChainInfo& chain) {
  if (chain.empty()) return {std::string(kNone)};
  return {absl::StrJoin(NamesOf(chain.front()), ", "), absl::StrCat("(", chain.front().key, ")")};
}

Cell DescribeTls(const TlsInfo& tls) {
  return {std::string(tls.version), std::string(tls.cipher), std::string(tls.group)};
}

bool SameTls(const TlsInfo& a, const TlsInfo& b) {
  return a.version == b.version && a.cipher == b.cipher && a.group == b.group;
}

bool IsPassthrough(const Scenario& scenario) {
  return scenario.report.mode == ProxyMode::kPassthrough;
}

// Derived from the data of the proxy and the backend, not from the mode.
Cell WhereDecrypted(const Scenario& scenario) {
  const bool at_proxy = scenario.report.front.tls != nullptr;
  const bool at_backend = scenario.back_tls.has_value();
  if (at_proxy && at_backend) return {"at the proxy", "and at the backend"};
  return {at_proxy ? "at the proxy only" : at_backend ? "at the backend only" : "nowhere"};
}

Cell DescribeBackLeg(const Scenario& scenario) {
  if (!scenario.back_tls.has_value()) return {"clear text"};
  Cell cell = DescribeTls(*scenario.back_tls);
  cell.push_back(IsPassthrough(scenario) ? "(the client's session)" : "(a new session)");
  return cell;
}

Cell DescribeWiretap(const Scenario& scenario) {
  const absl::string_view heard = absl::string_view(scenario.wiretap->heard()).substr(0, 14);
  const bool is_text = std::all_of(heard.begin(), heard.end(), absl::ascii_isprint);
  const std::string first = is_text ? absl::StrCat("\"", heard, "…\"")
                                    : absl::StrCat(absl::BytesToHexString(heard.substr(0, 8)), "…");
  return {scenario.wiretap_read_secret ? "YES" : "no",
          absl::StrCat(scenario.wiretap_bytes, " bytes heard:"), first};
}

std::string Repeat(absl::string_view text, size_t times) {
  std::string all;
  for (size_t i = 0; i < times; ++i) absl::StrAppend(&all, text);
  return all;
}

// Width on a terminal: only the first byte of a UTF-8 character takes a column.
size_t Width(absl::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; });
}

std::string Pad(absl::string_view text, size_t width) {
  return absl::StrCat(text, std::string(width - std::min(width, Width(text)), ' '));
}

std::string DrawRow(const std::vector<Cell>& row, const std::vector<size_t>& widths) {
  size_t height = 0;
  for (const Cell& cell : row) height = std::max(height, cell.size());
  std::string all;
  for (size_t line = 0; line < height; ++line) {
    std::string text = "  ";
    for (size_t column = 0; column < row.size(); ++column) {
      const Cell& cell = row[column];
      absl::StrAppend(&text, Pad(line < cell.size() ? cell[line] : "", widths[column]), "  ");
    }
    absl::StripTrailingAsciiWhitespace(&text);
    absl::StrAppend(&all, text, "\n");
  }
  return all;
}

std::string Draw(const Rows& rows) {
  std::vector<size_t> widths(rows[0].size());
  for (const std::vector<Cell>& row : rows) {
    for (size_t column = 0; column < row.size(); ++column) {
      for (const std::string& line : row[column]) {
        widths[column] = std::max(widths[column], Width(line));
      }
    }
  }
  std::string rule = "  ";
  for (const size_t width : widths) absl::StrAppend(&rule, Repeat("─", width), "  ");
  absl::StripTrailingAsciiWhitespace(&rule);
  std::string table;
  for (const std::vector<Cell>& row : rows)
    absl::StrAppend(&table, DrawRow(row, widths), rule, "\n");
  return table;
}

std::string CurlLine(const std::string& ca_path, const std::string& name, const Endpoint& to) {
  return absl::StrCat("curl --cacert ", ca_path, " --resolve ", name, ":", to.port(),
                      ":127.0.0.1 https://", name, ":", to.port(), "/");
}

std::string OpensslLine(const std::string& ca_path, const std::string& name, const Endpoint& to) {
  return absl::StrCat("openssl s_client -brief -connect ", to.ToString(), " -servername ", name,
                      " -verify_hostname ", name, " -verify_return_error -CAfile ", ca_path,
                      " </dev/null");
}

}  // namespace

std::vector<std::string> FindFailures(const Scenario& scenario, bool arrived) {
  std::vector<std::string> failures;
  const auto expect = [&](bool good, absl::string_view what) {
    if (good) return;
    failures.push_back(absl::StrCat(scenario.mode, ", ", scenario.server_name, ": ", what));
  };
  const HttpsAnswer& answer = scenario.answer;
  const ConnectionReport& report = scenario.report;
  expect(answer.status.ok(), absl::StrCat("the request failed: ", answer.status.ToString()));
  expect(report.ok(), absl::StrCat("the proxy reports: ", ErrorText(report.error)));
  expect(answer.status_line == "HTTP/1.1 200 OK" &&
             answer.body == absl::StrCat("hello from ", scenario.backend->name(), "\n"),
         "the answer is not the backend's");
  expect(arrived, "the backend did not get the request");
  expect(SerialOf(answer.tls.peer_chain) == scenario.front_serial,
         "the client saw another certificate than it should");
  expect(answer.tls.version == "TLSv1.3" && answer.tls.group == "X25519MLKEM768" &&
             !answer.tls.cipher.empty(),
         "the client's leg is not TLS 1.3 with post-quantum key exchange");
  expect(report.server_name == scenario.server_name, "the proxy read another server name");
  expect((report.front.tls != nullptr) == scenario.proxy_decrypts,
         "the proxy did not decrypt where it should, or did where it should not");
  expect(scenario.wiretap_bytes > 0, "the wiretap heard nothing, so it proves nothing");

  if (scenario.back_serial.empty()) {
    expect(!scenario.back_tls.has_value(), "the back leg is not clear text");
    expect(scenario.wiretap_read_secret, "the wiretap could not read the clear text");
    return failures;
  }
  expect(!scenario.wiretap_read_secret, "the wiretap could read the request");
  expect(scenario.wiretap->heard().substr(0, 1) == std::string(1, kTlsHandshakeRecord),
         "what the wiretap heard is not TLS");
  expect(scenario.back_tls.has_value() &&
             SerialOf(scenario.back_tls->local_chain) == scenario.back_serial,
         "the backend did not show its own certificate");
  if (!scenario.back_tls.has_value()) return failures;
  if (scenario.proxy_decrypts) {
    expect(report.back.tls != nullptr && SameTls(*report.back.tls, *scenario.back_tls) &&
               SerialOf(report.back.tls->peer_chain) == scenario.back_serial,
           "the proxy's own session to the backend is not what the backend saw");
  } else {
    expect(report.route == scenario.server_name, "the route is not the one for the name");
    expect(SameTls(answer.tls, *scenario.back_tls), "client and backend saw different sessions");
  }
  return failures;
}

std::string ModesTable(const std::vector<Scenario>& scenarios) {
  Rows rows = {{{""}},
               {{"client asks for"}},
               {{"decrypted"}},
               {{"front leg"}},
               {{"certificate that", "the client saw"}},
               {{"back leg"}},
               {{"certificate on", "the back leg"}},
               {{"wiretap on the", "back leg could", "read the request"}},
               {{"response"}}};
  std::string last_mode;
  for (const Scenario& scenario : scenarios) {
    if (scenario.mode == std::exchange(last_mode, scenario.mode)) continue;
    const ChainInfo none;
    const Cell cells[] = {
        {scenario.mode, scenario.block},
        {scenario.server_name},
        WhereDecrypted(scenario),
        DescribeTls(scenario.answer.tls),
        DescribeCertificate(scenario.answer.tls.peer_chain),
        DescribeBackLeg(scenario),
        DescribeCertificate(scenario.back_tls.has_value() ? scenario.back_tls->local_chain : none),
        DescribeWiretap(scenario),
        {scenario.answer.status_line,
         std::string(absl::StripAsciiWhitespace(scenario.answer.body))}};
    for (size_t row = 0; row < rows.size(); ++row) rows[row].push_back(cells[row]);
  }
  return Draw(rows);
}

std::string NamesTable(const std::vector<Scenario>& scenarios) {
  Rows rows = {{{"client asks for"}, {"route"}, {"certificate"}, {"response"}}};
  for (const Scenario& scenario : scenarios) {
    if (!IsPassthrough(scenario)) continue;
    rows.push_back({{scenario.server_name},
                    {absl::StrCat(scenario.report.route, " -> ", scenario.backend->name())},
                    {DescribeCertificate(scenario.answer.tls.peer_chain)[0]},
                    {std::string(absl::StripAsciiWhitespace(scenario.answer.body))}});
  }
  return Draw(rows);
}

std::string PathsTable(const Paths& paths) {
  Rows rows = {{{"request"}, {"client's HTTP"}, {"route"}, {"back leg"}, {"response"}}};
  for (const PathRequest& request : paths.requests()) {
    rows.push_back(
        {{absl::StrCat("https://", paths.server_name(), request.target)},
         {std::string(EnumName(request.client_version)),
          request.reused ? "(the same connection)" : "(a new connection)"},
         {absl::StrCat(request.report.route, " -> ", request.backend->name())},
         {request.back_tls.has_value() ? std::string(request.back_tls->version) : "clear text"},
         {std::string(absl::StripAsciiWhitespace(request.body))}});
  }
  return Draw(rows);
}

std::string LinesToTry(const Demonstration& demonstration, const std::string& ca_path) {
  std::string text;
  for (const Scenario& scenario : demonstration.scenarios()) {
    absl::StrAppend(&text, "  # ", scenario.mode, " to ", scenario.backend->name(), "\n  ",
                    CurlLine(ca_path, scenario.server_name, scenario.proxy), "\n  ",
                    OpensslLine(ca_path, scenario.server_name, scenario.proxy), "\n");
  }
  const Paths& paths = demonstration.paths();
  absl::StrAppend(&text, "  # each request by its path\n");
  for (const PathRequest& request : paths.requests()) {
    std::string line = CurlLine(ca_path, paths.server_name(), paths.endpoint());
    line.pop_back();  // The path "/".
    absl::StrAppend(&text, "  ", line, request.target, "\n");
  }
  for (const std::unique_ptr<HttpServer>& backend : demonstration.backends()) {
    absl::StrAppend(&text, "  # behind it, without a proxy: ", backend->name(), "\n  ");
    const std::string name = demonstration.CertifiedName(*backend);
    if (name.empty()) {
      absl::StrAppend(&text, "curl http://", backend->endpoint().ToString(), "/\n");
    } else {
      absl::StrAppend(&text, CurlLine(ca_path, name, backend->endpoint()), "\n  ",
                      OpensslLine(ca_path, name, backend->endpoint()), "\n");
    }
  }
  return text;
}

}  // namespace trestle::examples
