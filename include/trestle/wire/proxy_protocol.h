// The PROXY protocol, versions 1 and 2: a header in which a proxy states the client's address.
//
// A peer that sends a header can claim any address. Read headers only from trusted peers
// (base/ip_range.h), and require one from each of them. Section numbers refer to HAProxy's
// proxy-protocol.txt of 2020/03/05.
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
  /// The proxy's own connection, such as a health check. HAProxy also sends it for clients without
  /// an IP address.
  kLocal,
  kProxy,  ///< A connection on behalf of a client.
};

/// The address family of a header.
enum class ProxyFamily : uint8_t {
  kUnspecified,  ///< LOCAL, UNKNOWN (v1) or UNSPEC (v2): the transport's own addresses apply.
  kIpv4,
  kIpv6,
  kUnix,
};

/// The kind of connection that the proxy accepted.
enum class ProxyTransport : uint8_t { kUnspecified, kStream, kDatagram };

/// A type-length-value (TLV) of a v2 header whose type this file doesn't interpret.
struct ProxyTlv {
  uint8_t type = 0;
  std::string value;
};

/// The client's TLS connection, as the proxy states it (2.2.6). Texts are as the peer sent them,
/// not checked: pass them through `EscapeForLog` before logging.
struct ProxySslInfo {
  static constexpr uint8_t kClientSsl = 0x01;
  static constexpr uint8_t kClientCertConnection = 0x02;  ///< A certificate on this connection.
  static constexpr uint8_t kClientCertSession = 0x04;     ///< A certificate in this TLS session.

  uint8_t client = 0;  ///< The flags above, and any others that the proxy sent.
  /// 0 if the client's certificate was verified. HAProxy also sends 0 if there was no certificate;
  /// use `client_certificate_verified`.
  uint32_t verify = 1;
  std::optional<std::string> version;              ///< "TLSv1.3".
  std::optional<std::string> common_name;          ///< Of the client's certificate.
  std::optional<std::string> cipher;               ///< "TLS_AES_256_GCM_SHA384".
  std::optional<std::string> signature_algorithm;  ///< Of the proxy's certificate: "RSA-SHA256".
  std::optional<std::string> key_algorithm;        ///< Of the proxy's certificate: "RSA2048".
  std::vector<ProxyTlv> unknown_tlvs;              ///< In the order sent.

  /// Returns whether the client presented a certificate and the proxy verified it.
  bool client_certificate_verified() const {
    return verify == 0 && (client & (kClientCertConnection | kClientCertSession)) != 0;
  }
};

/// A PROXY protocol header as a value. Fields that are absent, or that its version doesn't have,
/// are empty. Texts are as the peer sent them. `authority` isn't normalised: call
/// `NormalizeServerName` before you choose a route by it.
struct ProxyHeader {
  int version = 2;  ///< The version that was read, 1 or 2. Writers ignore it.
  ProxyCommand command = ProxyCommand::kProxy;
  ProxyFamily family = ProxyFamily::kUnspecified;
  ProxyTransport transport = ProxyTransport::kUnspecified;
  /// The client's address; of family kNone unless `family` is kIpv4 or kIpv6. With kIpv6 it may be
  /// an IPv4 endpoint: the header holds it as an IPv4-mapped address.
  Endpoint source;
  Endpoint destination;  ///< The address that the client connected to; same rules as `source`.
  /// With family kUnix: a path; a NUL and an abstract name; or empty for an unnamed socket.
  std::string source_path;
  std::string destination_path;

  std::optional<std::string> alpn;       ///< 2.2.1.
  std::optional<std::string> authority;  ///< 2.2.2: the server name that the client requested.
  std::optional<std::string> unique_id;  ///< 2.2.5: at most `kMaxProxyUniqueIdBytes`, opaque.
  std::optional<ProxySslInfo> ssl;       ///< 2.2.6.
  std::optional<std::string> network_namespace;  ///< 2.2.7.
  std::vector<ProxyTlv> unknown_tlvs;            ///< In the order sent.
  bool has_crc32c = false;  ///< The header had a correct checksum (2.2.3). Writers ignore it.

  /// Makes the header for a TCP connection from `source` to `destination`. If only one is IPv4, it
  /// is written as an IPv4-mapped IPv6 address. If one is of family kNone, returns `Local()`.
  static ProxyHeader ForTcp(const Endpoint& source, const Endpoint& destination);

  /// Makes a LOCAL header: the transport's own addresses apply. Every receiver must accept it,
  /// while some reject kProxy without addresses, or with those of Unix sockets.
  static ProxyHeader Local();
};

bool operator==(const ProxyTlv& a, const ProxyTlv& b);
bool operator==(const ProxySslInfo& a, const ProxySslInfo& b);
bool operator==(const ProxyHeader& a, const ProxyHeader& b);
inline bool operator!=(const ProxyTlv& a, const ProxyTlv& b) { return !(a == b); }
inline bool operator!=(const ProxySslInfo& a, const ProxySslInfo& b) { return !(a == b); }
inline bool operator!=(const ProxyHeader& a, const ProxyHeader& b) { return !(a == b); }

/// Limits for reading a header. A v1 header is limited to `kMaxProxyV1Bytes`. The caller limits the
/// time.
struct ProxyHeaderLimits {
  /// Size of a v2 header in bytes, its first 16 included.
  size_t v2_bytes = 4096;
  /// Number of TLVs and sub-TLVs together, NOOPs included.
  size_t tlvs = 64;
};

enum class ProxyHeaderState : uint8_t {
  kNeedMore,        ///< All bytes so far are valid; the header isn't complete.
  kDone,            ///< `header()` is complete and valid.
  kNotProxyHeader,  ///< The first bytes belong to neither version.
  kMalformed,       ///< A header that the specification forbids, or whose checksum is wrong.
  kTooLarge,        ///< Over `kMaxProxyV1Bytes` or `ProxyHeaderLimits`.
};

/// Returns a state's name in snake_case: "need_more".
absl::string_view EnumName(ProxyHeaderState state);

namespace wire_internal {
enum class ProxyLineField : uint8_t;
}  // namespace wire_internal

/// Reads one PROXY protocol header, of either version, from the beginning of a connection.
///
/// The verdict depends on the bytes alone, never on their cuts. A header is rejected:
///  - at the first wrong byte of a signature or keyword;
///  - at the end of a wrong field of a v1 line;
///  - after 16 bytes, if a v2 header is too large, or too short for its addresses;
///  - at the head of a TLV that extends past the header.
///
/// Where the specification leaves a choice:
///  - v1 UNKNOWN: the rest of the line is ignored. A misplaced CR or LF is rejected (2.1).
///  - v2 LOCAL: the bytes after the length are skipped (2.2). Well-formed TLVs within the limits
///    are read if the family is 00, because HAProxy sends them for clients on Unix sockets. A
///    checksum among them must be right (2.2.3).
///  - v2 PROXY: family and transport must be 00, 11, 12, 21, 22, 31 or 32. 00 (UNSPEC) has no
///    addresses: its TLVs begin at byte 16.
///  - A registered TLV or sub-TLV that comes twice is rejected, except NOOP.
///
/// Work and memory are linear in the bytes taken. Not thread-safe.
class ProxyHeaderReader {
 public:
  using Limits = ProxyHeaderLimits;

  /// The result of one `Feed`.
  struct Result {
    ProxyHeaderState state;
    /// Number of bytes taken. In state kDone, the other bytes belong to the stream.
    size_t taken;
  };

  /// Makes a reader for one connection.
  explicit ProxyHeaderReader(const Limits& limits = {}) : limits_(limits) {}
  ProxyHeaderReader(const ProxyHeaderReader&) = delete;
  ProxyHeaderReader& operator=(const ProxyHeaderReader&) = delete;

  /// Takes the bytes that belong to the header from the next bytes of the network, and copies them.
  /// Takes no byte after the header, and none in any state but kNeedMore.
  Result Feed(ByteView bytes);

  ProxyHeaderState state() const { return state_; }

  /// Returns the header, in state kDone only.
  const ProxyHeader& header() const { return header_; }

  /// Moves the header out, in state kDone only.
  ProxyHeader TakeHeader() { return std::move(header_); }

  /// Counts the bytes taken so far: in state kDone, the size of the header.
  size_t header_bytes() const { return taken_.size(); }

  /// Returns OK in states kNeedMore and kDone; else an Error of the front leg, phase kHello, with
  /// code kProtocol and the reason in its detail.
  absl::Status error() const;

 private:
  // The part to check once `step_end_` bytes have arrived.
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
  size_t header_bytes_ = 0;  // Size of a v2 header, once its length has arrived.
  size_t crc_begin_ = 0;     // Position of the checksum; 0 if there is none.
  size_t tlvs_ = 0;
  std::string taken_;
  std::string detail_;
  ProxyHeader header_;
};

/// Writes a v1 header (2.1). Writes "PROXY UNKNOWN" for LOCAL, Unix sockets, datagrams and missing
/// addresses, which v1 can't express. Omits TLVs, because v1 has none. Fails with kConfiguration if
/// an endpoint isn't of the header's family.
absl::StatusOr<std::string> WriteProxyHeaderV1(const ProxyHeader& header);

/// What a PROXY header of version 2 contains beside the addresses.
struct ProxyHeaderV2Options {
  /// Adds a checksum (2.2.3).
  bool crc32c = false;
  /// The largest header to write, in bytes. Receivers have limits of their own. A header of at most
  /// 536 bytes always arrives in one segment (2).
  size_t max_bytes = ProxyHeaderLimits().v2_bytes;
};

/// Writes a v2 header (2.2). If `ssl` has no certificate flag, its verify field is written as 1
/// ("not verified"), whatever its value (2.2.6). Fails with kConfiguration if:
///  - an endpoint or path isn't of the header's family, or family and transport don't match;
///  - a LOCAL header has a family;
///  - a path, the unique ID or the whole header is too long;
///  - a path is ambiguous (a NUL within it or at its end);
///  - an unknown TLV has a registered type.
absl::StatusOr<std::string> WriteProxyHeaderV2(const ProxyHeader& header,
                                               const ProxyHeaderV2Options& options = {});

}  // namespace trestle

#endif  // TRESTLE_WIRE_PROXY_PROTOCOL_H_
