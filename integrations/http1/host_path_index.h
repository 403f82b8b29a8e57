// HostPathIndex: finds the entries of a routing table that cover a request's host and path.
#ifndef TRESTLE_INTEGRATIONS_HTTP1_HOST_PATH_INDEX_H_
#define TRESTLE_INTEGRATIONS_HTTP1_HOST_PATH_INDEX_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "integrations/http1/http_message.h"
#include "trestle/wire/pattern_index.h"

namespace trestle {

/// Removes the percent-encoding of a path. Empty for a path that readers could interpret
/// differently: "/a/../b", "//", "%2f", "%25", "\", ";", control characters.
std::optional<std::string> PlainPath(absl::string_view path);

/// Returns "HOST/PATH", the name of an entry in reports; an empty host is "default".
std::string HostPathName(absl::string_view host, absl::string_view path);

/// Immutable, so threads may share it.
class HostPathIndex {
 public:
  struct Entry {
    /// A name pattern as in wire/server_name.h ("a.test", "*.a.test"), or "" for all other hosts.
    std::string host;
    /// The path prefix, in whole segments: "/api" covers "/api" and "/api/x", but not "/apix".
    std::string path = "/";
  };

  /// Checks and indexes `entries`, in any order; their values are their places. Fails with
  /// ErrorCode::kConfiguration for an invalid pattern and a duplicate. Also fails for a path that
  /// does not begin with "/", or that readers could interpret differently.
  static absl::StatusOr<HostPathIndex> Create(absl::Span<const Entry> entries);

  /// Finds the most specific pattern for `host`, then the longest of its paths that `accepts`
  /// takes. Unless the host has one entry for all paths, a path that `PlainPath` refuses is
  /// rejected with 400. No matching pattern: 421. No matching path: 404. On rejection the result is
  /// empty and `refusal` is set.
  std::optional<size_t> Find(absl::string_view host, absl::string_view path,
                             absl::FunctionRef<bool(size_t)> accepts, HttpRefusal& refusal) const;

  /// Finds the only entry of a host whose entries do not depend on the path.
  std::optional<size_t> FindOnly(absl::string_view host) const;

  /// Returns the entries of hosts that have several.
  std::vector<size_t> Split() const;

 private:
  struct Path {
    std::string prefix;  // Without its last "/".
    size_t value;
  };

  class Builder;

  const std::vector<Path>* PathsOf(absl::string_view host) const;
  static bool AnyPath(const std::vector<Path>& paths);

  std::vector<std::vector<Path>> hosts_;  // The longest path first.
  PatternIndex by_host_;                  // Places in hosts_.
  std::optional<size_t> any_host_;        // The same for entries without a host.
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP1_HOST_PATH_INDEX_H_
