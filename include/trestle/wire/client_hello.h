// ClientHelloReader: reads the ClientHello of a TLS client from any cut into segments and records.
// It keeps all bytes, so that the server that terminates TLS gets them unchanged.
//
// Only a complete, valid ClientHello gives kDone. A hello that can't be parsed is rejected.
#ifndef TRESTLE_WIRE_CLIENT_HELLO_H_
#define TRESTLE_WIRE_CLIENT_HELLO_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "trestle/base/bytes.h"
#include "trestle/wire/server_name.h"

namespace trestle {

/// The extensions that are parsed (IANA "TLS ExtensionType Values").
enum HelloExtensionType : uint16_t {
  kExtensionServerName = 0,
  kExtensionSupportedGroups = 10,
  kExtensionEcPointFormats = 11,
  kExtensionSignatureAlgorithms = 13,
  kExtensionAlpn = 16,
  kExtensionPreSharedKey = 41,
  kExtensionEarlyData = 42,
  kExtensionSupportedVersions = 43,
  kExtensionKeyShare = 51,
  kExtensionEncryptedClientHello = 0xfe0d,
};

/// Returns whether `value` is one of the sixteen reserved GREASE values (RFC 8701).
constexpr bool IsGrease(uint16_t value) {
  return (value & 0x0f0f) == 0x0a0a && (value >> 8) == (value & 0xff);
}

/// A list of 16-bit numbers in network byte order, as a view into the hello.
class U16List {
 public:
  /// Reads one number after the other.
  class Iterator {
   public:
    /// Begins at `at`.
    explicit Iterator(const uint8_t* at) : at_(at) {}
    uint16_t operator*() const { return static_cast<uint16_t>(at_[0] << 8 | at_[1]); }
    Iterator& operator++() { return at_ += 2, *this; }
    bool operator!=(const Iterator& other) const { return at_ != other.at_; }

   private:
    const uint8_t* at_;
  };

  U16List() = default;
  /// Views `bytes`, whose size must be even.
  explicit U16List(ByteView bytes) : bytes_(bytes) {}

  size_t size() const { return bytes_.size() / 2; }
  bool empty() const { return bytes_.empty(); }
  uint16_t operator[](size_t i) const { return *Iterator(bytes_.data() + 2 * i); }
  Iterator begin() const { return Iterator(bytes_.data()); }
  Iterator end() const { return Iterator(bytes_.data() + bytes_.size()); }
  ByteView bytes() const { return bytes_; }

  /// Returns whether `value` is in the list.
  bool Contains(uint16_t value) const {
    for (uint16_t entry : *this) {
      if (entry == value) return true;
    }
    return false;
  }

 private:
  ByteView bytes_;
};

/// One extension as sent: `body` is the data after type and length.
struct HelloExtension {
  uint16_t type;
  ByteView body;
};

/// One key share offer (RFC 8446 4.2.8): the group, and the length of the share.
struct HelloKeyShare {
  uint16_t group;
  uint16_t share_bytes;
};

/// The encrypted_client_hello extension (RFC 9849 5). Only the configuration's private key can
/// tell GREASE ECH from a real outer hello, so no field distinguishes them.
struct HelloEch {
  /// The "inner" marker, which a split-mode front server sends; clients never do. The fields below
  /// are then zero.
  bool is_inner = false;
  uint8_t config_id = 0;
  uint16_t kdf_id = 0;
  uint16_t aead_id = 0;
  ByteView enc;      ///< The encapsulated key; empty in a second hello.
  ByteView payload;  ///< The encrypted inner hello.
};

/// A parsed ClientHello (RFC 8446 4.1.2). All views point into the parsed bytes; `server_name` is
/// the only copy. The field of an absent extension is empty.
struct ClientHello {
  uint16_t legacy_version = 0;
  ByteView random;      ///< 32 bytes.
  ByteView session_id;  ///< At most 32 bytes.
  U16List cipher_suites;
  ByteView compression_methods;
  absl::InlinedVector<HelloExtension, 24> extensions;  ///< In the order sent, no type twice.

  /// In the normal form of `NormalizeServerName`; empty if the client sent none. With ECH this is
  /// the outer name: the public name of the server that can decrypt the inner hello.
  std::string server_name;
  absl::InlinedVector<absl::string_view, 4> alpn;  ///< In the client's order, none empty.
  U16List supported_versions;
  U16List supported_groups;
  absl::InlinedVector<HelloKeyShare, 4> key_shares;
  U16List signature_algorithms;
  bool has_pre_shared_key = false;
  bool has_early_data = false;
  std::optional<HelloEch> ech;

  ByteView message;             ///< The handshake message, its 4-byte header included.
  uint16_t record_version = 0;  ///< Of the first record; 0 if there was no record layer.
  size_t records = 0;           ///< Number of records that carried the message.
  bool over_quic = false;       ///< CRYPTO frames of QUIC carried the message.

  /// Returns the extension of a type, or null if there is none. The pointer is valid as long as
  /// the hello.
  const HelloExtension* Find(uint16_t type) const;

  /// Returns the highest version offered, without GREASE: from supported_versions if present (RFC
  /// 8446 4.2.1), else `legacy_version`. Returns 0 if all versions are GREASE.
  uint16_t MaxVersion() const;

  /// Returns whether any cipher suite, extension, group, version or key share is GREASE.
  bool HasGrease() const;
};

/// Parses one whole handshake message (type, 24-bit length, body; no record layer) into `hello`.
/// The views of `hello` point into `message`.
///
/// Accepts the hellos that BoringSSL's `SSL_parse_client_hello` accepts, and rejects these, which
/// RFC 8446 and RFC 6066 forbid:
///  - a malformed server name, ECH extension, or list of ALPN protocols, versions, groups,
///    signature algorithms or key shares;
///  - two key shares for one group;
///  - pre_shared_key before another extension;
///  - early_data with a body;
///  - no null compression;
///  - a legacy_version below SSL 3.0 or of DTLS.
/// Fails with kMalformedHello and leaves `hello` unspecified.
absl::Status ParseClientHello(ByteView message, const ServerNameRules& rules, ClientHello& hello);

/// Limits of a ClientHello. The caller limits the time.
struct HelloLimits {
  /// Size of the ClientHello message's body, in bytes. BoringSSL has the same limit.
  size_t hello_bytes = 16 * 1024;
  /// Number of records that carry the hello.
  size_t records = 64;
  ServerNameRules server_name;
};

enum class HelloState : uint8_t {
  kNeedMore,   ///< All bytes so far are valid; the hello isn't complete.
  kDone,       ///< `hello()` is complete and valid.
  kNotTls,     ///< Another protocol; `error()` names it if it is a known one.
  kMalformed,  ///< TLS, but not an acceptable ClientHello.
  kTooLarge,   ///< Over `HelloLimits`.
};

/// Returns a state's name in snake_case: "need_more".
absl::string_view EnumName(HelloState state);

/// Reads one ClientHello from the bytes of one connection.
///
/// The verdict depends on the bytes alone, never on their cuts. It comes as early as possible: HTTP
/// after 3 bytes, a hello whose header announces too large a size after 9. The reader rejects:
///  - records of another type than handshake, before or within the hello;
///  - empty records (RFC 8446 5.1 forbids them; BoringSSL accepts 32), and records of more than
///    16384 bytes;
///  - any handshake message other than ClientHello;
///  - bytes after the ClientHello in its last record, as BoringSSL does.
/// It does not examine later records (early data, change_cipher_spec).
///
/// Work is linear in the bytes fed; the number of allocations is logarithmic. Memory is about the
/// size of the bytes for usual clients. It is at most 20 times that size for a hostile hello, such
/// as one with only ALPN names of one byte. Not thread-safe.
class ClientHelloReader {
 public:
  using Limits = HelloLimits;

  /// Makes a reader for one connection.
  explicit ClientHelloReader(const Limits& limits = {}) : limits_(limits) {}
  ClientHelloReader(const ClientHelloReader&) = delete;
  ClientHelloReader& operator=(const ClientHelloReader&) = delete;

  /// Takes the next bytes from the network and returns the new state. Copies `bytes`. In any state
  /// but kNeedMore it takes no bytes: the caller forwards them after the replay.
  HelloState Feed(ByteView bytes);

  HelloState state() const { return state_; }

  /// Returns the hello, in state kDone only. Its views are valid until `TakeReplay` or the
  /// destruction of the reader.
  const ClientHello& hello() const { return hello_; }

  /// Returns OK in states kNeedMore and kDone; else an Error of the front leg, phase kHello. Its
  /// code is kNotTls, kMalformedHello or kHelloTooLarge, and its detail has the reason. Its alert
  /// is set where an RFC requires another one than decode_error.
  absl::Status error() const;

  /// Views all bytes taken by `Feed`, those after the hello included. Valid until the next `Feed`
  /// or `TakeReplay`.
  ByteView replay() const { return AsBytes(replay_); }

  /// Views the bytes after the hello's last record, in state kDone only. Valid as `replay()`.
  ByteView after_hello() const { return replay().subspan(position_); }

  /// Moves the replay out. Invalidates the views of `hello()`; `server_name` stays.
  std::string TakeReplay() { return std::move(replay_); }

  /// Counts the calls of `Feed` with bytes: the number of TCP segments, if the caller reads each
  /// one as it arrives.
  size_t segments() const { return segments_; }

 private:
  friend class ClientHelloReaderPeer;

  // Each returns false if it needs more bytes.
  bool ReadFirstBytes();
  bool ReadRecordHeader();
  bool ReadRecordBody();

  void AddToMessage(ByteView fragment);
  void CheckMessageSize();
  ByteView message() const;
  void Refuse(HelloState state, absl::string_view detail, uint8_t alert = 0);

  const Limits limits_;
  HelloState state_ = HelloState::kNeedMore;
  bool first_bytes_fine_ = false;
  size_t segments_ = 0;
  size_t records_ = 0;
  size_t position_ = 0;       // Bytes of the replay that are parsed.
  size_t record_left_ = 0;    // Bytes missing of the current record's body.
  size_t message_have_ = 0;   // Bytes of the handshake message received.
  size_t message_bytes_ = 0;  // Its full size; 0 until its header has arrived.
  size_t examined_bytes_ = 0;
  std::string replay_;
  // The message without record headers; used from the second record on. A message in one record is
  // parsed in place, in the replay.
  std::string assembled_;
  std::string detail_;
  uint8_t alert_ = 0;  // 0: what suits the state.
  ClientHello hello_;
};

}  // namespace trestle

#endif  // TRESTLE_WIRE_CLIENT_HELLO_H_
