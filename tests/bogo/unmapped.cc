#include "tests/bogo/unmapped.h"

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace trestle::bogo {
namespace {

struct Group {
  const char* reason;
  std::vector<const char*> flags;  // One that ends with "*" stands for all that begin so.
};

const std::vector<Group>& Groups() {
  static const auto* const groups = new std::vector<Group>{
      // What Trestle does not speak.
      {"DTLS: Trestle runs over streams", {"-dtls", "-mtu", "-initial-timeout*", "-srtp*"}},
      {"TLS inside QUIC: Trestle passes QUIC through", {"-quic*", "-expect-quic*"}},
      {"0-RTT is off in Trestle",
       {"-enable-early-data", "-on-retry*", "-early-write*", "-expect-ticket-supports-early-data",
        "-expect-accept-early-data", "-expect-reject-early-data", "-expect-no-offer-early-data",
        "-expect-early-data-reason"}},
      {"no raw public keys",
       {"-new-rpk-credential", "-accepted-peer-cert-types", "-available-client-cert-types",
        "-expect-peer-certificate-type", "-expect-peer-rpk-sha256"}},
      {"no pre-shared keys beside tickets", {"-psk*", "-new-psk-credential"}},
      {"no password-authenticated keys (PAKE)",
       {"-new-spake2plusv1-credential", "-pake*", "-wrong-pake-role"}},
      {"no delegated credentials", {"-new-delegated-credential", "-delegated-credential"}},
      {"no trust anchor identifiers",
       {"-trust-anchor-id", "-requested-trust-anchors", "-available-trust-anchors",
        "-expect-peer-match-trust-anchor", "-expect-no-peer-match-trust-anchor",
        "-expect-peer-available-trust-anchors"}},
      {"no application settings (ALPS)",
       {"-application-settings", "-defer-alps", "-alps*", "-expect-peer-application-settings"}},
      {"no NPN, the forerunner of ALPN",
       {"-advertise-npn", "-advertise-empty-npn", "-select-next-proto", "-select-empty-next-proto",
        "-expect-next-proto", "-expect-no-next-proto"}},
      {"no Channel ID", {"-enable-channel-id", "-send-channel-id", "-expect-channel-id"}},
      {"no signed certificate timestamps in handshakes",
       {"-signed-cert-timestamps", "-enable-signed-cert-timestamps",
        "-expect-signed-cert-timestamps"}},
      {"no False Start", {"-false-start", "-allow-false-start-without-alpn"}},
      {"no renegotiation",
       {"-renegotiate*", "-forbid-renegotiation-after-handshake", "-expect-total-renegotiations",
        "-no-legacy-server-connect"}},
      {"no ECH as a client",
       {"-ech-config-list", "-enable-ech-grease", "-expect-ech-retry-configs",
        "-expect-no-ech-retry-configs", "-expect-ech-name-override",
        "-expect-no-ech-name-override"}},
      {"no split handshakes or handshake hints",
       {"-handoff", "-handshake-hints", "-allow-hint-mismatch", "-on-handshaker*"}},
      {"no padding of the server's flight",
       {"-request-server-padding", "-server-supports-padding",
        "-expect-server-sent-requested-padding"}},
      // What Trestle decides itself.
      {"the peer's signature algorithms are not reported", {"-expect-peer-verify-pref"}},
      {"the key shares follow from the groups and from what the server chose last",
       {"-key-shares", "-no-key-shares", "-curves-flags", "-server-supported-groups-hint"}},
      {"the session tickets are Trestle's own, and always on",
       {"-ticket-key", "-renew-ticket", "-skip-ticket", "-expect-ticket-renewal",
        "-expect-ticket-age-skew", "-resumption-across-names-enabled",
        "-expect-resumable-across-names", "-expect-not-resumable-across-names"}},
      {"no workarounds for old peers in the hello", {"-fallback-scsv", "-jdk11-workaround"}},
      {"the list of CA names follows from the trusted CAs",
       {"-use-client-ca-list", "-expect-client-ca-list"}},
      {"records have the sizes that Trestle chooses", {"-cbc-record-splitting", "-max-cert-list"}},
      {"whole certificates are kept, not their digests",
       {"-retain-only-sha256-client-cert", "-expect-sha256-client-cert"}},
      {"the server name and ALPN answers are those of the RFCs",
       {"-no-server-name-ack", "-allow-unknown-alpn-protos", "-select-empty-alpn"}},
      {"certificates are compressed by registered algorithms only, and never decompressed",
       {"-install-cert-compression-algs", "-install-one-cert-compression-alg"}},
      {"the key usage of certificates is always checked",
       {"-ignore-rsa-key-usage", "-expect-key-usage-invalid"}},
      // What Trestle's interface does not have.
      {"no call to staple, or to refuse, during the handshake",
       {"-use-ocsp-callback", "-set-ocsp-in-callback", "-decline-ocsp-callback",
        "-fail-ocsp-callback"}},
      {"no exporters during the exchange", {"-use-exporter-between-reads"}},
      {"not reported by TlsInfo",
       {"-expect-certificate-types", "-expect-no-server-name", "-expect-msg-callback"}},
      {"no such call: alerts, key updates, peeking and second handshakes are not the host's",
       {"-send-alert", "-key-update", "-key-update-before-read", "-peek-then-read",
        "-no-op-extra-handshake", "-handshake-twice"}},
      {"another way of BoringSSL to give it a certificate", {"-use-old-client-cert-callback"}},
      {"the hook can't tell which of the two hellos of ECH was refused",
       {"-fail-early-callback-ech-rewind"}},
  };
  return *groups;
}

bool Matches(absl::string_view name, absl::string_view flag) {
  if (!absl::EndsWith(flag, "*")) return name == flag;
  return absl::StartsWith(name, flag.substr(0, flag.size() - 1));
}

}  // namespace

std::string WhyUnmapped(absl::string_view name) {
  for (const Group& group : Groups()) {
    for (const absl::string_view flag : group.flags) {
      if (Matches(name, flag)) return group.reason;
    }
  }
  return absl::StrCat("a flag that no list has: ", name);
}

}  // namespace trestle::bogo
