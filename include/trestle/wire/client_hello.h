// ClientHelloReader: reads the first flight of a TLS client, however it is cut into segments and
// records, and answers what it asks for, without keeping a byte from whoever terminates it.
//
// Only a complete, valid ClientHello gives kDone. What can't be parsed is refused, never guessed.
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

/// The extensions that are looked into (IANA "TLS ExtensionType Values").
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

/// Tells whether `value` is one of the sixteen that clients send to keep servers honest (RFC 8701).
constexpr bool IsGrease(uint16_t value) {
  return (value & 0x0f0f) == 0x0a0a && (value >> 8) == (value & 0xff);
}

/// A list of 16-bit numbers as they stand in the hello. A view: copies nothing, owns nothing.
class U16List {
 public:
  class Iterator {
   public:
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

  bool Contains(uint16_t value) const {
    for (uint16_t entry : *this) {
      if (entry == value) return true;
    }
    return false;
  }

 private:
  ByteView bytes_;
};

/// One extension as sent: `body` is what follows type and length.
struct HelloExtension {
  uint16_t type;
  ByteView body;
};

/// One key share offer (RFC 8446 4.2.8): the group and how long the share is.
struct HelloKeyShare {
  uint16_t group;
  uint16_t share_bytes;
};

/// The encrypted_client_hello extension (RFC 9849 5). GREASE ECH can't be told from a real outer
/// hello without the private key of the configuration, so no field claims to.
struct HelloEch {
  /// The plain "inner" marker; clients never send it themselves, a split-mode front does. The
  /// fields below are then zero.
  bool is_inner = false;
  uint8_t config_id = 0;
  uint16_t kdf_id = 0;
  uint16_t aead_id = 0;
  size_t enc_bytes = 0;      ///< Encapsulated key; empty in a second hello.
  size_t payload_bytes = 0;  ///< The encrypted inner hello.
};

/// A ClientHello (RFC 8446 4.1.2), taken apart. All views point into the bytes it was parsed from;
/// `server_name` is the only copy. Absent extensions leave their field empty.
struct ClientHello {
  uint16_t legacy_version = 0;
  ByteView random;      ///< 32 bytes.
  ByteView session_id;  ///< At most 32 bytes.
  U16List cipher_suites;
  ByteView compression_methods;
  absl::InlinedVector<HelloExtension, 24> extensions;  ///< In the order sent, no type twice.

  /// In the normal form of `NormalizeServerName`; empty when the client named none. Under ECH this
  /// is the outer name, the public name of whoever can decrypt the inner one.
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
  size_t records = 0;           ///< How many records the message came in.

  /// Finds an extension by type; null if it isn't there. The pointer lives as long as the hello.
  const HelloExtension* Find(uint16_t type) const;

  /// Returns the highest version that is offered, GREASE aside: from supported_versions where
  /// present (RFC 8446 4.2.1), else `legacy_version`. 0 if there is nothing but GREASE.
  uint16_t MaxVersion() const;

  /// Tells whether any cipher suite, extension, group, version or key share is GREASE.
  bool HasGrease() const;
};

/// Parses one whole handshake message (type, 24-bit length, body; no record layer) into `hello`,
/// whose views then point into `message`.
///
/// Accepts what BoringSSL's `SSL_parse_client_hello` accepts, less what RFC 8446 and RFC 6066
/// forbid besides: a server name or an ALPN, version, group, signature or key share list, or an ECH
/// extension that is malformed; two key shares for one group; pre_shared_key not in last place;
/// early_data with a body; no null compression; a legacy_version below SSL 3.0 or of DTLS.
/// Fails with kMalformedHello and leaves `hello` unspecified.
absl::Status ParseClientHello(ByteView message, const ServerNameRules& rules, ClientHello& hello);

/// Bounds of a first flight. Time is the caller's to bound.
struct HelloLimits {
  /// Body of the ClientHello message, in bytes. BoringSSL's own limit is the same.
  size_t hello_bytes = 16 * 1024;
  /// Records that the hello may be spread over.
  size_t records = 64;
  ServerNameRules server_name;
};

enum class HelloState : uint8_t {
  kNeedMore,   ///< All bytes so far are fine, the hello isn't complete.
  kDone,       ///< `hello()` is complete and valid.
  kNotTls,     ///< Another protocol; `error()` names it where it is a known one.
  kMalformed,  ///< TLS, but no acceptable ClientHello.
  kTooLarge,   ///< Over `HelloLimits`.
};

/// Names a state in snake_case: "need_more".
absl::string_view HelloStateName(HelloState state);

/// Reads one ClientHello from the bytes of one connection.
///
/// The verdict depends on the bytes alone, never on how they are cut, and is given as early as
/// they allow: HTTP after 3 bytes, a hello announced as too large after 9. Refused are: records
/// that aren't handshake records, before or amid the hello; records with nothing in them (RFC 8446
/// 5.1 forbids those; BoringSSL bears 32) or with more than 16384 bytes; any handshake message but
/// ClientHello; anything behind the ClientHello in its last record (so does BoringSSL). What
/// follows in records of its own (early data, change_cipher_spec) is left alone.
///
/// Work is linear in the bytes fed, and allocations grow with the logarithm of their number. Memory
/// is about the bytes fed for what clients send, at most 20 times that for a hello made to cost
/// most (nothing but ALPN names of one byte). Not thread-safe.
class ClientHelloReader {
 public:
  using Limits = HelloLimits;

  explicit ClientHelloReader(const Limits& limits = {}) : limits_(limits) {}
  ClientHelloReader(const ClientHelloReader&) = delete;
  ClientHelloReader& operator=(const ClientHelloReader&) = delete;

  /// Takes the next bytes from the network and returns the new state. Copies `bytes`. Once the
  /// state isn't kNeedMore, further bytes are not taken: they are the caller's to forward after the
  /// replay.
  HelloState Feed(ByteView bytes);

  HelloState state() const { return state_; }

  /// The hello, in state kDone only. Its views are valid until `TakeReplay` or the reader's end.
  const ClientHello& hello() const { return hello_; }

  /// OK in states kNeedMore and kDone; else a TlsError of the front leg, phase kHello, with code
  /// kNotTls, kMalformedHello or kHelloTooLarge and the reason in its detail.
  absl::Status error() const;

  /// All bytes taken by `Feed`, as they came, surplus behind the hello included. Valid until the
  /// next `Feed` or `TakeReplay`.
  ByteView replay() const { return AsBytes(replay_); }

  /// Moves the replay out. Ends the life of `hello()`'s views; `server_name` stays.
  std::string TakeReplay() { return std::move(replay_); }

  /// Counts the calls of `Feed` that brought bytes: TCP segments, where the caller reads eagerly.
  size_t segments() const { return segments_; }

 private:
  friend class ClientHelloReaderPeer;

  // Each returns false when it needs more bytes than there are.
  bool ReadFirstBytes();
  bool ReadRecordHeader();
  bool ReadRecordBody();

  void AddToMessage(ByteView fragment);
  void CheckMessageSize();
  ByteView message() const;
  void Refuse(HelloState state, absl::string_view detail);

  const Limits limits_;
  HelloState state_ = HelloState::kNeedMore;
  bool first_bytes_fine_ = false;
  size_t segments_ = 0;
  size_t records_ = 0;
  size_t position_ = 0;       // Bytes of the replay that are dealt with.
  size_t record_left_ = 0;    // Bytes of the current record's body still to come.
  size_t message_have_ = 0;   // Bytes of the handshake message that are here.
  size_t message_bytes_ = 0;  // Its full size; 0 until its header is here.
  size_t examined_bytes_ = 0;
  std::string replay_;
  // The message without record headers; used from the second record on. A message in one record is
  // parsed where it lies in the replay.
  std::string assembled_;
  std::string detail_;
  ClientHello hello_;
};

}  // namespace trestle

#endif  // TRESTLE_WIRE_CLIENT_HELLO_H_
