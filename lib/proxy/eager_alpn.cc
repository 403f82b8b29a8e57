#include "lib/proxy/eager_alpn.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "trestle/base/bytes.h"

namespace trestle {
namespace {

// The usual network of one customer of an access provider.
constexpr size_t kIpv4NetworkBytes = 3;
constexpr size_t kIpv6NetworkBytes = 6;

std::string NetworkOf(const Endpoint& client) {
  const size_t bytes =
      client.family() == Endpoint::Family::kIpv4 ? kIpv4NetworkBytes : kIpv6NetworkBytes;
  return std::string(AsText(client.address().subspan(0, bytes)));
}

// Length-prefixed, because protocols may contain any byte.
std::string KeyFor(const Endpoint& backend, absl::string_view name,
                   const std::vector<std::string>& offered) {
  return absl::StrCat(AsText(backend.address()), ":", backend.port(), " ", name, " ",
                      absl::StrJoin(offered, "", [](std::string* out, const std::string& protocol) {
                        absl::StrAppend(out, protocol.size(), ":", protocol);
                      }));
}

}  // namespace

bool EagerAlpn::MayDial(const Endpoint& client, MonotonicTime now) {
  if (dials_.size() >= options_.max_networks) {
    absl::erase_if(dials_, [now](const auto& entry) { return now >= entry.second.window_end; });
  }
  std::string network = NetworkOf(client);
  if (dials_.size() >= options_.max_networks && !dials_.contains(network)) return false;
  Dials& dials = dials_[std::move(network)];
  if (now >= dials.window_end) dials = {now + options_.window, 0};
  if (dials.count >= options_.dials_per_network) return false;
  ++dials.count;
  return true;
}

std::optional<std::string> EagerAlpn::Remembered(const Endpoint& backend, absl::string_view name,
                                                 const std::vector<std::string>& offered,
                                                 MonotonicTime now) const {
  const auto found = choices_.find(KeyFor(backend, name, offered));
  if (found == choices_.end() || now >= found->second.until) return std::nullopt;
  return found->second.alpn;
}

void EagerAlpn::Remember(const Endpoint& backend, absl::string_view name,
                         const std::vector<std::string>& offered, std::string chosen,
                         MonotonicTime now) {
  // Clients influence keys by the protocols that they offer. They can only evict entries.
  if (choices_.size() >= options_.max_remembered) choices_.clear();
  choices_[KeyFor(backend, name, offered)] = {std::move(chosen), now + options_.remember_for};
}

}  // namespace trestle
