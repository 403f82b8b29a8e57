#include "trestle/tls/tls_reload.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "lib/tls/client_auth/client_auth_rules.h"
#include "lib/tls/ech/ech_key_set.h"
#include "trestle/base/error.h"
#include "trestle/tls/ticket_keys.h"

namespace trestle {

// A part is null if it does not change.
struct PreparedReload::Parts {
  std::shared_ptr<CertificateSet> certificates;
  std::shared_ptr<const ClientAuthRules> clients;
  std::shared_ptr<const TicketKeyRing::Keys> ticket_keys;
  std::shared_ptr<const EchKeySet> ech_keys;
  std::shared_ptr<const ClientTlsConfig> back_tls;
  std::vector<Finding> findings;
};

PreparedReload::PreparedReload(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
PreparedReload::PreparedReload(PreparedReload&&) noexcept = default;
PreparedReload& PreparedReload::operator=(PreparedReload&&) noexcept = default;
PreparedReload::~PreparedReload() = default;

const std::vector<Finding>& PreparedReload::findings() const { return parts_->findings; }

namespace {

// Collects the errors of all parts that can't be used.
class Complaints {
 public:
  // Moves a good `result` to `out` and returns true. Otherwise adds its error.
  template <typename T>
  bool Take(absl::string_view source, absl::StatusOr<T> result, T& out) {
    if (result.ok()) {
      out = *std::move(result);
      return true;
    }
    Add(source, result.status());
    return false;
  }

  void Add(absl::string_view source, const absl::Status& why) {
    const auto error = GetError(why);
    const std::string text = error.has_value() ? error->detail : std::string(why.message());
    all_.push_back(source.empty() ? text : absl::StrCat("cannot use ", source, ": ", text));
  }

  // Adds an error for a source without its part.
  void CheckPart(bool has_part, absl::string_view what) {
    if (!has_part) all_.push_back(absl::StrCat(what, " can't be reloaded: there were none before"));
  }

  absl::Status status() const {
    return all_.empty() ? absl::OkStatus() : ConfigurationError(absl::StrJoin(all_, "; "));
  }

 private:
  std::vector<std::string> all_;
};

// Returns the names that handshakes have a certificate for in `before` and not in `after`, sorted.
std::set<std::string> LostNames(const CertificateSet& before, const CertificateSet& after,
                                absl::Time now) {
  std::set<std::string> lost;
  for (const CertificateSet::Shown& shown : before.ShownAt(now)) {
    lost.insert(shown.names.begin(), shown.names.end());
  }
  for (const CertificateSet::Shown& shown : after.ShownAt(now)) {
    for (const std::string& name : shown.names) lost.erase(name);
  }
  // A wildcard may cover a name that had a certificate of its own.
  for (auto name = lost.begin(); name != lost.end();) {
    name = after.Choose(*name, now).empty() ? std::next(name) : lost.erase(name);
  }
  return lost;
}

std::string LostNamesText(const std::set<std::string>& lost) {
  constexpr size_t kMaxNames = 8;
  const std::vector<std::string> all(lost.begin(), lost.end());
  const size_t shown = std::min(all.size(), kMaxNames);
  return absl::StrCat(
      "the new certificates lack ", all.size(), all.size() == 1 ? " name" : " names",
      " of the present ones: ", absl::StrJoin(all.begin(), all.begin() + shown, ", "),
      all.size() == shown ? "" : absl::StrCat(", and ", all.size() - shown, " more"));
}

}  // namespace

TlsReload::TlsReload(ReloadTargets targets, TlsReloadOptions options)
    : targets_(std::move(targets)), options_(options) {}

absl::StatusOr<PreparedReload> TlsReload::Prepare(ReloadSources sources, absl::Time now) {
  auto parts = std::make_unique<PreparedReload::Parts>();
  Complaints complaints;
  if (!sources.certificates.empty()) {
    complaints.CheckPart(targets_.certificates != nullptr, "certificates");
    if (targets_.certificates != nullptr) {
      complaints.Take("", targets_.certificates->Prepare(std::move(sources.certificates), now),
                      parts->certificates);
    }
  }
  if (sources.clients.has_value()) {
    complaints.CheckPart(targets_.clients != nullptr, "client policies");
    complaints.Take("", ClientAuthRules::Make(*std::move(sources.clients)), parts->clients);
  }
  if (sources.ticket_keys.has_value()) {
    const ReloadText& source = *sources.ticket_keys;
    complaints.CheckPart(targets_.ticket_keys != nullptr, "ticket keys");
    std::vector<TicketKey> keys;
    if (complaints.Take(source.name, ParseTicketKeys(source.text), keys)) {
      complaints.Take(source.name, TicketKeyRing::Derive(keys), parts->ticket_keys);
    }
  }
  if (sources.ech_keys.has_value()) {
    const ReloadText& source = *sources.ech_keys;
    complaints.CheckPart(targets_.ech_keys != nullptr, "ECH keys");
    complaints.Take(source.name, EchKeySet::Read(source.text), parts->ech_keys);
  }
  if (sources.back_tls.has_value()) {
    complaints.CheckPart(targets_.use_back_tls != nullptr, "TLS towards backends");
    complaints.Take(sources.back_tls_name, ClientTlsConfig::Create(*std::move(sources.back_tls)),
                    parts->back_tls);
  }
  if (parts->certificates != nullptr) {
    const auto lost = LostNames(*targets_.certificates->current(), *parts->certificates, now);
    if (!lost.empty() && options_.refuse_lost_names) {
      complaints.Add("", ConfigurationError(LostNamesText(lost)));
    } else if (!lost.empty()) {
      parts->findings.push_back(
          {Severity::kWarning, "names_lost", LostNamesText(lost),
           "issue the certificates with these names, or expect that their clients fail"});
    }
  }
  // The certificates must cover the public names of the ECH keys, whichever of them are new.
  if (targets_.ech_keys != nullptr && targets_.certificates != nullptr &&
      complaints.status().ok()) {
    const auto before = targets_.certificates->current();
    const CertificateSet& set = parts->certificates != nullptr ? *parts->certificates : *before;
    const absl::Status names = parts->ech_keys != nullptr
                                   ? EchKeys::CheckPublicNamesOf(*parts->ech_keys, set)
                                   : targets_.ech_keys->CheckPublicNames(set);
    if (!names.ok()) complaints.Add("", names);
  }
  if (absl::Status status = complaints.status(); !status.ok()) return status;
  return PreparedReload(std::move(parts));
}

uint64_t TlsReload::Commit(PreparedReload prepared) {
  PreparedReload::Parts& parts = *prepared.parts_;
  // The new client policies apply before clients receive the new certificates.
  if (parts.clients != nullptr) targets_.clients->Use(std::move(parts.clients));
  if (parts.ticket_keys != nullptr) targets_.ticket_keys->Use(std::move(parts.ticket_keys));
  if (parts.certificates != nullptr) targets_.certificates->Use(std::move(parts.certificates));
  if (parts.ech_keys != nullptr) targets_.ech_keys->Use(std::move(parts.ech_keys));
  if (parts.back_tls != nullptr) targets_.use_back_tls(std::move(parts.back_tls));
  return ++generation_;
}

}  // namespace trestle
