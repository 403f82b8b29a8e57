// Reads the legs to probe from the flags, or from a file with one route per line.
#ifndef TRESTLE_EXAMPLES_LEG_PROBE_LEGS_H_
#define TRESTLE_EXAMPLES_LEG_PROBE_LEGS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "trestle/base/leg.h"
#include "trestle/proxy/backends.h"
#include "trestle/watch/leg_probe.h"

namespace trestle::examples {

/// The server certificates to check.
enum class ProbedKeys : uint8_t {
  kAny,    ///< The server's preference.
  kEcdsa,  ///< The one with an ECDSA key.
  kRsa,    ///< The one with an RSA key.
  kEach,   ///< ECDSA and RSA, with one probe each.
};

/// The settings of one leg; files are paths.
struct LegSettings {
  std::string ca;
  std::string crl;
  std::string intermediates;
  std::string cert;
  std::string key;
  std::string verify_name;
  std::string alpn;  ///< Comma-separated.
  ProbedKeys keys = ProbedKeys::kAny;
  StartTls start_tls = StartTls::kNone;
  ProxyProtocolOut proxy_header = ProxyProtocolOut::kNone;
  bool ech_inner = false;
};

/// Applies the setting `name` ("ca", "starttls", …); fails with a reason.
absl::Status ApplySetting(absl::string_view name, absl::string_view value, LegSettings& settings);

/// One leg to probe.
struct LegToProbe {
  std::string route;  ///< The name of the leg's pair in the output.
  Leg leg = Leg::kBack;
  LegProbeTarget target;
  std::shared_ptr<const LegProbeConfig> config;
  /// The server's name, which then has the addresses in place of `target.endpoint`. Else empty.
  Backends named = {};

  /// Returns the name: "api.internal:443"; empty for an address.
  std::string name() const { return named.names.empty() ? "" : named.names.front().ToString(); }
};

/// Returns `legs` with one leg for each address that a name has now, in place of that name; a name
/// without an address stays as a leg without one. Legs of a route stay beside each other.
std::vector<LegToProbe> LegsNow(const std::vector<LegToProbe>& legs);

/// Parses legs from text. Creates one config for all legs with the same files.
class LegReader {
 public:
  /// The defaults apply to settings that a leg does not have. `limit` applies to each phase of each
  /// probe.
  LegReader(LegSettings front_defaults, LegSettings back_defaults, absl::Duration limit);

  /// Adds the legs of one route. `front` and `back` are "IP:PORT,NAME" with any number of names, or
  /// empty; HOST:PORT and services stand in place of IP:PORT, and are then the default of NAME. The
  /// i-th names of both form a pair; each key type of ProbedKeys::kEach also forms a pair.
  absl::Status AddRoute(absl::string_view label, absl::string_view front, absl::string_view back);

  /// Adds one route for each line of `text`: "[LABEL] front=IP:PORT,NAME back=IP:PORT,NAME", each
  /// leg followed by its own settings: "ca=FILE starttls=smtp". "#" begins a comment.
  absl::Status AddFile(absl::string_view text);

  std::vector<LegToProbe> Take() { return std::move(legs_); }

 private:
  struct SideText {
    std::string address_and_names;
    LegSettings settings;
  };

  absl::Status AddLine(absl::string_view line);
  absl::Status Add(absl::string_view label, const SideText& front, const SideText& back);
  absl::Status AddPairs(absl::string_view label, absl::string_view suffix, const SideText& front,
                        const SideText& back);
  absl::StatusOr<std::vector<LegToProbe>> ReadSide(Leg leg, const SideText& side);
  absl::StatusOr<std::shared_ptr<const LegProbeConfig>> ConfigFor(const LegSettings& settings);

  const LegSettings front_defaults_;
  const LegSettings back_defaults_;
  const absl::Duration limit_;
  std::map<std::string, std::shared_ptr<const LegProbeConfig>> configs_;
  std::vector<LegToProbe> legs_;
};

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_LEG_PROBE_LEGS_H_
