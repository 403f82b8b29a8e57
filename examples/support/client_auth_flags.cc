#include "examples/support/client_auth_flags.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "examples/support/pem_files.h"
#include "examples/support/program.h"
#include "examples/support/spiffe_agent.h"

ABSL_FLAG(std::string, client_ca, "",
          "PEM file, or directory of PEM files, with the CAs for clients' certificates; requests "
          "certificates from clients");
ABSL_FLAG(std::string, client_crl, "",
          "PEM file with revocation lists; each CA of a client's chain must then have a valid one");
ABSL_FLAG(std::string, client_auth, "",
          "with --client_ca or --spiffe_clients: required (default), optional or none; and for "
          "single server names "
          "NAME=MODE, where NAME may begin with *. or **., as in required,status.example=none");
ABSL_FLAG(std::string, client_allow, "",
          "accepts only clients with one of these, comma-separated: dns:NAME, uri:URI (a prefix if "
          "it ends in /*), key:SHA256 of the public key in hexadecimal");

namespace trestle::examples {
namespace {

absl::StatusOr<ClientCertificate> ParseMode(absl::string_view text) {
  if (text == "none") return ClientCertificate::kNone;
  if (text == "optional") return ClientCertificate::kOptional;
  if (text == "required") return ClientCertificate::kRequired;
  return FlagError("client_auth", absl::StrCat("has the mode \"", text,
                                               "\", which is not required, optional or none"));
}

absl::Status AddKey(absl::string_view hex, AllowedClients& allowed) {
  std::array<uint8_t, 32> digest;
  std::string bytes;
  if (!absl::HexStringToBytes(hex, &bytes) || bytes.size() != digest.size()) {
    return FlagError("client_allow", "has a key that isn't 64 hexadecimal digits");
  }
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  allowed.key_sha256.push_back(digest);
  return absl::OkStatus();
}

absl::StatusOr<AllowedClients> ParseAllowed(absl::string_view text) {
  AllowedClients allowed;
  for (absl::string_view item : absl::StrSplit(text, ',', absl::SkipEmpty())) {
    if (absl::ConsumePrefix(&item, "dns:")) {
      allowed.dns_names.emplace_back(item);
    } else if (absl::ConsumePrefix(&item, "uri:")) {
      allowed.uri_names.emplace_back(item);
    } else if (absl::ConsumePrefix(&item, "key:")) {
      if (absl::Status status = AddKey(item, allowed); !status.ok()) return status;
    } else {
      return FlagError("client_allow", absl::StrCat("has \"", item,
                                                    "\", which begins with neither dns:, uri: "
                                                    "nor key:"));
    }
  }
  return allowed;
}

// Applies `base` to all names, with the exceptions in `text`.
absl::StatusOr<ClientAuthOptions> ParseModes(absl::string_view text, ClientAuthPolicy base) {
  ClientAuthOptions options;
  options.otherwise = base;
  options.otherwise.certificate = ClientCertificate::kRequired;
  for (absl::string_view item : absl::StrSplit(text, ',', absl::SkipEmpty())) {
    const size_t equals = item.find('=');
    const bool named = equals != absl::string_view::npos;
    absl::StatusOr<ClientCertificate> mode = ParseMode(named ? item.substr(equals + 1) : item);
    if (!mode.ok()) return mode.status();
    if (named) {
      base.certificate = *mode;
      options.by_name.push_back({std::string(item.substr(0, equals)), base});
    } else {
      options.otherwise.certificate = *mode;
    }
  }
  return options;
}

absl::StatusOr<ClientAuthPolicy> PolicyFromFlags() {
  ClientAuthPolicy policy;
  absl::StatusOr<std::shared_ptr<const TrustStore>> trust =
      LoadTrustStore(absl::GetFlag(FLAGS_client_ca), absl::GetFlag(FLAGS_client_crl));
  if (!trust.ok()) return trust.status();
  policy.trust = *std::move(trust);
  absl::StatusOr<AllowedClients> allowed = ParseAllowed(absl::GetFlag(FLAGS_client_allow));
  if (!allowed.ok()) return allowed.status();
  policy.allowed = *std::move(allowed);
  return policy;
}

// One match in any list of allowed clients is enough, so that other lists would allow more.
absl::StatusOr<ClientAuthPolicy> PolicyOfSpiffe(SpiffeAgent& spiffe) {
  if (!absl::GetFlag(FLAGS_client_ca).empty() || !absl::GetFlag(FLAGS_client_crl).empty() ||
      !absl::GetFlag(FLAGS_client_allow).empty()) {
    return FlagError("spiffe_clients",
                     "excludes --client_ca, --client_crl and --client_allow: the bundles verify "
                     "clients, by their IDs");
  }
  ClientAuthPolicy policy;
  policy.trust = spiffe.Use()->trust;
  policy.allowed.uri_names = spiffe.clients();
  return policy;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ClientAuthOptions>> ClientAuthFromFlags(SpiffeAgent* spiffe) {
  const bool by_spiffe = spiffe != nullptr && SpiffeVerifiesClients();
  const std::string modes = absl::GetFlag(FLAGS_client_auth);
  if (!by_spiffe && absl::GetFlag(FLAGS_client_ca).empty()) {
    if (modes.empty() && absl::GetFlag(FLAGS_client_crl).empty() &&
        absl::GetFlag(FLAGS_client_allow).empty()) {
      return nullptr;
    }
    return FlagError("client_ca", "is required by --client_auth, --client_crl and --client_allow");
  }
  absl::StatusOr<ClientAuthPolicy> policy = by_spiffe ? PolicyOfSpiffe(*spiffe) : PolicyFromFlags();
  if (!policy.ok()) return policy.status();
  absl::StatusOr<ClientAuthOptions> options = ParseModes(modes, *std::move(policy));
  if (!options.ok()) return options.status();
  const auto tried = ClientAuthentication::Create(*options);
  if (!tried.ok())
    return FlagError("client_auth", absl::StrCat("is wrong: ", Sentence(tried.status())));
  return std::make_unique<ClientAuthOptions>(*std::move(options));
}

std::vector<std::string> ClientAuthFiles() {
  std::vector<std::string> files;
  for (const std::string& path :
       {absl::GetFlag(FLAGS_client_ca), absl::GetFlag(FLAGS_client_crl)}) {
    if (!path.empty()) files.push_back(WatchedPath(path));
  }
  return files;
}

}  // namespace trestle::examples
