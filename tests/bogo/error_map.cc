// Prints the ErrorMap of BoGo's configuration: for each error of BoringSSL that a case expects, the
// lines that the shim prints for it. They come from the function that explains BoringSSL's errors
// to the library's users. Reads names such as NO_SHARED_CIPHER, one a line.
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <iostream>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "lib/tls/engine/connection_state.h"
#include "lib/tls/engine/ssl_error.h"
#include "tests/bogo/error_line.h"
#include "trestle/base/error.h"
#include "trestle/testing/simulated_loop.h"

namespace trestle::bogo {
namespace {

// BoringSSL's own are below; above are those of its alerts.
constexpr int kMaxReason = 1300;

constexpr FailureScene kScenes[] = {
    {/*is_server=*/true, /*handshake_done=*/false, /*hello_answered=*/false},
    {/*is_server=*/true, /*handshake_done=*/false, /*hello_answered=*/true},
    {/*is_server=*/true, /*handshake_done=*/true, /*hello_answered=*/true},
    {/*is_server=*/false, /*handshake_done=*/false, /*hello_answered=*/false},
    {/*is_server=*/false, /*handshake_done=*/true, /*hello_answered=*/false},
};

// Several of BoringSSL's libraries may have a reason with the same name.
std::set<std::string> LinesFor(const std::string& name) {
  std::set<std::string> lines;
  testing::SimulatedLoop loop;
  const ConnectionState record(loop);
  for (int library = 1; library < ERR_NUM_LIBS; ++library) {
    for (int reason = 1; reason < kMaxReason; ++reason) {
      const uint32_t packed = ERR_PACK(library, reason);
      const char* text = ERR_reason_error_string(packed);
      if (text == nullptr || name != text) continue;
      for (const FailureScene& scene : kScenes) {
        lines.insert(ErrorLine(ExplainSslError({packed}, record, scene)));
      }
    }
  }
  return lines;
}

std::string Quoted(absl::string_view text) {
  return absl::StrCat(
      "\"", absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"\"", "\\\""}, {"\n", "\\n"}}), "\"");
}

void PrintMap() {
  std::string name;
  std::string before = "{\n";
  while (std::getline(std::cin, name)) {
    const std::set<std::string> lines = LinesFor(name);
    std::cout << before << Quoted(absl::StrCat(":", name, ":")) << ": ["
              << absl::StrJoin(lines, ", ",
                               [](std::string* out, const std::string& line) {
                                 absl::StrAppend(out, Quoted(line));
                               })
              << "]";
    before = ",\n";
  }
  std::cout << "\n}\n";
}

}  // namespace
}  // namespace trestle::bogo

int main() {
  trestle::bogo::PrintMap();
  return 0;
}
