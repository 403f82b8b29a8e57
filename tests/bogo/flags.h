// The command line that BoGo's runner gives to a shim, as values. What Trestle can't be told is
// refused with a reason: see unmapped.h.
#ifndef TRESTLE_TESTS_BOGO_FLAGS_H_
#define TRESTLE_TESTS_BOGO_FLAGS_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"

namespace trestle::bogo {

/// Files of one credential, in PEM, and what is set below Trestle's options.
struct CredentialFiles {
  std::string chain;
  std::string key;
  std::vector<int> signing_prefs;
  std::string ocsp_response;  // Binary.
  bool must_match_issuer = false;
};

/// The flags of one connection. The names are those of the runner's flags.
struct Flags {
  // The test bed.
  int port = 0;
  bool ipv6 = false;
  uint64_t shim_id = 0;
  bool server = false;
  bool is_handshaker_supported = false;
  int resume_count = 0;
  std::string write_settings;  // A path that ends with the name of the case and "-".
  bool chopped = false;        // Our own flag: every read and write moves one byte.
  bool routed = false;         // Our own flag: a server behind a reader of hellos, as in a router.

  // Credentials. The first is the one without a "-new-…-credential" flag, if there is any.
  CredentialFiles default_credential;
  std::vector<CredentialFiles> credentials;
  std::string trust_cert;

  // Parameters.
  int min_version = 0;
  int max_version = 0;
  bool no_tls12 = false;
  bool no_tls13 = false;
  std::vector<int> curves;

  // Names and protocols.
  std::string host_name;
  std::string advertise_alpn;
  std::string select_alpn;
  bool decline_alpn = false;
  bool reject_alpn = false;
  std::vector<std::string> ech_server_config;  // Binary, as are the keys.
  std::vector<std::string> ech_server_key;
  std::vector<int> ech_is_retry_config;

  // Decisions of the host.
  bool async = false;
  bool verify_peer = false;
  bool verify_fail = false;
  bool use_custom_verify_callback = false;
  bool reverify_on_resume = false;
  bool require_any_client_certificate = false;
  bool use_early_callback = false;
  bool fail_early_callback = false;
  bool fail_cert_callback = false;
  bool install_ddos_callback = false;
  bool fail_ddos_callback = false;
  bool enable_ocsp_stapling = false;

  // Below Trestle's options: see below.h.
  bool sets_below = false;  // At least one of these was given.
  std::vector<int> verify_prefs;
  std::string cipher;
  int compliance_policy = 0;  // Of ssl_compliance_policy_t.
  bool enable_grease = false;
  bool permute_extensions = false;
  bool no_ticket = false;
  int max_send_fragment = 0;
  int expect_peer_signature_algorithm = 0;
  bool expect_extended_master_secret = false;
  bool expect_secure_renegotiation = false;
  bool expect_no_secure_renegotiation = false;
  bool tls_unique = false;
  bool export_traffic_secrets = false;
  int export_keying_material = 0;
  std::string export_label;
  std::string export_context;
  bool use_export_context = false;

  // What the shim does with the connection.
  bool implicit_handshake = false;
  bool shim_writes_first = false;
  std::string shim_initial_write = "hello";
  int repeat_shim_initial_write = 1;
  bool write_different_record_sizes = false;
  bool read_with_unfinished_write = false;
  int read_size = 512;
  bool shim_shuts_down = false;
  bool check_close_notify = false;
  int resumption_delay = 0;  // In seconds.

  // What it must find.
  int expect_version = 0;
  int expect_cipher = 0;
  int expect_cipher_aes = 0;
  int expect_cipher_no_aes = 0;
  int expect_curve_id = 0;
  std::string expect_server_name;
  std::string expect_alpn;
  std::string expect_advertised_alpn;
  std::string expect_ocsp_response;  // Binary.
  std::string expect_peer_cert_file;
  int expect_selected_credential = -1;
  bool expect_session_miss = false;
  bool expect_no_session = false;
  bool expect_session_id = false;  // The server keeps a session by its ID.
  bool expect_no_session_id = false;
  bool expect_hrr = false;
  bool expect_no_hrr = false;
  bool expect_ech_accept = false;
  bool expect_no_peer_cert = false;
  bool handshake_never_done = false;
};

/// The flags of a case: of its first connection, and of those that resume.
struct CommandLine {
  Flags initial;
  Flags resume;
  std::string unmapped;  // Why the case can't run; empty if it can.
};

/// Reads `arguments`, without the program's name.
CommandLine ParseCommandLine(absl::Span<char* const> arguments);

}  // namespace trestle::bogo

#endif  // TRESTLE_TESTS_BOGO_FLAGS_H_
