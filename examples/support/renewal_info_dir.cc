#include "examples/support/renewal_info_dir.h"

#include <errno.h>
#include <sys/stat.h>

#include <system_error>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "examples/support/log.h"
#include "examples/support/program.h"
#include "nlohmann/json.hpp"
#include "trestle/base/bytes.h"
#include "trestle/linux/file.h"

ABSL_FLAG(
    std::string, renewal_info_dir, "",
    "with --admin: directory with the answers of the CA's renewalInfo resource (RFC 9773), as "
    "ID.json. The page, the metrics and the log then tell when to renew, and of a late renewal");

namespace trestle::examples {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxFileBytes = 64 * 1024;
constexpr size_t kMaxUrlBytes = 1024;
// Without a limit, faults of certificates that are gone would stay in memory.
constexpr size_t kMaxFaults = 1000;

// Returns the string at `name`; null if there is none.
const std::string* StringIn(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() ? nullptr : found->get_ptr<const std::string*>();
}

absl::StatusOr<absl::Time> TimeIn(const Json& window, const char* name) {
  const std::string* const text = StringIn(window, name);
  absl::Time time;
  if (text == nullptr || !absl::ParseTime(absl::RFC3339_full, *text, &time, nullptr)) {
    return absl::InvalidArgumentError(absl::StrCat("suggestedWindow.", name,
                                                   " must be an RFC 3339 time, as in "
                                                   "2026-01-31T12:00:00Z"));
  }
  return time;
}

}  // namespace

absl::StatusOr<RenewalInfo> ParseRenewalInfo(absl::string_view json) {
  const Json document = Json::parse(json.begin(), json.end(), nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) return absl::InvalidArgumentError("it is not a JSON object");
  const auto window = document.find("suggestedWindow");
  if (window == document.end() || !window->is_object()) {
    return absl::InvalidArgumentError("it has no object suggestedWindow");
  }
  const absl::StatusOr<absl::Time> start = TimeIn(*window, "start");
  if (!start.ok()) return start.status();
  const absl::StatusOr<absl::Time> end = TimeIn(*window, "end");
  if (!end.ok()) return end.status();
  if (*end <= *start) {
    return absl::InvalidArgumentError("suggestedWindow.end must be later than its start");
  }
  RenewalInfo info;
  info.start = *start;
  info.end = *end;
  if (const std::string* url = StringIn(document, "explanationURL")) {
    info.explanation_url = EscapeForLog(*url, kMaxUrlBytes);
  }
  return info;
}

absl::StatusOr<std::unique_ptr<RenewalInfoDir>> RenewalInfoDir::FromFlag() {
  const std::string path = absl::GetFlag(FLAGS_renewal_info_dir);
  if (path.empty()) return nullptr;
  struct stat found = {};
  const int error = stat(path.c_str(), &found) != 0 ? errno : S_ISDIR(found.st_mode) ? 0 : ENOTDIR;
  if (error != 0) {
    return FlagError("renewal_info_dir",
                     absl::StrCat("has \"", path, "\": ", std::generic_category().message(error)));
  }
  return absl::WrapUnique(new RenewalInfoDir(path));
}

std::optional<RenewalInfo> RenewalInfoDir::Find(const std::string& renewal_id) {
  const std::string file = absl::StrCat(path_, "/", renewal_id, ".json");
  struct stat ignored;
  if (stat(file.c_str(), &ignored) != 0 && errno == ENOENT) {
    faults_.erase(file);
    return std::nullopt;
  }
  const absl::StatusOr<std::string> text = ReadFile(file, kMaxFileBytes);
  std::string fault;
  if (text.ok()) {
    const absl::StatusOr<RenewalInfo> info = ParseRenewalInfo(*text);
    if (info.ok()) {
      faults_.erase(file);
      return *info;
    }
    fault = absl::StrCat("cannot use ", file, ": ", info.status().message());
  } else {
    fault = Sentence(text.status());
  }
  if (faults_.size() >= kMaxFaults) faults_.clear();
  std::string& logged = faults_[file];
  if (logged != fault) LogWarning(fault);
  logged = std::move(fault);
  return std::nullopt;
}

}  // namespace trestle::examples
