#include "lib/proxy/eager_alpn.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "trestle/base/bytes.h"

namespace trestle {
namespace {

// The usual network of one customer of an access provider.
constexpr int kIpv4NetworkBits = 24;
constexpr int kIpv6NetworkBits = 48;

// Length-prefixed, because protocols may contain any byte.
std::string KeyFor(const Endpoint& backend, absl::string_view name,
                   const std::vector<std::string>& offered) {
  return absl::StrCat(backend.ToString(), " ", name, " ",
                      absl::StrJoin(offered, "", [](std::string* out, const std::string& protocol) {
                        absl::StrAppend(out, protocol.size(), ":", protocol);
                      }));
}

}  // namespace

EagerAlpn::EagerAlpn(const EagerAlpnOptions& options)
    : options_(options),
      dials_({options.dials_per_network / absl::ToDoubleSeconds(options.window),
              static_cast<double>(options.dials_per_network), kIpv4NetworkBits, kIpv6NetworkBits,
              options.max_networks}) {}

std::optional<std::string> EagerAlpn::Remembered(const Endpoint& backend, absl::string_view name,
                                                 const std::vector<std::string>& offered,
                                                 MonotonicTime now) {
  const Choice* const found = choices_.Use(KeyFor(backend, name, offered));
  if (found == nullptr || now >= found->until) return std::nullopt;
  return found->alpn;
}

void EagerAlpn::Remember(const Endpoint& backend, absl::string_view name,
                         const std::vector<std::string>& offered, std::string chosen,
                         MonotonicTime now) {
  // Clients influence keys by the protocols that they offer. They can only evict entries.
  const auto [choice, added] = choices_.UseOrAdd(KeyFor(backend, name, offered));
  *choice = {std::move(chosen), now + options_.remember_for};
  if (added && choices_.size() > options_.max_remembered) choices_.DropOldest();
}

}  // namespace trestle
