// TlsInfo: what a TLS leg turned out to be, as plain values for observers, logs and probes.
#ifndef TRESTLE_TLS_TLS_INFO_H_
#define TRESTLE_TLS_TLS_INFO_H_

#include <string>
#include <vector>

#include "absl/time/time.h"

namespace trestle {

/// One certificate, described.
struct CertificateInfo {
  std::string subject;                 ///< RFC 2253 form: "CN=app.example,O=Example".
  std::string issuer;                  ///< Same form.
  std::vector<std::string> dns_names;  ///< SAN dNSName entries, lower-cased; `*.` wildcards kept.
  std::vector<std::string> ip_names;   ///< SAN iPAddress entries, as text.
  std::string serial;                  ///< Hexadecimal, lower case.
  std::string key;                     ///< "ECDSA P-256", "RSA 2048", "Ed25519".
  std::string signature;               ///< How the issuer signed it: "ecdsa-with-SHA256", "RSA-SHA256".
  absl::Time not_before = absl::InfinitePast();
  absl::Time not_after = absl::InfiniteFuture();
};

/// A finished TLS handshake, from this side's view.
struct TlsInfo {
  std::string version;      ///< "TLSv1.3" or "TLSv1.2".
  std::string cipher;       ///< IANA name: "TLS_AES_128_GCM_SHA256".
  std::string group;        ///< "X25519MLKEM768", "X25519", "P-256"; empty if resumed without.
  std::string alpn;         ///< Application protocol; empty when none was agreed.
  std::string server_name;  ///< SNI as sent (client) or received (server), normalised.
  bool resumed = false;
  std::vector<CertificateInfo> local_chain;  ///< What this side showed, leaf first; may be empty.
  std::vector<CertificateInfo> peer_chain;   ///< What the peer showed, leaf first; may be empty.
};

}  // namespace trestle

#endif  // TRESTLE_TLS_TLS_INFO_H_
