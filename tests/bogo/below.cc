#include "tests/bogo/below.h"

#include <openssl/err.h>

#include <array>
#include <cstdint>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "lib/tls/engine/tls_internals.h"
#include "trestle/base/bytes.h"
#include "trestle/base/error.h"

namespace trestle::bogo {
namespace {

// The runner's connections come one after the other.
const SSL* newest = nullptr;

std::vector<uint16_t> Numbers(const std::vector<int>& values) {
  return std::vector<uint16_t>(values.begin(), values.end());
}

absl::Status Refused(absl::string_view what) {
  ERR_clear_error();
  return ConfigurationError(absl::StrCat("BoringSSL refuses ", what));
}

absl::Status Differs(absl::string_view what) {
  return absl::FailedPreconditionError(absl::StrCat(what, " is not the expected one"));
}

void AppendBytes(absl::Span<const uint8_t> bytes, std::string& out) {
  out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

}  // namespace

bool ConcernsBelow(const Flags& flags) { return flags.sets_below || HasForeignGroup(flags); }

bool HasForeignGroup(const Flags& flags) {
  return absl::c_any_of(flags.curves, [](int id) {
    return id != SSL_GROUP_SECP256R1 && id != SSL_GROUP_SECP384R1 && id != SSL_GROUP_SECP521R1 &&
           id != SSL_GROUP_X25519 && id != SSL_GROUP_X25519_MLKEM768;
  });
}

absl::Status SetBelow(const CredentialFiles& files, const Credential& credential) {
  SSL_CREDENTIAL* const native = TlsInternals::Native(credential);
  const std::vector<uint16_t> prefs = Numbers(files.signing_prefs);
  if (!prefs.empty() &&
      !SSL_CREDENTIAL_set1_signing_algorithm_prefs(native, prefs.data(), prefs.size())) {
    return Refused("the signature algorithms");
  }
  if (!files.ocsp_response.empty()) {
    const ByteView staple = AsBytes(files.ocsp_response);
    bssl::UniquePtr<CRYPTO_BUFFER> buffer(CRYPTO_BUFFER_new(staple.data(), staple.size(), nullptr));
    if (!SSL_CREDENTIAL_set1_ocsp_response(native, buffer.get())) return Refused("the staple");
  }
  if (files.must_match_issuer) SSL_CREDENTIAL_set_must_match_issuer(native, 1);
  return absl::OkStatus();
}

absl::Status SetBelow(const Flags& flags, SSL_CTX* context) {
  SSL_CTX_set_keylog_callback(context, [](const SSL* ssl, const char*) { newest = ssl; });
  if (flags.enable_grease) SSL_CTX_set_grease_enabled(context, 1);
  if (flags.permute_extensions) SSL_CTX_set_permute_extensions(context, 1);
  if (flags.no_ticket) SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
  if (!flags.cipher.empty() && !SSL_CTX_set_strict_cipher_list(context, flags.cipher.c_str())) {
    return Refused("the cipher suites");
  }
  const std::vector<uint16_t> groups = Numbers(flags.curves);
  if (HasForeignGroup(flags) && !SSL_CTX_set1_group_ids(context, groups.data(), groups.size())) {
    return Refused("the key exchange groups");
  }
  const std::vector<uint16_t> prefs = Numbers(flags.verify_prefs);
  if (!prefs.empty() && !SSL_CTX_set_verify_algorithm_prefs(context, prefs.data(), prefs.size())) {
    return Refused("the signature algorithms");
  }
  const auto fragment = static_cast<size_t>(flags.max_send_fragment);
  if (fragment != 0 && !SSL_CTX_set_max_send_fragment(context, fragment)) {
    return Refused("the size of records");
  }
  const auto policy = static_cast<ssl_compliance_policy_t>(flags.compliance_policy);
  if (policy != 0 && !SSL_CTX_set_compliance_policy(context, policy)) return Refused("the policy");
  return absl::OkStatus();
}

absl::Status CheckBelow(const Flags& flags) {
  const int algorithm = flags.expect_peer_signature_algorithm;
  if (algorithm != 0 && SSL_get_peer_signature_algorithm(newest) != algorithm) {
    return Differs("the peer's signature algorithm");
  }
  if (flags.expect_extended_master_secret && SSL_get_extms_support(newest) != 1) {
    return Differs("the extended master secret");
  }
  const bool secure = newest != nullptr && SSL_get_secure_renegotiation_support(newest) == 1;
  if ((flags.expect_secure_renegotiation && !secure) ||
      (flags.expect_no_secure_renegotiation && secure)) {
    return Differs("the mark against renegotiation");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ExportBelow(const Flags& flags) {
  std::string exported(static_cast<size_t>(flags.export_keying_material), '\0');
  if (!exported.empty() && !SSL_export_keying_material(
                               const_cast<SSL*>(newest), reinterpret_cast<uint8_t*>(&exported[0]),
                               exported.size(), flags.export_label.data(),
                               flags.export_label.size(), AsBytes(flags.export_context).data(),
                               flags.export_context.size(), flags.use_export_context ? 1 : 0)) {
    return Differs("the export of keys");
  }
  if (flags.export_traffic_secrets) {
    bssl::Span<const uint8_t> read;
    bssl::Span<const uint8_t> write;
    if (!bssl::SSL_get_traffic_secrets(newest, &read, &write)) return Differs("the secret");
    exported.push_back(static_cast<char>(read.size()));
    exported.push_back(static_cast<char>(read.size() >> 8));
    AppendBytes(absl::MakeConstSpan(read.data(), read.size()), exported);
    AppendBytes(absl::MakeConstSpan(write.data(), write.size()), exported);
  }
  if (flags.tls_unique) {
    std::array<uint8_t, 16> unique = {};
    size_t bytes = 0;
    if (!SSL_get_tls_unique(newest, unique.data(), &bytes, unique.size())) {
      return Differs("tls-unique");
    }
    AppendBytes(absl::MakeConstSpan(unique.data(), bytes), exported);
  }
  return exported;
}

}  // namespace trestle::bogo
