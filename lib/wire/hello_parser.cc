#include "lib/wire/hello_parser.h"

#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lib/wire/byte_cursor.h"
#include "trestle/base/error.h"

namespace trestle {
namespace wire_internal {
namespace {

constexpr size_t kMessageHeaderBytes = 4;
constexpr size_t kRandomBytes = 32;
constexpr size_t kMaxSessionIdBytes = 32;
constexpr uint8_t kHostName = 0;  // RFC 6066 3, NameType.
constexpr uint8_t kEchOuter = 0;  // RFC 9849 5, ECHClientHelloType.
constexpr uint8_t kEchInner = 1;
constexpr char kNullCompression = 0;

// A set of 16-bit numbers. One word holds the low ones, which nearly all extensions and classic
// groups have. A short list holds the others. Once the list is full, each number has a bit. So the
// cost per extension is the same for thousands of extensions as for twenty.
class U16Set {
 public:
  // Returns false if `value` was there already.
  bool Insert(uint16_t value) {
    if (value < 64) {
      const uint64_t bit = uint64_t{1} << value;
      if ((low_ & bit) != 0) return false;
      low_ |= bit;
      return true;
    }
    if (bits_.empty()) {
      for (size_t i = 0; i < few_size_; ++i) {
        if (few_[i] == value) return false;
      }
      if (few_size_ < kFew) {
        few_[few_size_++] = value;
        return true;
      }
      bits_.resize(65536);
      for (uint16_t known : few_) bits_[known] = true;
    }
    if (bits_[value]) return false;
    bits_[value] = true;
    return true;
  }

 private:
  static constexpr size_t kFew = 16;
  uint64_t low_ = 0;
  size_t few_size_ = 0;
  uint16_t few_[kFew];
  std::vector<bool> bits_;
};

using Reason = absl::string_view;  // A literal; empty if valid.
constexpr Reason kSharesForOneGroup = "two key shares for one group";

// Parses a list of numbers that fills `body` after its two-byte length.
Reason ParseU16List(ByteView body, Reason reason, U16List& list) {
  ByteCursor in(body);
  ByteView entries;
  if (!in.Prefixed16(entries) || !in.empty()) return reason;
  if (entries.empty() || entries.size() % 2 != 0) return reason;
  list = U16List(entries);
  return Reason();
}

Reason ParseSupportedVersions(ByteView body, ClientHello& hello) {
  ByteCursor in(body);
  ByteView entries;
  if (!in.Prefixed8(entries) || !in.empty() || entries.empty() || entries.size() % 2 != 0) {
    return "a malformed supported_versions extension";
  }
  hello.supported_versions = U16List(entries);
  return Reason();
}

Reason ParseAlpn(ByteView body, ClientHello& hello) {
  ByteCursor in(body);
  ByteView list;
  if (!in.Prefixed16(list) || !in.empty() || list.empty()) return "a malformed ALPN extension";
  ByteCursor names(list);
  while (!names.empty()) {
    ByteView name;
    if (!names.Prefixed8(name)) return "a malformed ALPN extension";
    if (name.empty()) return "an empty protocol name in ALPN";
    hello.alpn.emplace_back(AsText(name).data(), name.size());
  }
  return Reason();
}

Reason ParseKeyShares(ByteView body, ClientHello& hello) {
  ByteCursor in(body);
  ByteView list;
  if (!in.Prefixed16(list) || !in.empty()) return "a malformed key_share extension";
  ByteCursor entries(list);
  U16Set groups;
  while (!entries.empty()) {
    uint16_t group;
    ByteView share;
    if (!entries.U16(group) || !entries.Prefixed16(share) || share.empty()) {
      return "a malformed key_share extension";
    }
    if (!groups.Insert(group)) return kSharesForOneGroup;
    HelloKeyShare& key_share = hello.key_shares.emplace_back();
    key_share.group = group;
    key_share.share_bytes = static_cast<uint16_t>(share.size());
  }
  return Reason();
}

Reason ParseEch(ByteView body, ClientHello& hello) {
  constexpr Reason kReason = "a malformed encrypted_client_hello extension";
  ByteCursor in(body);
  uint8_t type;
  if (!in.U8(type)) return kReason;
  HelloEch& ech = hello.ech.emplace();
  if (type == kEchInner) {
    ech.is_inner = true;
    return in.empty() ? Reason() : kReason;
  }
  const bool whole = in.U16(ech.kdf_id) && in.U16(ech.aead_id) && in.U8(ech.config_id) &&
                     in.Prefixed16(ech.enc) && in.Prefixed16(ech.payload) && !ech.payload.empty() &&
                     in.empty();
  return whole ? Reason() : kReason;
}

class HelloParser {
 public:
  HelloParser(const ServerNameRules& rules, ClientHello& hello, HelloFault& fault)
      : rules_(rules), hello_(hello), fault_(fault) {}

  bool ParseBody(ByteView body);

 private:
  bool ParseExtensions(ByteView block);
  bool ParseExtension(uint16_t type, ByteView body);
  bool ParseKeyShare(ByteView body);
  bool ParseEncryptedClientHello(ByteView body);
  bool ParseServerName(ByteView body);

  bool Refuse(Reason reason) {
    fault_.detail = std::string(reason);
    return false;
  }
  bool RefuseIllegal(Reason reason) {
    fault_.alert = kAlertIllegalParameter;
    return Refuse(reason);
  }
  bool Check(Reason reason) { return reason.empty() || Refuse(reason); }

  const ServerNameRules& rules_;
  ClientHello& hello_;
  HelloFault& fault_;
};

bool HelloParser::ParseBody(ByteView body) {
  ByteCursor in(body);
  ByteView suites;
  if (!in.U16(hello_.legacy_version) || !in.Bytes(kRandomBytes, hello_.random)) {
    return Refuse("a ClientHello too short to hold its fields");
  }
  if (hello_.legacy_version < 0x0300 || hello_.legacy_version >> 8 == 0xfe) {
    return Refuse("a legacy_version that no TLS client sends");
  }
  if (!in.Prefixed8(hello_.session_id)) return Refuse("a session id that exceeds the hello");
  if (hello_.session_id.size() > kMaxSessionIdBytes) {
    return Refuse("a session id of more than 32 bytes");
  }
  if (!in.Prefixed16(suites) || suites.empty() || suites.size() % 2 != 0) {
    return Refuse("a malformed list of cipher suites");
  }
  hello_.cipher_suites = U16List(suites);
  if (!in.Prefixed8(hello_.compression_methods)) {
    return Refuse("a malformed list of compression methods");
  }
  if (AsText(hello_.compression_methods).find(kNullCompression) == absl::string_view::npos) {
    return RefuseIllegal("compression methods without the null method");  // RFC 8446 4.1.2.
  }
  if (in.empty()) return true;  // No extension block: TLS 1.2 and earlier allow it.
  ByteView block;
  if (!in.Prefixed16(block)) return Refuse("an extension block that exceeds the hello");
  if (!in.empty()) return Refuse("bytes after the extension block");
  return ParseExtensions(block);
}

bool HelloParser::ParseExtensions(ByteView block) {
  ByteCursor in(block);
  U16Set types;
  while (!in.empty()) {
    uint16_t type;
    ByteView body;
    if (!in.U16(type) || !in.Prefixed16(body)) {
      return Refuse("an extension that exceeds the extension block");
    }
    if (!types.Insert(type)) return Refuse(absl::StrCat("two extensions of type ", type));
    if (hello_.has_pre_shared_key) {
      return RefuseIllegal("pre_shared_key is not the last extension");  // RFC 8446 4.2.11.
    }
    // Filled in place: copying a struct just written stalls the processor for longer than the rest
    // of this loop takes.
    HelloExtension& extension = hello_.extensions.emplace_back();
    extension.type = type;
    extension.body = body;
    if (!ParseExtension(type, body)) return false;
  }
  return true;
}

bool HelloParser::ParseExtension(uint16_t type, ByteView body) {
  switch (type) {
    case kExtensionServerName:
      return ParseServerName(body);
    case kExtensionSupportedGroups:
      return Check(
          ParseU16List(body, "a malformed supported_groups extension", hello_.supported_groups));
    case kExtensionSignatureAlgorithms:
      return Check(ParseU16List(body, "a malformed signature_algorithms extension",
                                hello_.signature_algorithms));
    case kExtensionAlpn:
      return Check(ParseAlpn(body, hello_));
    case kExtensionPreSharedKey:
      hello_.has_pre_shared_key = true;
      return true;
    case kExtensionEarlyData:
      hello_.has_early_data = true;
      return body.empty() || Refuse("an early_data extension with a body");
    case kExtensionSupportedVersions:
      return Check(ParseSupportedVersions(body, hello_));
    case kExtensionKeyShare:
      return ParseKeyShare(body);
    case kExtensionEncryptedClientHello:
      return ParseEncryptedClientHello(body);
    default:
      return true;
  }
}

bool HelloParser::ParseKeyShare(ByteView body) {
  const Reason reason = ParseKeyShares(body, hello_);
  // RFC 8446 4.2.8.
  return reason == kSharesForOneGroup ? RefuseIllegal(reason) : Check(reason);
}

bool HelloParser::ParseEncryptedClientHello(ByteView body) {
  if (!body.empty() && body[0] != kEchOuter && body[0] != kEchInner) {
    // RFC 9849 7.
    return RefuseIllegal("an encrypted_client_hello extension of an unknown type");
  }
  return Check(ParseEch(body, hello_));
}

// Parses server_name (RFC 6066 3). As in all deployments, it must have one name: a host name.
bool HelloParser::ParseServerName(ByteView body) {
  ByteCursor in(body);
  ByteView list;
  if (!in.Prefixed16(list) || !in.empty()) return Refuse("a malformed server_name extension");
  ByteCursor names(list);
  uint8_t type;
  ByteView name;
  if (!names.U8(type)) return Refuse("a server_name extension without a name");
  if (type != kHostName) return Refuse("a server_name that is not a host name");
  if (!names.Prefixed16(name)) return Refuse("a malformed server_name extension");
  if (!names.empty()) return Refuse("more than one name in the server_name extension");
  absl::StatusOr<std::string> normal = NormalizeServerName(AsText(name), rules_);
  if (!normal.ok()) return Refuse(normal.status().message());
  hello_.server_name = *std::move(normal);
  return true;
}

}  // namespace

bool ParseHello(ByteView message, const ServerNameRules& rules, ClientHello& hello,
                HelloFault& fault) {
  hello.message = message;
  return HelloParser(rules, hello, fault).ParseBody(message.subspan(kMessageHeaderBytes));
}

}  // namespace wire_internal

absl::Status ParseClientHello(ByteView message, const ServerNameRules& rules, ClientHello& hello) {
  wire_internal::HelloFault fault;
  hello = ClientHello();
  const size_t header = wire_internal::kMessageHeaderBytes;
  if (message.size() < header || message[0] != 1) {
    fault.detail = "no ClientHello message";
  } else if (message.size() - header !=
             static_cast<size_t>(message[1] << 16 | message[2] << 8 | message[3])) {
    fault.detail = "a handshake length that doesn't match the message";
  } else if (wire_internal::ParseHello(message, rules, hello, fault)) {
    return absl::OkStatus();
  }
  Error error;
  error.code = ErrorCode::kMalformedHello;
  error.leg = Leg::kFront;
  error.phase = Phase::kHello;
  error.detail = std::move(fault.detail);
  if (fault.alert != 0) error.alert = fault.alert;
  return MakeError(error);
}

const HelloExtension* ClientHello::Find(uint16_t type) const {
  for (const HelloExtension& extension : extensions) {
    if (extension.type == type) return &extension;
  }
  return nullptr;
}

uint16_t ClientHello::MaxVersion() const {
  if (supported_versions.empty()) return legacy_version;
  uint16_t highest = 0;
  for (uint16_t version : supported_versions) {
    if (!IsGrease(version) && version > highest) highest = version;
  }
  return highest;
}

bool ClientHello::HasGrease() const {
  for (const U16List& list : {cipher_suites, supported_groups, supported_versions}) {
    for (uint16_t value : list) {
      if (IsGrease(value)) return true;
    }
  }
  for (const HelloExtension& extension : extensions) {
    if (IsGrease(extension.type)) return true;
  }
  return false;
}

}  // namespace trestle
