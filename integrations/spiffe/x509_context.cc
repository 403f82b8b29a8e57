#include "integrations/spiffe/x509_context.h"

#include <string.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "trestle/base/bytes.h"
#include "trestle/base/error.h"
#include "trestle/pki/chain_checker.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

constexpr absl::string_view kScheme = "spiffe://";

absl::Status SvidError(ErrorCode code, std::string why) {
  return MakeError(code, Phase::kSetUp, std::move(why));
}

absl::Status Contradiction(absl::string_view what, const absl::Status& why) {
  return SvidError(ErrorCode::kCertificateUntrusted,
                   absl::StrCat(what, ": ", ToError(why)->detail));
}

// Returns the size of the DER SEQUENCE that `der` begins with; empty if it begins with none, or
// with the beginning of one.
std::optional<size_t> SequenceSize(ByteView der) {
  constexpr uint8_t kSequence = 0x30;
  constexpr size_t kMaxLengthBytes = 3;
  if (der.size() < 2 || der[0] != kSequence) return std::nullopt;
  size_t length = der[1];
  size_t header = 2;
  if (length > 0x80) {
    const size_t count = length - 0x80;
    if (count > kMaxLengthBytes || der.size() < header + count) return std::nullopt;
    length = 0;
    for (size_t i = 0; i < count; ++i) length = length << 8 | der[header + i];
    header += count;
  } else if (length == 0x80) {
    return std::nullopt;
  }
  if (length > der.size() - header) return std::nullopt;
  return header + length;
}

std::string PemBlock(absl::string_view label, absl::string_view der) {
  constexpr size_t kLineBytes = 64;
  std::string base64 = absl::Base64Escape(der);
  std::string pem = absl::StrCat("-----BEGIN ", label, "-----\n");
  for (size_t at = 0; at < base64.size(); at += kLineBytes) {
    absl::StrAppend(&pem, absl::string_view(base64).substr(at, kLineBytes), "\n");
  }
  explicit_bzero(base64.data(), base64.size());
  absl::StrAppend(&pem, "-----END ", label, "-----\n");
  return pem;
}

// Returns certificates in DER, one behind the other, as PEM text.
absl::StatusOr<std::string> CertificatesPem(absl::string_view what, absl::string_view ders) {
  std::string pem;
  while (!ders.empty()) {
    const std::optional<size_t> size = SequenceSize(AsBytes(ders));
    if (!size.has_value()) {
      return SvidError(ErrorCode::kProtocol, absl::StrCat(what, " is no sequence of DER"));
    }
    absl::StrAppend(&pem, PemBlock("CERTIFICATE", ders.substr(0, *size)));
    ders.remove_prefix(*size);
  }
  return pem;
}

absl::StatusOr<const WorkloadSvid*> FindSvid(const WorkloadUpdate& update,
                                             absl::string_view wanted) {
  if (update.svids.empty()) {
    return SvidError(ErrorCode::kNoCertificate, "the agent has no SVID for this process");
  }
  if (wanted.empty()) return &update.svids.front();
  for (const WorkloadSvid& svid : update.svids) {
    if (svid.spiffe_id == wanted) return &svid;
  }
  return SvidError(ErrorCode::kNoCertificate,
                   absl::StrCat("the agent has no SVID with the ID ", wanted,
                                " for this process; the first that it has is ",
                                EscapeForLog(update.svids.front().spiffe_id, 200)));
}

// Makes both credentials.
absl::Status AddCredentials(const WorkloadSvid& svid, X509Context& context) {
  const absl::StatusOr<std::string> chain = CertificatesPem("the SVID", svid.chain_der);
  if (!chain.ok()) return chain.status();
  if (chain->empty()) return SvidError(ErrorCode::kProtocol, "the SVID has no certificate");
  if (SequenceSize(AsBytes(svid.key_der)) != svid.key_der.size()) {
    return SvidError(ErrorCode::kProtocol, "the private key of the SVID is no DER");
  }
  std::string key = PemBlock("PRIVATE KEY", svid.key_der);
  for (const CredentialUse use : {CredentialUse::kServer, CredentialUse::kClient}) {
    CredentialOptions options;
    options.use = use;
    auto credential = Credential::FromPem(*chain, key, options);
    if (!credential.ok()) {
      explicit_bzero(key.data(), key.size());
      return Contradiction("the SVID can't be used", credential.status());
    }
    (use == CredentialUse::kServer ? context.server : context.client) = *std::move(credential);
  }
  explicit_bzero(key.data(), key.size());
  return absl::OkStatus();
}

absl::Status AddBundles(const WorkloadUpdate& update, const WorkloadSvid& svid,
                        X509Context& context) {
  absl::StatusOr<std::string> own = CertificatesPem("the bundle", svid.bundle_der);
  if (!own.ok()) return own.status();
  context.bundles.push_back({context.id.trust_domain, *std::move(own)});
  std::map<std::string, std::string> federated;
  for (const auto& [domain, ders] : update.federated_bundles) {
    const std::string name(absl::StripPrefix(domain, kScheme));
    absl::StatusOr<std::string> pem =
        CertificatesPem(absl::StrCat("the bundle of ", EscapeForLog(name, 200)), ders);
    if (!pem.ok()) return pem.status();
    if (name == context.id.trust_domain || !federated.emplace(name, *std::move(pem)).second) {
      return SvidError(
          ErrorCode::kCertificateUntrusted,
          absl::StrCat("there are two bundles of the trust domain ", EscapeForLog(name, 200)));
    }
  }
  for (auto& [domain, pem] : federated) context.bundles.push_back({domain, std::move(pem)});
  auto trust = TrustStore::CreateForTrustDomains(context.bundles);
  if (!trust.ok()) return Contradiction("a bundle can't be used", trust.status());
  context.trust = *std::move(trust);
  return absl::OkStatus();
}

// Peers with the same bundles must accept the SVID.
absl::Status CheckAgainstBundle(const X509Context& context, absl::Time now) {
  ChainCheckerOptions options;
  options.trust = context.trust;
  options.peer_uris = {context.id.ToString()};
  const auto checker = ChainChecker::Create(std::move(options));
  if (!checker.ok()) return checker.status();
  const absl::Status verdict = (*checker)->Check(context.server->served(), "", now).verdict;
  if (verdict.ok() || GetError(verdict)->code == ErrorCode::kCertificateExpired) {
    return absl::OkStatus();
  }
  return Contradiction("peers would refuse the SVID", verdict);
}

}  // namespace

absl::StatusOr<X509Context> MakeX509Context(const WorkloadUpdate& update, absl::string_view wanted,
                                            absl::Time now) {
  const absl::StatusOr<const WorkloadSvid*> svid = FindSvid(update, wanted);
  if (!svid.ok()) return svid.status();
  absl::StatusOr<SpiffeId> id = SpiffeId::Parse((*svid)->spiffe_id);
  if (!id.ok()) return SvidError(ErrorCode::kProtocol, ToError(id.status())->detail);
  X509Context context;
  context.id = *std::move(id);
  context.hint = (*svid)->hint;
  absl::Status made = AddCredentials(**svid, context);
  if (made.ok()) made = AddBundles(update, **svid, context);
  if (made.ok()) made = CheckAgainstBundle(context, now);
  if (!made.ok()) return made;
  return context;
}

}  // namespace trestle
