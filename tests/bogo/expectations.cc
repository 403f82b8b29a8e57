#include "tests/bogo/expectations.h"

#include <openssl/aead.h>
#include <openssl/ssl.h>

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/bogo/below.h"
#include "trestle/linux/file.h"

namespace trestle::bogo {
namespace {

absl::Status Differs(absl::string_view what, absl::string_view found, absl::string_view expected) {
  return absl::FailedPreconditionError(
      absl::StrCat(what, " is \"", found, "\", expected was \"", expected, "\""));
}

absl::Status Same(absl::string_view what, absl::string_view found, absl::string_view expected) {
  return found == expected ? absl::OkStatus() : Differs(what, found, expected);
}

absl::Status SameTruth(absl::string_view what, bool found, bool expected) {
  return Same(what, found ? "true" : "false", expected ? "true" : "false");
}

absl::string_view VersionName(int number) {
  return number == TLS1_3_VERSION ? "TLSv1.3" : number == TLS1_2_VERSION ? "TLSv1.2" : "older";
}

absl::Status CheckCipher(const Flags& flags, const TlsInfo& info) {
  const int by_hardware =
      EVP_has_aes_hardware() != 0 ? flags.expect_cipher_aes : flags.expect_cipher_no_aes;
  for (const int number : {flags.expect_cipher, by_hardware}) {
    if (number == 0) continue;
    const SSL_CIPHER* cipher = SSL_get_cipher_by_value(static_cast<uint16_t>(number));
    const char* name = cipher == nullptr ? "unknown" : SSL_CIPHER_standard_name(cipher);
    if (absl::Status same = Same("the cipher", info.cipher, name); !same.ok()) return same;
  }
  return absl::OkStatus();
}

absl::Status CheckParameters(const Flags& flags, const TlsInfo& info) {
  if (flags.expect_version != 0) {
    absl::Status same = Same("the version", info.version, VersionName(flags.expect_version));
    if (!same.ok()) return same;
  }
  if (flags.expect_curve_id != 0) {
    const char* name = SSL_get_group_name(static_cast<uint16_t>(flags.expect_curve_id));
    absl::Status same = Same("the group", info.group, name == nullptr ? "unknown" : name);
    if (!same.ok()) return same;
  }
  if (flags.expect_hrr || flags.expect_no_hrr) {
    absl::Status same = SameTruth("hello_retried", info.hello_retried, flags.expect_hrr);
    if (!same.ok()) return same;
  }
  return CheckCipher(flags, info);
}

absl::Status CheckNames(const Flags& flags, const Side& side, const TlsInfo& info) {
  absl::Status same = Same("the application protocol", info.alpn,
                           flags.server ? flags.select_alpn : flags.expect_alpn);
  if (!same.ok()) return same;
  if (!flags.expect_server_name.empty()) {
    same = Same("the server name", info.server_name, flags.expect_server_name);
    if (!same.ok()) return same;
  }
  if (!flags.expect_advertised_alpn.empty()) {
    same =
        Same("the client's protocols", side.hook->advertised_alpn(), flags.expect_advertised_alpn);
    if (!same.ok()) return same;
  }
  if (side.hook != nullptr) {
    same = SameTruth("the hook was asked", side.hook->asked(), true);
    if (!same.ok()) return same;
  }
  return SameTruth("ech_accepted", info.ech_accepted, flags.expect_ech_accept);
}

// Reads the certificates of a PEM file as DER.
absl::StatusOr<std::vector<std::string>> ReadCertificates(const std::string& path) {
  const absl::StatusOr<std::string> pem = ReadFile(path);
  if (!pem.ok()) return pem.status();
  std::vector<std::string> certificates;
  for (const absl::string_view block : absl::StrSplit(*pem, "-----BEGIN CERTIFICATE-----")) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(block, absl::MaxSplits("-----END CERTIFICATE-----", 1));
    std::string der;
    if (!parts.first.empty() && absl::Base64Unescape(parts.first, &der)) {
      certificates.push_back(std::move(der));
    }
  }
  return certificates;
}

std::vector<std::string> ShownBytes(const Flags& flags, const TlsStream& stream) {
  if (!flags.server) return stream.served_chain().certificates;
  const auto& identity = stream.tls_info().peer_identity;
  return identity == nullptr ? std::vector<std::string>() : identity->certificates;
}

absl::Status CheckPeer(const Flags& flags, const TlsStream& stream) {
  const bool needs_chain = !flags.server || flags.require_any_client_certificate;
  if (flags.expect_no_peer_cert || needs_chain) {
    absl::Status same = SameTruth("a certificate of the peer", !ShownBytes(flags, stream).empty(),
                                  !flags.expect_no_peer_cert);
    if (!same.ok()) return same;
  }
  if (!flags.expect_ocsp_response.empty()) {
    absl::Status same =
        Same("the staple", absl::BytesToHexString(stream.served_chain().ocsp_staple),
             absl::BytesToHexString(flags.expect_ocsp_response));
    if (!same.ok()) return same;
  }
  if (flags.expect_peer_cert_file.empty()) return absl::OkStatus();
  const auto expected = ReadCertificates(flags.expect_peer_cert_file);
  if (!expected.ok()) return expected.status();
  return SameTruth("the peer's chain is the expected one", ShownBytes(flags, stream) == *expected,
                   true);
}

absl::Status CheckCredential(const Flags& flags, const Side& side, const TlsInfo& info) {
  if (flags.expect_selected_credential < 0) return absl::OkStatus();
  if (info.local_chain.empty()) return Differs("the credential", "none", "one");
  for (size_t i = 0; i < side.credentials.size(); ++i) {
    const CertificateInfo& leaf = side.credentials[i]->chain().front();
    if (leaf.serial != info.local_chain.front().serial) continue;
    return Same("the credential", absl::StrCat(i), absl::StrCat(flags.expect_selected_credential));
  }
  return Differs("the credential", "unknown", absl::StrCat(flags.expect_selected_credential));
}

}  // namespace

absl::Status CheckHandshake(const Flags& flags, bool is_resume, const Side& side,
                            const TlsStream& stream) {
  const TlsInfo& info = stream.tls_info();
  if (flags.handshake_never_done) return absl::FailedPreconditionError("the handshake ended well");
  absl::Status same = SameTruth("resumed", info.resumed, is_resume && !flags.expect_session_miss);
  if (same.ok()) same = CheckParameters(flags, info);
  if (same.ok()) same = CheckNames(flags, side, info);
  if (same.ok()) same = CheckPeer(flags, stream);
  if (same.ok()) same = CheckCredential(flags, side, info);
  if (same.ok()) same = CheckBelow(flags);
  return same;
}

absl::Status CheckSessions(const Flags& flags, bool is_resume, const Memory& memory) {
  if (flags.server) {
    if (is_resume || !(flags.expect_session_id || flags.expect_no_session_id)) {
      return absl::OkStatus();
    }
    return SameTruth("a session by its ID", memory.server_sessions->sessions() > 0,
                     flags.expect_session_id);
  }
  if (flags.shim_shuts_down) return absl::OkStatus();
  return SameTruth("a session for later", memory.client_sessions.sessions() > 0,
                   !flags.expect_no_session);
}

}  // namespace trestle::bogo
