#include "tests/bogo/tls_setup.h"

#include <openssl/ssl.h>

#include <optional>
#include <string>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "lib/tls/engine/tls_internals.h"
#include "tests/bogo/below.h"
#include "trestle/base/error.h"
#include "trestle/linux/file.h"
#include "trestle/testing/test_pki.h"
#include "trestle/tls/client_authentication.h"
#include "trestle/tls/client_tls_config.h"
#include "trestle/tls/ech_keys.h"
#include "trestle/tls/server_tls_config.h"

namespace trestle::bogo {
namespace {

// The name in the runner's certificates.
constexpr char kRunnerName[] = "test";

TlsGroup GroupOf(int id) {
  switch (id) {
    case SSL_GROUP_SECP256R1:
      return TlsGroup::kP256;
    case SSL_GROUP_SECP384R1:
      return TlsGroup::kP384;
    case SSL_GROUP_SECP521R1:
      return TlsGroup::kP521;
    case SSL_GROUP_X25519:
      return TlsGroup::kX25519;
    default:
      return TlsGroup::kX25519MlKem768;
  }
}

absl::StatusOr<TlsParameters> ParametersOf(const Flags& flags) {
  TlsParameters parameters;
  const int most = flags.max_version == 0 ? TLS1_3_VERSION : flags.max_version;
  const bool no_tls13 = flags.no_tls13 || most < TLS1_3_VERSION;
  const bool no_tls12 =
      flags.no_tls12 || most < TLS1_2_VERSION || flags.min_version > TLS1_2_VERSION;
  if (no_tls12 && no_tls13) return ConfigurationError("TLS 1.1 and older are not in Trestle");
  if (no_tls13) parameters.max_version = TlsVersion::kTls12;
  if (no_tls12) parameters.min_version = TlsVersion::kTls13;
  if (flags.curves.empty() || HasForeignGroup(flags)) return parameters;
  parameters.groups.clear();
  for (const int id : flags.curves) parameters.groups.push_back(GroupOf(id));
  // The hybrid alone needs TLS 1.3, and Trestle refuses to offer TLS 1.2 without a group.
  if (absl::c_all_of(parameters.groups,
                     [](TlsGroup group) { return group == TlsGroup::kX25519MlKem768; })) {
    parameters.min_version = TlsVersion::kTls13;
  }
  return parameters;
}

absl::StatusOr<std::shared_ptr<const Credential>> LoadCredential(const CredentialFiles& files,
                                                                 const Flags& flags) {
  if (files.chain.empty() || files.key.empty()) {
    return ConfigurationError("a credential has both a certificate and a key");
  }
  const absl::StatusOr<std::string> chain = ReadFile(files.chain);
  if (!chain.ok()) return chain.status();
  const absl::StatusOr<std::string> key = ReadFile(files.key);
  if (!key.ok()) return key.status();
  LaterSigners later;
  CredentialOptions options;
  options.use = flags.server ? CredentialUse::kServer : CredentialUse::kClient;
  if (flags.async) options.signers = &later;
  auto credential = Credential::FromPem(*chain, *key, options);
  if (!credential.ok()) return credential.status();
  const absl::Status set = SetBelow(files, **credential);
  if (!set.ok()) return set;
  return credential;
}

absl::StatusOr<std::vector<std::shared_ptr<const Credential>>> LoadCredentials(const Flags& flags) {
  std::vector<std::shared_ptr<const Credential>> credentials;
  std::vector<CredentialFiles> all = flags.credentials;
  const CredentialFiles& by_default = flags.default_credential;
  if (!by_default.chain.empty() || !by_default.key.empty()) all.insert(all.begin(), by_default);
  for (const CredentialFiles& files : all) {
    absl::StatusOr<std::shared_ptr<const Credential>> credential = LoadCredential(files, flags);
    if (!credential.ok()) return credential.status();
    credentials.push_back(*std::move(credential));
  }
  return credentials;
}

// Returns PEM text with the keys: Trestle reads pairs of a PKCS#8 key and a list of configs.
absl::StatusOr<std::string> EchPem(const Flags& flags) {
  static const std::string kPkcs8(
      "\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x6e\x04\x22\x04\x20", 16);
  std::string pem;
  for (size_t i = 0; i < flags.ech_server_config.size(); ++i) {
    if ((flags.ech_is_retry_config[i] != 0) != (i == 0)) {
      return ConfigurationError("the first ECH config, and no other, is the one to retry with");
    }
    const std::string& config = flags.ech_server_config[i];
    const std::string list = absl::StrCat(std::string(1, static_cast<char>(config.size() >> 8)),
                                          std::string(1, static_cast<char>(config.size())), config);
    absl::StrAppend(&pem, "-----BEGIN PRIVATE KEY-----\n",
                    absl::Base64Escape(absl::StrCat(kPkcs8, flags.ech_server_key[i])),
                    "\n-----END PRIVATE KEY-----\n-----BEGIN ECHCONFIG-----\n",
                    absl::Base64Escape(list), "\n-----END ECHCONFIG-----\n");
  }
  return pem;
}

// The runner's clients have no root in common with its servers. Without one, the server's own
// certificate stands in: such a client presents none.
absl::StatusOr<std::shared_ptr<const TrustStore>> TrustOf(const Flags& flags) {
  const std::string& path =
      flags.trust_cert.empty() ? flags.default_credential.chain : flags.trust_cert;
  const absl::StatusOr<std::string> pem = ReadFile(path);
  return pem.ok() ? TrustStore::Create(*pem) : pem.status();
}

absl::Status AskForCertificates(const Flags& flags, ServerTlsOptions& options) {
  if (!flags.require_any_client_certificate && !flags.verify_peer) return absl::OkStatus();
  const absl::StatusOr<std::shared_ptr<const TrustStore>> trust = TrustOf(flags);
  if (!trust.ok()) return trust.status();
  ClientAuthOptions authentication;
  authentication.otherwise.certificate =
      flags.verify_peer ? ClientCertificate::kOptional : ClientCertificate::kRequired;
  authentication.otherwise.trust = *trust;
  auto made = ClientAuthentication::Create(std::move(authentication));
  if (!made.ok()) return made.status();
  options.client_authentication = *std::move(made);
  return absl::OkStatus();
}

// A server with ECH has a certificate for the public name, which the runner's clients don't verify.
absl::Status AddEchKeys(const Flags& flags, Side& side, absl::Time now, ServerTlsOptions& options) {
  if (flags.ech_server_config.empty()) return absl::OkStatus();
  const absl::StatusOr<std::string> pem = EchPem(flags);
  if (!pem.ok()) return pem.status();
  auto keys = EchKeys::FromPem(*pem);
  if (!keys.ok()) return keys.status();
  options.ech_keys = *std::move(keys);
  testing::TestPki pki(now);
  for (const EchKeys::Config& config : options.ech_keys->Configs()) {
    side.extra.push_back(pki.IssueCredential({{config.public_name}}));
  }
  return absl::OkStatus();
}

// The store would choose by the dates, which the runner makes equal up to a second.
bool TwoHaveOneKeyType(const std::vector<std::shared_ptr<const Credential>>& credentials) {
  for (size_t i = 0; i < credentials.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (credentials[i]->key_type() == credentials[j]->key_type()) return true;
    }
  }
  return false;
}

// A selector is asked for names that the store does not cover.
absl::Status AddCertificates(const Flags& flags, const Side& side, absl::Time now,
                             ServerTlsOptions& options) {
  if (TwoHaveOneKeyType(side.credentials)) {
    return ConfigurationError("a name has one credential of each key type: the one valid longest");
  }
  auto credentials = side.credentials;
  credentials.insert(credentials.end(), side.extra.begin(), side.extra.end());
  if (flags.fail_cert_callback) {
    testing::TestPki pki(now);
    credentials = {pki.IssueCredential({{"other.example"}})};
    options.selector = std::make_shared<FailingSelector>();
  }
  auto store = CertificateStore::Create(std::move(credentials), now);
  if (!store.ok()) return store.status();
  options.certificates = *std::move(store);
  return absl::OkStatus();
}

void ChooseAlpn(const Flags& flags, ServerTlsOptions& options) {
  if (flags.reject_alpn) {
    options.alpn = {"no client offers this"};
  } else if (!flags.select_alpn.empty()) {
    options.alpn = {flags.select_alpn};
  }
}

absl::StatusOr<Side> MakeServer(const Flags& flags, bool asks_verifier, Scheduler& loop,
                                Memory& memory, Side side) {
  ServerTlsOptions options;
  absl::StatusOr<TlsParameters> parameters = ParametersOf(flags);
  if (!parameters.ok()) return parameters.status();
  options.parameters = *std::move(parameters);
  options.ticket_keys = memory.ticket_keys;
  options.session_cache = memory.server_sessions;
  if (asks_verifier) options.client_verifier = std::make_shared<FlagVerifier>(flags);
  ChooseAlpn(flags, options);
  for (const absl::Status& added :
       {AddEchKeys(flags, side, loop.Now(), options), AskForCertificates(flags, options),
        AddCertificates(flags, side, loop.Now(), options)}) {
    if (!added.ok()) return added;
  }
  auto config = ServerTlsConfig::Create(std::move(options));
  if (!config.ok()) return config.status();
  const absl::Status set = SetBelow(flags, TlsInternals::Native(**config));
  if (!set.ok()) return set;
  if (flags.async || flags.use_early_callback || flags.fail_early_callback ||
      !flags.expect_advertised_alpn.empty()) {
    side.hook = std::make_unique<FlagHook>(flags, loop);
  }
  side.engine = TlsEngine::NewServer(*std::move(config), loop, std::nullopt, side.hook.get());
  if (flags.install_ddos_callback) {
    side.engine->SetAdmission([fail = flags.fail_ddos_callback] {
      return fail ? OverLimitError(Limit::kFullHandshakes, Phase::kHandshake, "no room")
                  : absl::OkStatus();
    });
  }
  return side;
}

absl::StatusOr<Side> MakeClient(const Flags& flags, bool asks_verifier, Scheduler& loop,
                                Memory& memory, Side side) {
  ClientTlsOptions options;
  absl::StatusOr<TlsParameters> parameters = ParametersOf(flags);
  if (!parameters.ok()) return parameters.status();
  options.parameters = *std::move(parameters);
  options.request_staple = flags.enable_ocsp_stapling;
  options.dangerous_skip_verify = !flags.verify_peer;
  if (!flags.trust_cert.empty() && flags.verify_peer) {
    absl::StatusOr<std::string> ca = ReadFile(flags.trust_cert);
    if (!ca.ok()) return ca.status();
    options.ca_pem = *std::move(ca);
  }
  if (asks_verifier) options.verifier = std::make_shared<FlagVerifier>(flags);
  if (side.credentials.size() > 1) {
    return ConfigurationError("a client has one credential for all servers");
  }
  if (!side.credentials.empty()) options.credential = side.credentials.front();
  if (flags.fail_cert_callback) {
    return ConfigurationError("a client is not asked for a certificate, it has one or none");
  }
  auto config = ClientTlsConfig::Create(std::move(options));
  if (!config.ok()) return config.status();
  const absl::Status set = SetBelow(flags, TlsInternals::Native(**config));
  if (!set.ok()) return set;
  ClientTlsTarget target;
  target.server_name = flags.host_name;
  if (flags.host_name.empty()) target.verify_name = kRunnerName;
  target.sessions = &memory.client_sessions;
  target.host = "the runner";
  target.alpn_optional = true;
  if (!SplitProtocols(flags.advertise_alpn, target.alpn)) {
    return ConfigurationError("the list of protocols is malformed");
  }
  auto engine = TlsEngine::NewClient(*std::move(config), target, loop);
  if (!engine.ok()) return engine.status();
  side.engine = *std::move(engine);
  return side;
}

}  // namespace

absl::StatusOr<Side> MakeSide(const Flags& flags, bool asks_verifier, Scheduler& loop,
                              Memory& memory) {
  if (flags.routed && !flags.server) {
    return ConfigurationError("a router stands in front of servers");
  }
  const bool enforced =
      flags.verify_peer || flags.use_custom_verify_callback || flags.require_any_client_certificate;
  if (flags.verify_fail && !enforced) {
    return ConfigurationError("a peer that a verifier refuses is refused");
  }
  auto credentials = LoadCredentials(flags);
  if (!credentials.ok()) return credentials.status();
  Side side;
  side.credentials = *std::move(credentials);
  return flags.server ? MakeServer(flags, asks_verifier, loop, memory, std::move(side))
                      : MakeClient(flags, asks_verifier, loop, memory, std::move(side));
}

}  // namespace trestle::bogo
