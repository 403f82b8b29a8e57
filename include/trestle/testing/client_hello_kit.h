// Client hello kit: makes the first flights of TLS clients, and cuts them into segments and records
// in every way, so that anything that reads a ClientHello can be tested with them.
//
// docs/client_hello_kit.md shows how.
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

/// Builds one ClientHello message field by field. Nothing is checked: bad hellos are made here too.
/// The same calls give the same bytes. Setters return the builder, so that calls can be chained.
class HelloBuilder {
 public:
  /// A hello with legacy version 1.2, a made-up random and session id, three TLS 1.3 cipher suites
  /// and one of TLS 1.2, null compression, and an empty extension block.
  HelloBuilder();

  HelloBuilder& SetLegacyVersion(uint16_t version);
  /// The 32 bytes of the random follow from `seed`.
  HelloBuilder& SetRandom(uint64_t seed);
  HelloBuilder& SetSessionId(absl::string_view id);
  HelloBuilder& SetCipherSuites(absl::Span<const uint16_t> suites);
  HelloBuilder& SetCompressionMethods(absl::string_view methods);
  /// Leaves the extension block away altogether, as some TLS 1.0 clients do.
  HelloBuilder& OmitExtensionBlock();

  /// Puts an extension behind the others, whether or not there is one of the type already.
  HelloBuilder& Add(uint16_t type, absl::string_view body);
  /// Drops all extensions of a type.
  HelloBuilder& Remove(uint16_t type);
  /// Moves the extension of a type to the end.
  HelloBuilder& MoveToEnd(uint16_t type);
  /// Reverses the order of the extensions; pre_shared_key stays last.
  HelloBuilder& ReverseExtensions();

  /// Replace the extension named, in its place if there was one, behind the others if not.
  HelloBuilder& SetServerName(absl::string_view host_name);
  HelloBuilder& SetAlpn(absl::Span<const absl::string_view> protocols);
  HelloBuilder& SetVersions(absl::Span<const uint16_t> versions);
  HelloBuilder& SetGroups(absl::Span<const uint16_t> groups);
  HelloBuilder& SetSignatureAlgorithms(absl::Span<const uint16_t> algorithms);
  /// One share for each group. Shares of X25519, P-256, ML-KEM-768 with X25519 are such that a
  /// server can answer them (nobody knows their private key); those of other groups are one byte.
  HelloBuilder& SetKeyShares(absl::Span<const uint16_t> groups);
  HelloBuilder& Replace(uint16_t type, absl::string_view body);

  /// Adds a GREASE value (RFC 8701) to suites, groups, shares, versions, ALPN and the extensions.
  HelloBuilder& AddGrease();
  /// Adds the outer form of encrypted_client_hello with a made-up payload, which is also what
  /// GREASE ECH looks like (RFC 9849 6.2).
  HelloBuilder& AddEchOuter(uint8_t config_id, size_t payload_bytes);
  /// Adds pre_shared_key (and psk_key_exchange_modes) with one made-up ticket of that size.
  HelloBuilder& AddTicket(size_t ticket_bytes);
  /// Adds early_data; use with AddTicket.
  HelloBuilder& AddEarlyData();
  /// Adds a padding extension (RFC 7685), if that takes one, so that the message is so long.
  HelloBuilder& PadTo(size_t message_bytes);

  /// The message: type, 24-bit length, body.
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

// Kinds of clients, by the shape of their hello. Each names `server_name`, offers h2 and http/1.1.

/// TLS 1.2 and 1.3 with an X25519 share: 517 bytes with its record header.
HelloBuilder ClassicHello(absl::string_view server_name);
/// With an X25519MLKEM768 share: 1.5 KB, and 1.8 KB with `AddEchOuter`, as browsers send it.
HelloBuilder PostQuantumHello(absl::string_view server_name);
/// TLS 1.2 only.
HelloBuilder Tls12Hello(absl::string_view server_name);

/// One hello of a kit, with what a router must read from it.
struct KitHello {
  std::string name;  ///< "post_quantum_grease"
  std::string message;
  std::string server_name;  ///< In the normal form; empty where the hello has none.
};

/// All valid hellos that the kit has: classic, post-quantum, GREASE, ECH, big tickets, no name, odd
/// orders and cases, TLS 1.2, early data, large: up to a body of 16 KiB. A server answers each with
/// a ServerHello, but for "no_extensions", which has no signature algorithm but SHA-1 to offer.
std::vector<KitHello> AllKitHellos(absl::string_view server_name);

/// Puts `bytes` into handshake records, cut before each of the offsets in `cuts` (ascending). No
/// more than 16384 bytes go into a record.
std::string InRecords(absl::string_view message, absl::Span<const size_t> cuts = {},
                      uint16_t record_version = 0x0301);

/// Puts `payload` into one record of the given type, whatever its size.
std::string InRecord(uint8_t type, absl::string_view payload, uint16_t record_version = 0x0301);

/// Cuts `bytes` before each of the offsets in `cuts` (ascending, duplicates give empty pieces).
std::vector<std::string> CutAt(absl::string_view bytes, absl::Span<const size_t> cuts);

/// A first flight as it goes over the network: what each write carries.
struct Flight {
  std::string label;  ///< Names the way it was cut: "segment cut at 5", "records of 1 byte".
  std::vector<std::string> segments;
  size_t records = 0;  ///< TLS records that it takes; routers limit them.
};

/// Which ways of cutting `ForEachSplit` goes through.
struct SplitPlan {
  bool every_segment_cut = true;   ///< Two segments, each single place.
  bool every_record_cut = true;    ///< Two records, each single place; and each of them a segment.
  bool one_byte_segments = true;   ///< Every byte a segment of its own.
  bool one_byte_records = true;    ///< Every byte a record of its own; and in one-byte segments.
  bool pairs = true;               ///< Segments of two bytes, records of two bytes, and both.
  size_t random_partitions = 100;  ///< Seeded random cuts into records and then into segments.
  size_t max_random_cuts = 8;      ///< At most so many cuts of each kind in a random partition.
  uint64_t seed = 1;
};

/// Calls `visit` with the message uncut and then with each cut of the plan. Returns how many there
/// were.
size_t ForEachSplit(absl::string_view message, const SplitPlan& plan,
                    absl::FunctionRef<void(const Flight&)> visit);

}  // namespace trestle::testing

#endif  // TRESTLE_TESTING_CLIENT_HELLO_KIT_H_
