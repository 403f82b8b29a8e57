// Client hello kit: makes the first flights of TLS clients, and cuts them into segments and records
// in every way. Use it to test code that reads a ClientHello.
//
// docs/client_hello_kit.md has examples.
#ifndef TRESTLE_TESTING_CLIENT_HELLO_KIT_H_
#define TRESTLE_TESTING_CLIENT_HELLO_KIT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace trestle::testing {

/// Builds one ClientHello message field by field. It checks nothing, so it can make invalid hellos.
/// The same calls give the same bytes. Setters return the builder, so that calls can be chained.
class HelloBuilder {
 public:
  /// Makes a hello with legacy version 1.2, fixed bytes as random and session ID, null compression,
  /// and an empty extension block. It offers three cipher suites of TLS 1.3 and one of TLS 1.2.
  HelloBuilder();

  /// Sets legacy_version (RFC 8446 4.1.2).
  HelloBuilder& SetLegacyVersion(uint16_t version);
  /// Sets the 32 bytes of the random, derived from `seed`.
  HelloBuilder& SetRandom(uint64_t seed);
  /// Sets legacy_session_id.
  HelloBuilder& SetSessionId(absl::string_view id);
  /// Sets the cipher suites.
  HelloBuilder& SetCipherSuites(absl::Span<const uint16_t> suites);
  /// Sets legacy_compression_methods.
  HelloBuilder& SetCompressionMethods(absl::string_view methods);
  /// Omits the extension block, as some TLS 1.0 clients do.
  HelloBuilder& OmitExtensionBlock();

  /// Adds an extension after the others, even if there is one of that type already.
  HelloBuilder& Add(uint16_t type, absl::string_view body);
  /// Drops all extensions of a type.
  HelloBuilder& Remove(uint16_t type);
  /// Moves the extension of a type to the end.
  HelloBuilder& MoveToEnd(uint16_t type);
  /// Reverses the order of the extensions; pre_shared_key stays last.
  HelloBuilder& ReverseExtensions();

  /// These replace the named extension in its place; if there is none, they add it after the
  /// others.
  HelloBuilder& SetServerName(absl::string_view host_name);
  /// Sets the offered protocols (RFC 7301).
  HelloBuilder& SetAlpn(absl::Span<const absl::string_view> protocols);
  /// Sets supported_versions (RFC 8446 4.2.1).
  HelloBuilder& SetVersions(absl::Span<const uint16_t> versions);
  /// Sets supported_groups (RFC 8446 4.2.7).
  HelloBuilder& SetGroups(absl::Span<const uint16_t> groups);
  /// Sets signature_algorithms (RFC 8446 4.2.3).
  HelloBuilder& SetSignatureAlgorithms(absl::Span<const uint16_t> algorithms);
  /// Makes one share for each group. A server can answer the shares of X25519, P-256, and
  /// ML-KEM-768 with X25519, but their private key is unknown. Other groups get one byte.
  HelloBuilder& SetKeyShares(absl::Span<const uint16_t> groups);
  /// Replaces the extension `type`, at its place.
  HelloBuilder& Replace(uint16_t type, absl::string_view body);

  /// Adds a GREASE value (RFC 8701) to suites, groups, shares, versions, ALPN and the extensions.
  HelloBuilder& AddGrease();
  /// Adds the outer form of encrypted_client_hello with a made-up payload. GREASE ECH has the same
  /// form (RFC 9849 6.2).
  HelloBuilder& AddEchOuter(uint8_t config_id, size_t payload_bytes);
  /// Adds pre_shared_key (and psk_key_exchange_modes) with one made-up ticket of that size.
  HelloBuilder& AddTicket(size_t ticket_bytes);
  /// Adds early_data; use with AddTicket.
  HelloBuilder& AddEarlyData();
  /// Adds a padding extension (RFC 7685), so that the message has `message_bytes` bytes. Adds none
  /// if that would make it longer.
  HelloBuilder& PadTo(size_t message_bytes);

  /// Returns the message: type, 24-bit length, body.
  std::string Message() const;

 private:
  std::string RandomBytes(size_t size);

  uint64_t seed_ = 1;
  uint16_t legacy_version_ = 0x0303;
  std::string random_;
  std::string session_id_;
  std::vector<uint16_t> cipher_suites_;
  std::string compression_methods_;
  bool has_extension_block_ = true;
  std::vector<std::pair<uint16_t, std::string>> extensions_;
};

// Hellos of kinds of clients. Each has `server_name` and offers h2 and http/1.1.

/// Offers TLS 1.2 and 1.3 with an X25519 share: 517 bytes with its record header.
HelloBuilder ClassicHello(absl::string_view server_name);
/// Adds an X25519MLKEM768 share: 1.5 KB, and 1.8 KB with `AddEchOuter`, as browsers send it.
HelloBuilder PostQuantumHello(absl::string_view server_name);
/// Offers TLS 1.2 only.
HelloBuilder Tls12Hello(absl::string_view server_name);

/// One hello of a kit, with the name that a router must read from it.
struct KitHello {
  std::string name;  ///< "post_quantum_grease"
  std::string message;
  std::string server_name;  ///< In the normal form; empty if the hello has none.
};

/// Returns all valid hellos of the kit: classic, post-quantum, GREASE, ECH, TLS 1.2 and early data.
/// Others have big tickets, no name, unusual orders and cases, or a body of up to 16 KiB. A server
/// answers each with a ServerHello, except "no_extensions", which offers SHA-1 signatures only.
std::vector<KitHello> AllKitHellos(absl::string_view server_name);

/// Puts `message` into handshake records, cut before each of the offsets in `cuts` (ascending). A
/// record gets at most 16384 bytes.
std::string InRecords(absl::string_view message, absl::Span<const size_t> cuts = {},
                      uint16_t record_version = 0x0301);

/// Puts `payload` into one record of the given type; does not check its size.
std::string InRecord(uint8_t type, absl::string_view payload, uint16_t record_version = 0x0301);

/// Cuts `bytes` before each of the offsets in `cuts` (ascending; duplicates give empty pieces).
std::vector<std::string> CutAt(absl::string_view bytes, absl::Span<const size_t> cuts);

/// A first flight as the network carries it: each segment is one write.
struct Flight {
  std::string label;  ///< Describes the cuts: "segment cut at 5", "records of 1 byte".
  std::vector<std::string> segments;
  size_t records = 0;  ///< Number of TLS records; routers limit it.
};

/// The cuts that `ForEachSplit` makes.
struct SplitPlan {
  bool every_segment_cut = true;   ///< Two segments, cut at each position.
  bool every_record_cut = true;    ///< Two records, cut at each position; and each in a segment.
  bool one_byte_segments = true;   ///< Every byte a segment of its own.
  bool one_byte_records = true;    ///< Every byte a record of its own; and in one-byte segments.
  bool pairs = true;               ///< Segments of two bytes, records of two bytes, and both.
  size_t random_partitions = 100;  ///< Seeded random cuts into records and then into segments.
  size_t max_random_cuts = 8;      ///< Most cuts of each kind in a random partition.
  uint64_t seed = 1;
};

/// Calls `visit` with the uncut message and then with each cut of the plan. Returns the number of
/// calls.
size_t ForEachSplit(absl::string_view message, const SplitPlan& plan,
                    absl::FunctionRef<void(const Flight&)> visit);

}  // namespace trestle::testing

#endif  // TRESTLE_TESTING_CLIENT_HELLO_KIT_H_
