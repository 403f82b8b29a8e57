#include "examples/support/help_text.h"

#include <errno.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <utility>

#include "absl/flags/commandlineflag.h"
#include "absl/flags/reflection.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "examples/support/boringssl_commit.h"
#include "examples/support/wrapped_text.h"
#include "trestle/version.h"

namespace trestle::examples {
namespace {

constexpr size_t kColumns = 100;
constexpr size_t kTextColumn = 30;

// Subjects in the order of --help. A flag belongs to the subject that lists its name, or else its
// defining file; files and names are separated by spaces.
struct Subject {
  absl::string_view title;
  absl::string_view flags;
};
constexpr Subject kSubjects[] = {
    {"Servers to probe", "front back legs_file"},
    {"Trust", "ca front_ca back_ca crl intermediates verify"},
    {"How servers are spoken to", "leg_probe.cc"},
    {"Server and page", "tls_fetch.cc"},
    {"Encrypted ClientHellos", "ech_tool.cc ech_keys_file.cc ech_backends.cc"},
    {"Output", "json details color svg"},
    {"Keys for other processes", "key_server.cc"},
    {"Listening and the process", "proxy_flags.cc tls_echo.cc redirect_listen redirect_port"},
    {"Check of the configuration", "check_flag.cc config_check.cc"},
    {"Backends and routes",
     "terminating_proxy.cc passthrough_proxy.cc bridging_proxy.cc one_port.cc "
     "routes routes_file"},
    {"Names of backends", "backend_names.cc"},
    {"Health of backends", "backend_checks.cc drain_calls.cc"},
    {"QUIC (HTTP/3)", "quic_part.cc"},
    {"Firewall", "waf_flags.cc rules audit_log detect_only max_body waf waf_threads"},
    {"Connections: limits, times, PROXY protocol", "connection_flags.cc"},
    {"Certificates of this side",
     "front_tls.cc key_uris.cc acme_tokens_dir.cc pem_files.cc cert key"},
    {"Certificates of a SPIFFE agent", "spiffe_agent.cc"},
    {"TLS with clients", "front_options.cc"},
    {"Client certificates", "client_auth_flags.cc"},
    {"Ticket keys in Redis", "ticket_keys_redis.cc"},
    {"TLS with backends", "back_tls.cc"},
    {"HTTP", "gateway_flags.cc forwarding_flags.cc answer_plain_http dangerous_unread_http2"},
    {"Alarms and findings about certificates",
     "expiry_flags.cc renewal_info_dir.cc public_roots.cc"},
    {"Monitoring", "admin.cc connection_log.cc log_connections log_requests"},
    {"Capture of clear text", "capture.cc"},
    {"Demonstration", "quickstart.cc"},
    {"Measurement", "main.cc growth.cc loops.cc"},
};
constexpr size_t kSubjectCount = sizeof(kSubjects) / sizeof(kSubjects[0]);

// Returns the subject that lists `word`, or `kSubjectCount`.
size_t SubjectOf(absl::string_view word) {
  size_t index = 0;
  for (; index < kSubjectCount; ++index) {
    const std::vector<absl::string_view> words = absl::StrSplit(kSubjects[index].flags, ' ');
    if (std::find(words.begin(), words.end(), word) != words.end()) break;
  }
  return index;
}

size_t SubjectOf(const absl::CommandLineFlag& flag) {
  const size_t by_name = SubjectOf(flag.Name());
  if (by_name < kSubjectCount) return by_name;
  const std::string file = flag.Filename();
  return SubjectOf(absl::string_view(file).substr(file.rfind('/') + 1));
}

bool IsOurs(const absl::CommandLineFlag& flag) {
  const std::string file = flag.Filename();
  return absl::StrContains(file, "examples/") || absl::StrContains(file, "bench/");
}

std::string Compiler() {
#if defined(__clang__)
  return absl::StrCat("Clang ", __clang_major__, ".", __clang_minor__, ".", __clang_patchlevel__);
#elif defined(__GNUC__)
  return absl::StrCat("GCC ", __GNUC__, ".", __GNUC_MINOR__, ".", __GNUC_PATCHLEVEL__);
#else
  return "an unknown compiler";
#endif
}

std::string BuildMode() {
  std::string mode = absl::StrCat("C++", __cplusplus / 100 % 100);
#if defined(__OPTIMIZE__)
  absl::StrAppend(&mode, ", optimised");
#else
  absl::StrAppend(&mode, ", not optimised");
#endif
#if defined(NDEBUG)
  absl::StrAppend(&mode, ", without assertions");
#else
  absl::StrAppend(&mode, ", with assertions");
#endif
#if defined(__SANITIZE_ADDRESS__)
  absl::StrAppend(&mode, ", AddressSanitizer");
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
  absl::StrAppend(&mode, ", AddressSanitizer");
#endif
#endif
#if defined(__SANITIZE_THREAD__)
  absl::StrAppend(&mode, ", ThreadSanitizer");
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
  absl::StrAppend(&mode, ", ThreadSanitizer");
#endif
#endif
  return mode;
}

[[noreturn]] void PrintAndExit(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::exit(EXIT_SUCCESS);
}

}  // namespace

std::string FlagGroupText(absl::string_view title, const std::vector<FlagHelp>& flags) {
  std::string text = absl::StrCat("\n", title, ":\n");
  for (const FlagHelp& flag : flags) {
    const std::string words = flag.default_value.empty()
                                  ? flag.text
                                  : absl::StrCat(flag.text, "; default ", flag.default_value);
    std::string margin = absl::StrCat("  --", flag.name);
    // A long name gets its own line.
    if (margin.size() + 1 > kTextColumn) {
      absl::StrAppend(&text, margin, "\n");
      margin.clear();
    }
    for (const std::string& line : Wrap(words, kColumns - kTextColumn)) {
      absl::StrAppend(&text, Padded(margin, kTextColumn), line, "\n");
      margin.clear();
    }
  }
  return text;
}

std::string HelpText(absl::string_view usage) {
  std::vector<FlagHelp> groups[kSubjectCount + 1];
  std::map<std::string, const absl::CommandLineFlag*> sorted;
  for (const auto& [name, flag] : absl::GetAllFlags()) {
    if (IsOurs(*flag)) sorted.emplace(name, flag);
  }
  for (const auto& [name, flag] : sorted) {
    const std::string value = flag->DefaultValue();
    groups[SubjectOf(*flag)].push_back({name, flag->Help(), value == "false" ? "" : value});
  }
  std::string text = absl::StrCat(usage, "\n");
  for (size_t i = 0; i <= kSubjectCount; ++i) {
    if (groups[i].empty()) continue;
    absl::StrAppend(
        &text, FlagGroupText(i < kSubjectCount ? kSubjects[i].title : "Other flags", groups[i]));
  }
  absl::StrAppend(&text,
                  FlagGroupText("About the program",
                                {{"help", "prints this and exits", ""},
                                 {"version", "prints versions and the build, and exits", ""}}));
  return text;
}

std::string VersionText(absl::string_view program) {
  return absl::StrCat(program, " ", kVersion, "\nBoringSSL ", kBoringsslCommit, "\nbuilt by ",
                      Compiler(), ", ", BuildMode(), "\n");
}

void AnswerHelpAndVersion(int argc, char** argv, absl::string_view usage) {
  for (int i = 1; i < argc; ++i) {
    const absl::string_view argument = argv[i];
    if (argument == "--help" || argument == "-help" || argument == "-h") {
      PrintAndExit(HelpText(usage));
    }
    if (argument == "--version" || argument == "-version") {
      PrintAndExit(VersionText(program_invocation_short_name));
    }
  }
}

}  // namespace trestle::examples
