// The PROXY protocol, versions 1 and 2: who really connected, told by a proxy in front of a stream.
//
// Whoever may send a header may claim any address: read one only from peers that are trusted
// (base/ip_range.h), and then always, never "if there is one". Section numbers are those of
// HAProxy's proxy-protocol.txt of 2020/03/05.
#ifndef TRESTLE_WIRE_PROXY_PROTOCOL_H_
#define TRESTLE_WIRE_PROXY_PROTOCOL_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "trestle/base/bytes.h"
#include "trestle/base/endpoint.h"

namespace trestle {

/// The longest v1 header, in bytes, CRLF included (2.1).
inline constexpr size_t kMaxProxyV1Bytes = 107;
/// The longest unique ID, in bytes (2.2.5).
inline constexpr size_t kMaxProxyUniqueIdBytes = 128;
/// The longest path of a Unix socket in a v2 header, in bytes (2.2).
inline constexpr size_t kMaxProxyUnixPathBytes = 108;

/// The registered types of TLVs (2.2), and the subtypes within kProxyTlvSsl (2.2.6).
enum ProxyTlvType : uint8_t {
  kProxyTlvAlpn = 0x01,
  kProxyTlvAuthority = 0x02,
  kProxyTlvCrc32c = 0x03,
  kProxyTlvNoop = 0x04,
  kProxyTlvUniqueId = 0x05,
  kProxyTlvSsl = 0x20,
  kProxySubTlvSslVersion = 0x21,
  kProxySubTlvSslCommonName = 0x22,
  kProxySubTlvSslCipher = 0x23,
  kProxySubTlvSslSignatureAlgorithm = 0x24,
  kProxySubTlvSslKeyAlgorithm = 0x25,
  kProxyTlvNetworkNamespace = 0x30,
};

enum class ProxyCommand : uint8_t {
  /// The proxy's own connection, such as a health check; HAProxy sends this, too, for clients that
  /// have no IP address.
  kLocal,
  kProxy,  ///< On behalf of somebody else.
};

/// What the addresses of a header are.
enum class ProxyFamily : uint8_t {
  kUnspecified,  ///< Not told: LOCAL, UNKNOWN (v1) or UNSPEC (v2). The transport's own ones apply.
  kIpv4,
  kIpv6,
  kUnix,
};

/// What kind of connection the proxy took.
enum class ProxyTransport : uint8_t { kUnspecified, kStream, kDatagram };

/// A type-length-value of a v2 header that this file doesn't interpret.
struct ProxyTlv {
  uint8_t type = 0;
  std::string value;
};

/// What the proxy tells of the client's TLS (2.2.6). Text is as the peer sent it: not checked,
/// not fit for a log line (`EscapeForLog`).
struct ProxySslInfo {
  static constexpr uint8_t kClientSsl = 0x01;
  static constexpr uint8_t kClientCertConnection = 0x02;  ///< A certificate on this connection.
  static constexpr uint8_t kClientCertSession = 0x04;     ///< A certificate in this TLS session.

  uint8_t client = 0;  ///< The flags above, and any others that were sent.
  /// 0 if the client's certificate verified. HAProxy sends 0 for no certificate, too, so ask
  /// `client_certificate_verified`.
  uint32_t verify = 1;
  std::optional<std::string> version;              ///< "TLSv1.3".
  std::optional<std::string> common_name;          ///< Of the client's certificate.
  std::optional<std::string> cipher;               ///< "TLS_AES_256_GCM_SHA384".
  std::optional<std::string> signature_algorithm;  ///< Of the proxy's certificate: "RSA-SHA256".
  std::optional<std::string> key_algorithm;        ///< Of the proxy's certificate: "RSA2048".
  std::vector<ProxyTlv> unknown_tlvs;              ///< In the order sent.

  /// Tells whether the client showed a certificate and the proxy found it good.
  bool client_certificate_verified() const {
    return verify == 0 && (client & (kClientCertConnection | kClientCertSession)) != 0;
  }
};

/// A PROXY protocol header as a value. Fields that weren't sent, or can't be in its version, are
/// empty. Text is as the peer sent it: `authority` isn't normalised, and no route may be chosen by
/// it without `NormalizeServerName`.
struct ProxyHeader {
  int version = 2;  ///< 1 or 2; which one a header was read as. Writers ignore it.
  ProxyCommand command = ProxyCommand::kProxy;
  ProxyFamily family = ProxyFamily::kUnspecified;
  ProxyTransport transport = ProxyTransport::kUnspecified;
  /// The client; of family kNone unless `family` is kIpv4 or kIpv6. Of family kIpv6 it may be an
  /// IPv4 endpoint, which was, and will be, an IPv4-mapped address in the header.
  Endpoint source;
  Endpoint destination;  ///< What the client connected to; the same.
  /// Of family kUnix: a path, a NUL and an abstract name, or empty for an unnamed socket.
  std::string source_path;
  std::string destination_path;

  std::optional<std::string> alpn;       ///< 2.2.1.
  std::optional<std::string> authority;  ///< 2.2.2: the server name that the client asked for.
  std::optional<std::string> unique_id;  ///< 2.2.5: at most `kMaxProxyUniqueIdBytes`, opaque.
  std::optional<ProxySslInfo> ssl;       ///< 2.2.6.
  std::optional<std::string> network_namespace;  ///< 2.2.7.
  std::vector<ProxyTlv> unknown_tlvs;            ///< In the order sent.
  bool has_crc32c = false;  ///< There was a checksum, and it was right (2.2.3). Writers ignore it.

  /// Makes the header for a TCP connection from `source` to `destination`. If just one is IPv4, it
  /// will be written as an IPv4-mapped IPv6 address; if one is of family kNone, this is `Local()`.
  static ProxyHeader ForTcp(const Endpoint& source, const Endpoint& destination);

  /// Makes the header that leaves the transport's own addresses standing: every receiver must
  /// accept it, while some refuse kProxy without addresses, or with those of Unix sockets.
  static ProxyHeader Local();
};

bool operator==(const ProxyTlv& a, const ProxyTlv& b);
bool operator==(const ProxySslInfo& a, const ProxySslInfo& b);
bool operator==(const ProxyHeader& a, const ProxyHeader& b);
inline bool operator!=(const ProxyTlv& a, const ProxyTlv& b) { return !(a == b); }
inline bool operator!=(const ProxySslInfo& a, const ProxySslInfo& b) { return !(a == b); }
inline bool operator!=(const ProxyHeader& a, const ProxyHeader& b) { return !(a == b); }

/// Bounds of a header that is read. A v1 header is bounded by `kMaxProxyV1Bytes`; time is the
/// caller's to bound.
struct ProxyHeaderLimits {
  /// A whole v2 header, its first 16 bytes included.
  size_t v2_bytes = 4096;
  /// TLVs and sub-TLVs together, NOOPs included.
  size_t tlvs = 64;
};

enum class ProxyHeaderState : uint8_t {
  kNeedMore,        ///< All bytes so far are fine, the header isn't complete.
  kDone,            ///< `header()` is complete and valid.
  kNotProxyHeader,  ///< The first bytes are of neither version.
  kMalformed,       ///< A header that the specification forbids, or whose checksum is wrong.
  kTooLarge,        ///< Over `kMaxProxyV1Bytes` or `ProxyHeaderLimits`.
};

/// Names a state in snake_case: "need_more".
absl::string_view ProxyHeaderStateName(ProxyHeaderState state);

namespace wire_internal {
enum class ProxyLineField : uint8_t;
}  // namespace wire_internal

/// Reads one PROXY protocol header, of either version, from the front of one connection.
///
/// The verdict depends on the bytes alone, never on how they are cut. It is given at the first
/// wrong byte of a signature or keyword, at the end of a wrong field of a v1 line, after 16 bytes
/// for a v2 header that is too large or too short for its addresses, and at the head of a TLV that
/// goes beyond the header.
///
/// Where the specification leaves a choice:
///  - v1 UNKNOWN: the rest of the line is ignored, but for a CR or LF out of place: those are
///    refused (2.1).
///  - v2 LOCAL: what follows the length is skipped, whatever it is (2.2), unless the family is 00
///    and it is well-formed TLVs within the limits: those are read, for HAProxy sends them of
///    clients on Unix sockets, and a checksum among them must be right (2.2.3).
///  - v2 PROXY: family and transport are 00, 11, 12, 21, 22, 31 or 32; all else is refused. 00
///    (UNSPEC) has no addresses: its TLVs begin at byte 16.
///  - A registered TLV but NOOP that comes twice, and sub-TLVs likewise, are refused.
///
/// Work and memory are linear in the bytes taken. Not thread-safe.
class ProxyHeaderReader {
 public:
  using Limits = ProxyHeaderLimits;

  /// What one `Feed` came to.
  struct Result {
    ProxyHeaderState state;
    /// How many of the bytes fed were taken. In state kDone, the rest is the stream's.
    size_t taken;
  };

  explicit ProxyHeaderReader(const Limits& limits = {}) : limits_(limits) {}
  ProxyHeaderReader(const ProxyHeaderReader&) = delete;
  ProxyHeaderReader& operator=(const ProxyHeaderReader&) = delete;

  /// Takes from the next bytes of the network those that belong to the header, never one beyond.
  /// Copies them. Takes none once the state isn't kNeedMore.
  Result Feed(ByteView bytes);

  ProxyHeaderState state() const { return state_; }

  /// The header, in state kDone only.
  const ProxyHeader& header() const { return header_; }

  /// Moves the header out, in state kDone only.
  ProxyHeader TakeHeader() { return std::move(header_); }

  /// Counts the bytes taken so far: in state kDone, the size of the header.
  size_t header_bytes() const { return taken_.size(); }

  /// OK in states kNeedMore and kDone; else a TlsError of the front leg, phase kHello, with code
  /// kProtocol and the reason in its detail.
  absl::Status error() const;

 private:
  // What is to be judged once there are `step_end_` bytes.
  enum class Step : uint8_t {
    kSignature,
    kLine,
    kCommand,
    kFamily,
    kLength,
    kIgnored,
    kAddresses,
    kTlvHead,
    kTlvValue,
  };

  void TakeStep();
  void ReadSignature();
  void ReadLine();
  void ReadCommand();
  void ReadFamily();
  void ReadLength();
  void ReadTlvHead();
  void ReadTlvValue();
  void ExpectTlvOrEnd();
  void Finish();
  void Expect(Step step, size_t bytes);
  void Refuse(ProxyHeaderState state, absl::string_view detail);
  void RefuseTlvs(ProxyHeaderState state, absl::string_view detail);
  void RefuseTlvCount();

  const Limits limits_;
  ProxyHeaderState state_ = ProxyHeaderState::kNeedMore;
  Step step_ = Step::kSignature;
  wire_internal::ProxyLineField line_field_{};
  size_t step_begin_ = 0;
  size_t step_end_ = 1;
  size_t line_field_begin_ = 0;
  size_t header_bytes_ = 0;  // Of a v2 header, once its length is here.
  size_t crc_begin_ = 0;     // Where the checksum is; 0 if there is none.
  size_t tlvs_ = 0;
  std::string taken_;
  std::string detail_;
  ProxyHeader header_;
};

/// Writes a v1 header (2.1). "PROXY UNKNOWN" stands for everything that v1 can't say: LOCAL, Unix
/// sockets, datagrams, no addresses. TLVs are left out, for v1 has none. Fails with kConfiguration
/// if an endpoint isn't of the header's family.
absl::StatusOr<std::string> WriteProxyHeaderV1(const ProxyHeader& header);

struct ProxyHeaderV2Options {
  /// Adds a checksum (2.2.3).
  bool crc32c = false;
  /// The largest header to make, in bytes. Receivers have limits of their own; one of at most 536
  /// bytes comes in one piece everywhere (2).
  size_t max_bytes = ProxyHeaderLimits().v2_bytes;
};

/// Writes a v2 header (2.2). Where `ssl` has no certificate flag, its verify field is written as 1
/// ("not verified"), whatever it holds (2.2.6). Fails with kConfiguration if: an endpoint or path
/// isn't of the header's family, or family and transport don't go together; a LOCAL header has a
/// family; a path, the unique ID or the whole is too long; a path can't be told from another (NUL
/// within or at its end); an unknown TLV has a registered type.
absl::StatusOr<std::string> WriteProxyHeaderV2(const ProxyHeader& header,
                                               const ProxyHeaderV2Options& options = {});

}  // namespace trestle

#endif  // TRESTLE_WIRE_PROXY_PROTOCOL_H_
