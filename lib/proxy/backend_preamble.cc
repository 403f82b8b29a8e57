#include "lib/proxy/backend_preamble.h"

#include <string>

#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "trestle/wire/proxy_protocol.h"

namespace trestle {
namespace {

// "RSA2048", "EC256": the form of the specification's example and of haproxy.
std::string KeyAlgorithm(absl::string_view key) {
  return absl::StrReplaceAll(key, {{"ECDSA P-", "EC"}, {" ", ""}});
}

ProxySslInfo SslInfoOf(const TlsInfo& tls) {
  ProxySslInfo ssl;
  ssl.client = ProxySslInfo::kClientSsl;
  ssl.version = std::string(tls.version);
  ssl.cipher = std::string(tls.cipher);
  if (!tls.local_chain.empty()) {
    const CertificateInfo& certificate = tls.local_chain.front();
    ssl.key_algorithm = KeyAlgorithm(certificate.key);
    ssl.signature_algorithm = certificate.signature;
  }
  if (tls.peer_identity != nullptr) {
    const PeerIdentity& identity = *tls.peer_identity;
    ssl.client |= ProxySslInfo::kClientCertSession;
    if (!identity.resumed) ssl.client |= ProxySslInfo::kClientCertConnection;
    ssl.verify = 0;
    if (!identity.common_name.empty()) ssl.common_name = identity.common_name;
  }
  return ssl;
}

}  // namespace

absl::StatusOr<std::string> BackendPreamble(ProxyProtocolOut kind, const ConnectionOrigin& origin,
                                            const ConnectionReport& report) {
  if (kind == ProxyProtocolOut::kNone) return std::string();
  ProxyHeader header = ProxyHeader::ForTcp(origin.peer, origin.local);
  if (kind == ProxyProtocolOut::kV1) return WriteProxyHeaderV1(header);
  if (origin.proxy_header != nullptr) {
    header.unique_id = origin.proxy_header->unique_id;
    header.unknown_tlvs = origin.proxy_header->unknown_tlvs;
    header.ssl = origin.proxy_header->ssl;
  }
  if (!report.server_name.empty()) header.authority = report.server_name;
  if (report.front.tls != nullptr) {
    if (!report.front.tls->alpn.empty()) header.alpn = report.front.tls->alpn;
    header.ssl = SslInfoOf(*report.front.tls);
  }
  ProxyHeaderV2Options options;
  options.crc32c = true;
  absl::StatusOr<std::string> written = WriteProxyHeaderV2(header, options);
  if (written.ok() || header.unknown_tlvs.empty()) return written;
  // The received header has the maximum length: omit its unknown parts.
  header.unknown_tlvs.clear();
  return WriteProxyHeaderV2(header, options);
}

}  // namespace trestle
