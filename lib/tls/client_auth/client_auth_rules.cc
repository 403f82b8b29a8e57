#include "lib/tls/client_auth/client_auth_rules.h"

#include <openssl/asn1.h>
#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/x509.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/pki/x509_certificate.h"
#include "trestle/base/bytes.h"
#include "trestle/base/error.h"
#include "trestle/pki/sha256.h"
#include "trestle/pki/spiffe_id.h"

namespace trestle {
namespace {

ByteView Contents(const ASN1_STRING* string) {
  return ByteView(ASN1_STRING_get0_data(string), static_cast<size_t>(ASN1_STRING_length(string)));
}

// Adds a name that can be forwarded unchanged.
void AddName(absl::string_view name, std::vector<std::string>& names) {
  const bool printable = absl::c_all_of(name, [](char c) { return absl::ascii_isprint(c); });
  if (!name.empty() && name.size() <= PeerIdentity::kMaxNameBytes && printable) {
    names.emplace_back(name);
  }
}

void ReadSubjectAltNames(const X509* leaf, PeerIdentity& identity) {
  bssl::UniquePtr<GENERAL_NAMES> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(leaf, NID_subject_alt_name, nullptr, nullptr)));
  if (names == nullptr) return;
  for (const GENERAL_NAME* name : names.get()) {
    switch (name->type) {
      case GEN_DNS:
        AddName(absl::AsciiStrToLower(AsText(Contents(name->d.dNSName))), identity.dns_names);
        break;
      case GEN_URI:
        AddName(AsText(Contents(name->d.uniformResourceIdentifier)), identity.uri_names);
        break;
      case GEN_EMAIL:
        AddName(AsText(Contents(name->d.rfc822Name)), identity.email_names);
        break;
      case GEN_IPADD:
        AddName(IpText(Contents(name->d.iPAddress)), identity.ip_names);
        break;
      default:
        break;
    }
  }
}

std::string CommonName(const X509* leaf) {
  const X509_NAME* subject = X509_get_subject_name(leaf);
  const int index = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (index < 0) return "";
  uint8_t* text = nullptr;
  const int bytes =
      ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, index)));
  bssl::UniquePtr<uint8_t> owner(text);
  if (bytes < 0) return "";
  const std::string name(AsText(ByteView(text, static_cast<size_t>(bytes))));
  const bool unfit = absl::c_any_of(name, [](char c) { return absl::ascii_iscntrl(c); });
  return unfit || name.size() > PeerIdentity::kMaxNameBytes ? "" : name;
}

std::array<uint8_t, 32> KeyDigest(const X509* leaf) {
  uint8_t* der = nullptr;
  const int bytes = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), &der);
  bssl::UniquePtr<uint8_t> owner(der);
  return bytes < 0 ? std::array<uint8_t, 32>{} : Sha256(ByteView(der, static_cast<size_t>(bytes)));
}

// Encodes lists so that different lists give different text.
template <typename List>
std::string Digestible(absl::string_view title, const List& list) {
  std::string text = absl::StrCat(title, " ", list.size(), "\n");
  for (const auto& item : list) {
    const absl::string_view bytes(reinterpret_cast<const char*>(item.data()), item.size());
    absl::StrAppend(&text, bytes.size(), ":", bytes, "\n");
  }
  return text;
}

ChainFailure NotAllowed(const PeerIdentity& identity) {
  ChainFailure failure;
  failure.error.code = ErrorCode::kCertificateUntrusted;
  failure.error.detail =
      absl::StrCat("certificate \"", EscapeForLog(identity.subject, 200),
                   "\" is trusted, but neither its names nor its key are allowed here");
  failure.verify_error = X509_V_ERR_APPLICATION_VERIFICATION;
  return failure;
}

absl::Status CheckPolicy(const ClientAuthPolicy& policy) {
  if (policy.certificate != ClientCertificate::kNone && policy.trust == nullptr) {
    return ConfigurationError("client certificates are asked for, but there are no CAs to trust");
  }
  if (policy.max_intermediates < 0 || policy.max_intermediates > kMaxIntermediates) {
    return ConfigurationError(absl::StrCat("the limit of intermediate certificates is ",
                                           policy.max_intermediates, ", not from 0 to ",
                                           kMaxIntermediates));
  }
  for (const std::string& uri : policy.allowed.uri_names) {
    if (absl::StrContains(uri, "://")) continue;
    return ConfigurationError(
        absl::StrCat("the allowed client \"", EscapeForLog(uri), "\" is no URI"));
  }
  return absl::OkStatus();
}

}  // namespace

PeerIdentity IdentityOf(const X509* leaf) {
  PeerIdentity identity;
  CertificateInfo info = DescribeCertificate(leaf);
  identity.subject = std::move(info.subject);
  identity.issuer = std::move(info.issuer);
  identity.serial = std::move(info.serial);
  identity.not_after = info.not_after;
  identity.common_name = CommonName(leaf);
  ReadSubjectAltNames(leaf, identity);
  X509_digest(leaf, EVP_sha256(), identity.certificate_sha256.data(), nullptr);
  identity.key_sha256 = KeyDigest(leaf);
  ERR_clear_error();
  return identity;
}

absl::StatusOr<ClientAuthRule> ClientAuthRule::Make(ClientAuthPolicy policy) {
  if (absl::Status status = CheckPolicy(policy); !status.ok()) return status;
  ClientAuthRule rule;
  for (const std::string& name : policy.allowed.dns_names) {
    absl::StatusOr<NamePattern> pattern = NamePattern::Parse(name);
    if (!pattern.ok()) return ConfigurationError(std::string(pattern.status().message()));
    rule.allowed_dns_names_.push_back(*std::move(pattern));
  }
  if (policy.certificate == ClientCertificate::kNone) return rule;
  const AllowedClients& allowed = policy.allowed;
  rule.digest_ = absl::StrCat(
      "client certificate: ", static_cast<int>(policy.certificate),
      "\nCAs: ", policy.trust == nullptr ? "" : policy.trust->digest(),
      "\nintermediates: ", policy.max_intermediates, "\n", Digestible("names", allowed.dns_names),
      Digestible("uris", allowed.uri_names), Digestible("keys", allowed.key_sha256));
  rule.policy_ = std::move(policy);
  return rule;
}

bool ClientAuthRule::Allows(const PeerIdentity& identity) const {
  const AllowedClients& allowed = policy_.allowed;
  if (allowed.dns_names.empty() && allowed.uri_names.empty() && allowed.key_sha256.empty()) {
    return true;
  }
  for (const std::string& name : identity.dns_names) {
    // A wildcard in a certificate doesn't parse: it names no client.
    const absl::StatusOr<std::string> normal = NormalizeServerName(name);
    if (normal.ok() && absl::c_any_of(allowed_dns_names_, [&](const NamePattern& pattern) {
          return pattern.Matches(*normal);
        })) {
      return true;
    }
  }
  for (const std::string& uri : identity.uri_names) {
    if (absl::c_any_of(allowed.uri_names,
                       [&](const std::string& other) { return CoversUri(other, uri); })) {
      return true;
    }
  }
  return absl::c_linear_search(allowed.key_sha256, identity.key_sha256);
}

std::optional<ChainFailure> ClientAuthRule::Judge(const CertificateChain& chain,
                                                  const TlsParameters& parameters, absl::Time now,
                                                  PeerIdentity& identity) const {
  ChainRequirements requirements;
  requirements.trust = policy_.trust.get();
  requirements.purpose = ChainPurpose::kClient;
  requirements.max_intermediates = policy_.max_intermediates;
  requirements.check_crls = policy_.trust->has_crls();
  requirements.min_rsa_bits = parameters.min_rsa_bits;
  requirements.min_ec_bits = parameters.min_ec_bits;
  std::optional<ChainFailure> failure = VerifyChain(chain, requirements, now).failure;
  if (failure.has_value()) return failure;
  identity = IdentityOf(chain.front().get());
  if (!Allows(identity)) return NotAllowed(identity);
  return std::nullopt;
}

absl::StatusOr<std::shared_ptr<const ClientAuthRules>> ClientAuthRules::Make(
    ClientAuthOptions options) {
  auto rules = std::make_shared<ClientAuthRules>();
  absl::StatusOr<ClientAuthRule> otherwise = ClientAuthRule::Make(std::move(options.otherwise));
  if (!otherwise.ok()) return otherwise.status();
  rules->otherwise_ = *std::move(otherwise);
  std::vector<NamePattern> patterns;
  for (NamedClientAuthPolicy& named : options.by_name) {
    absl::StatusOr<NamePattern> pattern = NamePattern::Parse(named.names);
    if (!pattern.ok()) return ConfigurationError(std::string(pattern.status().message()));
    absl::StatusOr<ClientAuthRule> rule = ClientAuthRule::Make(std::move(named.policy));
    if (!rule.ok()) return rule.status();
    patterns.push_back(*std::move(pattern));
    rules->named_.push_back(*std::move(rule));
  }
  std::vector<PatternIndex::Item> items;
  for (const NamePattern& pattern : patterns) {
    items.push_back({pattern.kind(), pattern.base(), static_cast<uint32_t>(items.size())});
  }
  absl::StatusOr<PatternIndex> by_name = PatternIndex::Create(items, [&patterns](size_t item) {
    return ConfigurationError(
        absl::StrCat("there are two client policies for \"", patterns[item].ToString(), "\""));
  });
  if (!by_name.ok()) return by_name.status();
  rules->by_name_ = *std::move(by_name);
  return std::shared_ptr<const ClientAuthRules>(std::move(rules));
}

bool ClientAuthRules::differ() const {
  return absl::c_any_of(
      named_, [&](const ClientAuthRule& rule) { return rule.digest() != otherwise_.digest(); });
}

const ClientAuthRule& ClientAuthRules::Find(absl::string_view server_name) const {
  const std::optional<PatternIndex::Match> match = by_name_.Find(server_name);
  return match.has_value() ? named_[match->value] : otherwise_;
}

}  // namespace trestle
