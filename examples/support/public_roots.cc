#include "examples/support/public_roots.h"

#include <unistd.h>

#include <string>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "examples/support/pem_files.h"
#include "examples/support/program.h"
#include "trestle/linux/ca_files.h"

ABSL_FLAG(
    std::string, public_ca, "",
    "PEM file, or directory of PEM files, with public roots: chains to them are judged by the "
    "rules for public CAs. \"system\": the system's CAs; \"none\": no chain is public. Default: "
    "the collection of Debian and its like, without CAs of this machine, if it is there");

ABSL_FLAG(std::string, dropped_roots, "",
          "PEM file, or directory of PEM files, with roots that clients drop from their "
          "collections: chains that lead to one of them are a finding");

namespace trestle::examples {
namespace {

using Roots = absl::StatusOr<std::shared_ptr<const TrustStore>>;

// Debian, Ubuntu and Alpine keep what Mozilla ships apart from the CAs that an administrator adds.
constexpr char kShippedRoots[] = "/usr/share/ca-certificates/mozilla";

Roots Load() {
  absl::StatusOr<std::string> path = absl::GetFlag(FLAGS_public_ca);
  if (*path == "none") return nullptr;
  if (path->empty()) {
    if (access(kShippedRoots, R_OK | X_OK) != 0) return nullptr;
    const Roots shipped = LoadTrustStore(kShippedRoots, "");
    return shipped.ok() ? shipped : nullptr;
  }
  if (*path == "system") path = FindSystemCas();
  if (!path.ok()) return CannotUse("--public_ca", path.status());
  return LoadTrustStore(*path, "");
}

Roots LoadDropped() {
  const std::string path = absl::GetFlag(FLAGS_dropped_roots);
  if (path.empty()) return nullptr;
  return LoadTrustStore(path, "");
}

}  // namespace

Roots DroppedRoots() {
  static const Roots* const roots = new Roots(LoadDropped());
  return *roots;
}

Roots PublicRoots() {
  static const Roots* const roots = new Roots(Load());
  return *roots;
}

absl::Status CheckPublicRoots() {
  if (absl::Status dropped = DroppedRoots().status(); !dropped.ok()) return dropped;
  return absl::GetFlag(FLAGS_public_ca).empty() ? absl::OkStatus() : PublicRoots().status();
}

std::string TextOf(const Finding& finding) {
  return absl::StrCat(finding.text, " [", finding.code, "]");
}

}  // namespace trestle::examples
