#include "tests/bogo/flags.h"

#include <openssl/ssl.h>

#include <functional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "tests/bogo/unmapped.h"

namespace trestle::bogo {
namespace {

// One flag with a meaning for Trestle. `set` returns false for a value that it can't read.
struct Row {
  const char* name;
  bool takes_value;
  std::function<bool(Flags&, const std::string& value)> set;
};

Row Switch(const char* name, bool Flags::*field) {
  return {name, false, [field](Flags& flags, const std::string&) { return flags.*field = true; }};
}

Row Number(const char* name, int Flags::*field) {
  return {name, true, [field](Flags& flags, const std::string& value) {
            return absl::SimpleAtoi(value, &(flags.*field));
          }};
}

Row Numbers(const char* name, std::vector<int> Flags::*field) {
  return {name, true, [field](Flags& flags, const std::string& value) {
            return absl::SimpleAtoi(value, &(flags.*field).emplace_back());
          }};
}

Row Text(const char* name, std::string Flags::*field) {
  return {name, true, [field](Flags& flags, const std::string& value) {
            flags.*field = value;
            return true;
          }};
}

Row Bytes(const char* name, std::string Flags::*field) {
  return {name, true, [field](Flags& flags, const std::string& value) {
            return absl::Base64Unescape(value, &(flags.*field));
          }};
}

Row ListOfBytes(const char* name, std::vector<std::string> Flags::*field) {
  return {name, true, [field](Flags& flags, const std::string& value) {
            return absl::Base64Unescape(value, &(flags.*field).emplace_back());
          }};
}

CredentialFiles& NewestCredential(Flags& flags) {
  return flags.credentials.empty() ? flags.default_credential : flags.credentials.back();
}

Row File(const char* name, std::string CredentialFiles::*field) {
  return {name, true, [field](Flags& flags, const std::string& value) {
            NewestCredential(flags).*field = value;
            return true;
          }};
}

Row Policy(const char* name, ssl_compliance_policy_t policy) {
  return {name, false, [policy](Flags& flags, const std::string&) {
            flags.compliance_policy = policy;
            return true;
          }};
}

// A flag that is mapped to what no option of Trestle has.
Row Below(Row row) {
  row.set = [set = std::move(row.set)](Flags& flags, const std::string& value) {
    flags.sets_below = true;
    return set(flags, value);
  };
  return row;
}

// A flag that asks for what Trestle does anyway.
Row Always(const char* name) {
  return {name, false, [](Flags&, const std::string&) { return true; }};
}

std::vector<Row> RowsBelowOptions() {
  return {
      {"-signing-prefs", true,
       [](Flags& flags, const std::string& value) {
         return absl::SimpleAtoi(value, &NewestCredential(flags).signing_prefs.emplace_back());
       }},
      {"-ocsp-response", true,
       [](Flags& flags, const std::string& value) {
         return absl::Base64Unescape(value, &NewestCredential(flags).ocsp_response);
       }},
      {"-must-match-issuer", false,
       [](Flags& flags, const std::string&) {
         return NewestCredential(flags).must_match_issuer = true;
       }},
      Numbers("-verify-prefs", &Flags::verify_prefs),
      Text("-cipher", &Flags::cipher),
      Policy("-fips-202205", ssl_compliance_policy_fips_202205),
      Policy("-wpa-202304", ssl_compliance_policy_wpa3_192_202304),
      Policy("-cnsa-202407", ssl_compliance_policy_cnsa_202407),
      Policy("-cnsa1-202603", ssl_compliance_policy_cnsa1_202603),
      Policy("-cnsa2-202603", ssl_compliance_policy_cnsa2_202603),
      Switch("-enable-grease", &Flags::enable_grease),
      Switch("-permute-extensions", &Flags::permute_extensions),
      Switch("-no-ticket", &Flags::no_ticket),
      Number("-max-send-fragment", &Flags::max_send_fragment),
      Number("-expect-peer-signature-algorithm", &Flags::expect_peer_signature_algorithm),
      Switch("-expect-extended-master-secret", &Flags::expect_extended_master_secret),
      Switch("-expect-secure-renegotiation", &Flags::expect_secure_renegotiation),
      Switch("-expect-no-secure-renegotiation", &Flags::expect_no_secure_renegotiation),
      Switch("-tls-unique", &Flags::tls_unique),
      Switch("-export-traffic-secrets", &Flags::export_traffic_secrets),
      Number("-export-keying-material", &Flags::export_keying_material),
      Text("-export-label", &Flags::export_label),
      Text("-export-context", &Flags::export_context),
      Switch("-use-export-context", &Flags::use_export_context),
  };
}

std::vector<Row> RowsOfOptions() {
  return {
      // The test bed.
      Number("-port", &Flags::port),
      Switch("-ipv6", &Flags::ipv6),
      {"-shim-id", true,
       [](Flags& flags, const std::string& value) {
         return absl::SimpleAtoi(value, &flags.shim_id);
       }},
      Switch("-server", &Flags::server),
      Switch("-is-handshaker-supported", &Flags::is_handshaker_supported),
      Number("-resume-count", &Flags::resume_count),
      Text("-write-settings", &Flags::write_settings),
      Switch("-trestle-chopped", &Flags::chopped),
      Switch("-trestle-routed", &Flags::routed),
      // Credentials.
      {"-new-x509-credential", false,
       [](Flags& flags, const std::string&) {
         flags.credentials.emplace_back();
         return true;
       }},
      File("-cert-file", &CredentialFiles::chain),
      File("-key-file", &CredentialFiles::key),
      Text("-trust-cert", &Flags::trust_cert),
      // Parameters.
      Number("-min-version", &Flags::min_version),
      Number("-max-version", &Flags::max_version),
      Switch("-no-tls13", &Flags::no_tls13),
      Switch("-no-tls12", &Flags::no_tls12),
      Always("-no-tls11"),
      Always("-no-tls1"),
      Numbers("-curves", &Flags::curves),
      Always("-server-preference"),
      // Names and protocols.
      Text("-host-name", &Flags::host_name),
      Text("-advertise-alpn", &Flags::advertise_alpn),
      Text("-select-alpn", &Flags::select_alpn),
      Switch("-decline-alpn", &Flags::decline_alpn),
      Switch("-reject-alpn", &Flags::reject_alpn),
      ListOfBytes("-ech-server-config", &Flags::ech_server_config),
      ListOfBytes("-ech-server-key", &Flags::ech_server_key),
      Numbers("-ech-is-retry-config", &Flags::ech_is_retry_config),
      // Decisions of the host.
      Switch("-async", &Flags::async),
      Switch("-verify-peer", &Flags::verify_peer),
      Switch("-verify-fail", &Flags::verify_fail),
      Switch("-use-custom-verify-callback", &Flags::use_custom_verify_callback),
      Switch("-reverify-on-resume", &Flags::reverify_on_resume),
      Switch("-require-any-client-certificate", &Flags::require_any_client_certificate),
      Switch("-use-early-callback", &Flags::use_early_callback),
      Switch("-fail-early-callback", &Flags::fail_early_callback),
      Switch("-fail-cert-callback", &Flags::fail_cert_callback),
      Switch("-install-ddos-callback", &Flags::install_ddos_callback),
      Switch("-fail-ddos-callback", &Flags::fail_ddos_callback),
      Switch("-enable-ocsp-stapling", &Flags::enable_ocsp_stapling),
      Always("-use-ticket-callback"),       // The ring encrypts all tickets.
      Always("-use-ticket-aead-callback"),  // As above.
      Always("-partial-write"),             // A Write may take a part.
      // What the shim does with the connection.
      Switch("-implicit-handshake", &Flags::implicit_handshake),
      Switch("-shim-writes-first", &Flags::shim_writes_first),
      Text("-shim-initial-write", &Flags::shim_initial_write),
      Number("-repeat-shim-initial-write", &Flags::repeat_shim_initial_write),
      Switch("-write-different-record-sizes", &Flags::write_different_record_sizes),
      Switch("-read-with-unfinished-write", &Flags::read_with_unfinished_write),
      Number("-read-size", &Flags::read_size),
      Switch("-shim-shuts-down", &Flags::shim_shuts_down),
      Switch("-check-close-notify", &Flags::check_close_notify),
      Number("-resumption-delay", &Flags::resumption_delay),
      // What it must find.
      Number("-expect-version", &Flags::expect_version),
      Number("-expect-cipher", &Flags::expect_cipher),
      Number("-expect-cipher-aes", &Flags::expect_cipher_aes),
      Number("-expect-cipher-no-aes", &Flags::expect_cipher_no_aes),
      Number("-expect-curve-id", &Flags::expect_curve_id),
      Text("-expect-server-name", &Flags::expect_server_name),
      Text("-expect-alpn", &Flags::expect_alpn),
      Text("-expect-advertised-alpn", &Flags::expect_advertised_alpn),
      Bytes("-expect-ocsp-response", &Flags::expect_ocsp_response),
      Text("-expect-peer-cert-file", &Flags::expect_peer_cert_file),
      Number("-expect-selected-credential", &Flags::expect_selected_credential),
      Switch("-expect-session-miss", &Flags::expect_session_miss),
      Switch("-expect-no-session", &Flags::expect_no_session),
      Switch("-expect-session-id", &Flags::expect_session_id),
      Switch("-expect-no-session-id", &Flags::expect_no_session_id),
      Switch("-expect-hrr", &Flags::expect_hrr),
      Switch("-expect-no-hrr", &Flags::expect_no_hrr),
      Switch("-expect-ech-accept", &Flags::expect_ech_accept),
      Switch("-expect-no-peer-cert", &Flags::expect_no_peer_cert),
      Always("-expect-verify-result"),  // A verifier's verdict decides about the handshake.
      Switch("-handshake-never-done", &Flags::handshake_never_done),
  };
}

const Row* FindRow(absl::string_view name) {
  static const std::vector<Row>* const rows = [] {
    auto* const all = new std::vector<Row>(RowsOfOptions());
    for (Row& row : RowsBelowOptions()) all->push_back(Below(std::move(row)));
    return all;
  }();
  for (const Row& row : *rows) {
    if (name == row.name) return &row;
  }
  return nullptr;
}

// Removes "-on-resume" and the like from "-on-resume-verify-fail".
bool TakePrefix(absl::string_view& name, absl::string_view prefix) {
  if (!absl::StartsWith(name, absl::StrCat(prefix, "-"))) return false;
  name.remove_prefix(prefix.size());
  return true;
}

// Finds what must be known even if a flag before it can't be mapped: the case, and its protocol,
// which explains other flags that can't be mapped.
void ReadAhead(absl::Span<char* const> arguments, CommandLine& line) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    const absl::string_view name = arguments[i];
    if (name == "-dtls" || name == "-quic") line.unmapped = WhyUnmapped(name);
    if (name == "-write-settings" && i + 1 < arguments.size()) {
      line.initial.write_settings = arguments[i + 1];
    }
  }
}

}  // namespace

CommandLine ParseCommandLine(absl::Span<char* const> arguments) {
  CommandLine line;
  ReadAhead(arguments, line);
  for (size_t i = 0; i < arguments.size(); ++i) {
    absl::string_view name = arguments[i];
    TakePrefix(name, "-on-shim");
    const bool initial_only = TakePrefix(name, "-on-initial");
    const bool resume_only = !initial_only && TakePrefix(name, "-on-resume");
    const Row* row = FindRow(name);
    if (row == nullptr) {
      // Whether it has a value is not known, so that the rest can't be read. The runner puts what
      // identifies the case first.
      if (line.unmapped.empty()) line.unmapped = WhyUnmapped(name);
      break;
    }
    std::string value;
    if (row->takes_value) {
      if (++i == arguments.size()) {
        line.unmapped = absl::StrCat("a flag without a value: ", name);
        break;
      }
      value = arguments[i];
    }
    const bool read = (resume_only || row->set(line.initial, value)) &&
                      (initial_only || row->set(line.resume, value));
    if (!read) line.unmapped = absl::StrCat("a value that the shim can't read: ", name);
  }
  return line;
}

}  // namespace trestle::bogo
