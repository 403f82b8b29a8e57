#include "examples/support/back_tls.h"

#include <utility>

#include "absl/flags/flag.h"
#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "examples/support/key_uris.h"
#include "examples/support/pem_files.h"
#include "examples/support/program.h"
#include "examples/support/public_roots.h"
#include "trestle/linux/ca_files.h"
#include "trestle/pki/chain_findings.h"

ABSL_FLAG(std::string, backend_ca, "",
          "PEM file, or directory of PEM files, with the CAs for backends' certificates; or "
          "\"system\" for the CAs that this machine trusts");
ABSL_FLAG(
    std::string, backend_crl, "",
    "PEM file with revocation lists, one for each CA; without it, no revocation list is checked");
ABSL_FLAG(std::string, backend_pins, "",
          "base64 SHA-256 digests of public keys, comma-separated: the backend's chain must also "
          "contain one of them; include a backup");
ABSL_FLAG(std::string, backend_cert, "",
          "PEM file with the certificate to present to backends that request one");
ABSL_FLAG(std::string, backend_key, "",
          "PEM file with the private key of --backend_cert, or a URI as in --key");
ABSL_FLAG(bool, backend_resumption, true,
          "resumes TLS sessions with the backend; false: every connection makes a full handshake");

namespace trestle::examples {
namespace {

absl::StatusOr<std::string> CaPath() {
  absl::StatusOr<std::string> path = RequiredFlag("backend_ca", absl::GetFlag(FLAGS_backend_ca));
  if (!path.ok() || *path != "system") return path;
  return FindSystemCas();
}

absl::Status AddCredential(ClientTlsOptions& options) {
  const std::string cert_path = absl::GetFlag(FLAGS_backend_cert);
  const std::string key_path = absl::GetFlag(FLAGS_backend_key);
  if (cert_path.empty() != key_path.empty()) {
    return absl::InvalidArgumentError("--backend_cert and --backend_key go together");
  }
  if (cert_path.empty()) return absl::OkStatus();
  absl::StatusOr<std::shared_ptr<const Credential>> credential =
      LoadCredential(cert_path, key_path, "", nullptr, CredentialUse::kClient);
  if (!credential.ok()) return credential.status();
  options.credential = *std::move(credential);
  return absl::OkStatus();
}

// The SVID is what backends get, unless there is another certificate for them.
absl::Status ReadSpiffe(SpiffeAgent& spiffe, ReloadSources& sources) {
  if (!absl::GetFlag(FLAGS_backend_ca).empty() || !absl::GetFlag(FLAGS_backend_crl).empty()) {
    return FlagError("spiffe_backends", "excludes --backend_ca and --backend_crl");
  }
  const std::shared_ptr<const X509Context>& context = spiffe.Use();
  ClientTlsOptions options;
  options.trust_domains = context->bundles;
  options.peer_uris = spiffe.backends();
  options.pins = absl::StrSplit(absl::GetFlag(FLAGS_backend_pins), ',', absl::SkipEmpty());
  if (absl::Status status = AddCredential(options); !status.ok()) return status;
  if (options.credential == nullptr) options.credential = context->client;
  sources.back_tls = std::move(options);
  sources.back_tls_name = "the SPIFFE agent's bundles";
  return absl::OkStatus();
}

}  // namespace

bool HasBackTls() { return SpiffeVerifiesBackends() || !absl::GetFlag(FLAGS_backend_ca).empty(); }

bool BackTls::Resumes() { return absl::GetFlag(FLAGS_backend_resumption); }

absl::Status BackTls::Read(SpiffeAgent* spiffe, ReloadSources& sources) {
  if (spiffe != nullptr && SpiffeVerifiesBackends()) return ReadSpiffe(*spiffe, sources);
  const absl::StatusOr<std::string> path = CaPath();
  if (!path.ok()) return path.status();
  absl::StatusOr<std::string> ca_pem = ReadCaCertificates(*path);
  if (!ca_pem.ok()) return ca_pem.status();
  ClientTlsOptions options;
  options.ca_pem = *std::move(ca_pem);
  const std::string crl_path = absl::GetFlag(FLAGS_backend_crl);
  if (!crl_path.empty()) {
    absl::StatusOr<std::string> crl_pem = ReadRevocationLists(crl_path);
    if (!crl_pem.ok()) return crl_pem.status();
    options.crl_pem = *std::move(crl_pem);
  }
  const bool has_crl = !options.crl_pem.empty();
  if (absl::Status cas = CheckCas(*path, options.ca_pem, has_crl); !cas.ok()) return cas;
  options.pins = absl::StrSplit(absl::GetFlag(FLAGS_backend_pins), ',', absl::SkipEmpty());
  if (absl::Status status = AddCredential(options); !status.ok()) return status;
  sources.back_tls = std::move(options);
  sources.back_tls_name = crl_path.empty() ? *path : absl::StrCat(*path, " with ", crl_path);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<BackTls>> BackTls::FromFlags(SpiffeAgent* spiffe) {
  ReloadSources sources;
  if (absl::Status read = Read(spiffe, sources); !read.ok()) return read;
  absl::StatusOr<std::shared_ptr<const ClientTlsConfig>> config =
      ClientTlsConfig::Create(*std::move(sources.back_tls));
  if (!config.ok()) return CannotUse(sources.back_tls_name, config.status());
  return absl::WrapUnique(new BackTls(spiffe, *std::move(config)));
}

std::vector<Finding> BackTls::Findings() const {
  const std::shared_ptr<const Credential>& credential = config_->options().credential;
  if (credential == nullptr) return {};
  const auto roots = PublicRoots();
  ChainFindingOptions options;
  options.use = ChainUse::kClient;
  options.public_roots = roots.ok() ? roots->get() : nullptr;
  return FindingsOfChain(credential->served(), options, absl::Now());
}

std::vector<std::string> BackTls::files() {
  std::vector<std::string> files;
  const absl::StatusOr<std::string> ca = CaPath();
  if (ca.ok() && !SpiffeVerifiesBackends()) files.push_back(WatchedPath(*ca));
  for (const std::string& path :
       {absl::GetFlag(FLAGS_backend_crl), absl::GetFlag(FLAGS_backend_cert),
        absl::GetFlag(FLAGS_backend_key)}) {
    if (!path.empty() && !IsKeyUri(path)) files.push_back(path);
  }
  return files;
}

}  // namespace trestle::examples
