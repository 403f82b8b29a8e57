#include "lib/wire/inner_hello.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/algorithm/container.h"
#include "lib/wire/byte_cursor.h"
#include "lib/wire/hello_parser.h"

namespace trestle::wire_internal {
namespace {

using Fault = std::optional<EchFault>;

constexpr uint16_t kOuterExtensions = 0xfd00;  // ech_outer_extensions, RFC 9849 5.1.
constexpr char kClientHelloMessage = 1;
constexpr size_t kMessageHeaderBytes = 4;
constexpr uint8_t kInnerMarker = 1;
constexpr size_t kRandomBytes = 32;
constexpr size_t kMaxSessionIdBytes = 32;
constexpr size_t kMaxExtensionsBytes = 0xffff;
// SSL 3.0 to TLS 1.2, and DTLS of the same age.
constexpr uint16_t kOldVersions[] = {0x0300, 0x0301, 0x0302, 0x0303, 0xfeff, 0xfefd};

void AppendU16(std::string& out, size_t value) {
  out.append({static_cast<char>(value >> 8), static_cast<char>(value)});
}

void AppendBytes(std::string& out, ByteView bytes) {
  out.append(AsText(bytes).data(), bytes.size());
}

void AppendExtension(std::string& out, uint16_t type, ByteView body) {
  AppendU16(out, type);
  AppendU16(out, body.size());
  AppendBytes(out, body);
}

// The fields of an EncodedClientHelloInner.
struct Encoded {
  ByteView version_and_random;
  ByteView session_id;
  ByteView suites;
  ByteView compression_methods;
  ByteView extensions;
  ByteView padding;
};

bool ReadEncoded(ByteView bytes, Encoded& encoded) {
  ByteCursor in(bytes);
  const bool read = in.Bytes(2 + kRandomBytes, encoded.version_and_random) &&
                    in.Prefixed8(encoded.session_id) && in.Prefixed16(encoded.suites) &&
                    in.Prefixed8(encoded.compression_methods) && in.Prefixed16(encoded.extensions);
  return read && encoded.session_id.size() <= kMaxSessionIdBytes &&
         in.Bytes(in.size(), encoded.padding);
}

// Rebuilds the block of extensions.
class ExtensionBlock {
 public:
  explicit ExtensionBlock(const ClientHello& outer) : outer_(outer) {}

  Fault Restore(ByteView encoded) {
    ByteCursor in(encoded);
    while (!in.empty()) {
      uint16_t type;
      ByteView body;
      if (!in.U16(type) || !in.Prefixed16(body)) return EchFault::kUnreadable;
      if (type == kExtensionEncryptedClientHello) marked_ = IsMarker(body);
      if (type != kOuterExtensions) {
        AppendExtension(block_, type, body);
      } else if (const Fault fault = Expand(body); fault.has_value()) {
        return fault;
      }
    }
    return marked_ ? std::nullopt : Fault(EchFault::kNoInnerMarker);
  }

  const std::string& block() const { return block_; }

 private:
  static bool IsMarker(ByteView body) { return body.size() == 1 && body[0] == kInnerMarker; }

  // Replaces a list of references with the extensions that it refers to. The list has the outer
  // hello's order, so each step continues where the last one ended (RFC 9849, Appendix A).
  Fault Expand(ByteView body) {
    ByteCursor in(body);
    ByteView list;
    const bool read = in.Prefixed8(list) && in.empty() && !list.empty() && list.size() % 2 == 0;
    if (!read || expanded_) return EchFault::kReferences;
    expanded_ = true;
    const U16List references(list);
    auto next = outer_.extensions.begin();
    for (size_t i = 0; i < references.size(); ++i) {
      const uint16_t type = references[i];
      if (type == kExtensionEncryptedClientHello) return EchFault::kReferenceToEch;
      if (type == kOuterExtensions) return EchFault::kReferenceToList;
      next = std::find_if(next, outer_.extensions.end(),
                          [type](const HelloExtension& outer) { return outer.type == type; });
      if (next == outer_.extensions.end()) return WhyNotFound(U16List(list.first(2 * i)), type);
      AppendExtension(block_, type, next->body);
      ++next;
    }
    return std::nullopt;
  }

  Fault WhyNotFound(const U16List& before, uint16_t type) const {
    if (before.Contains(type)) return EchFault::kReferenceRepeated;
    return outer_.Find(type) == nullptr ? EchFault::kReferenceMissing : EchFault::kReferenceOrder;
  }

  const ClientHello& outer_;
  std::string block_;
  bool expanded_ = false;
  bool marked_ = false;
};

std::string Message(const Encoded& encoded, ByteView session_id, absl::string_view extensions) {
  std::string body;
  AppendBytes(body, encoded.version_and_random);
  body.push_back(static_cast<char>(session_id.size()));
  AppendBytes(body, session_id);
  AppendU16(body, encoded.suites.size());
  AppendBytes(body, encoded.suites);
  body.push_back(static_cast<char>(encoded.compression_methods.size()));
  AppendBytes(body, encoded.compression_methods);
  AppendU16(body, extensions.size());
  body.append(extensions.data(), extensions.size());
  std::string message = {kClientHelloMessage, static_cast<char>(body.size() >> 16)};
  AppendU16(message, body.size());
  return message.append(body);
}

bool OffersOldVersion(const ClientHello& hello) {
  // Without the extension, a hello offers TLS 1.2 (RFC 8446 4.2.1).
  return hello.supported_versions.empty() || absl::c_any_of(kOldVersions, [&](uint16_t version) {
           return hello.supported_versions.Contains(version);
         });
}

}  // namespace

Fault RestoreInnerHello(ByteView bytes, const ClientHello& outer, const HelloLimits& limits,
                        InnerHello& inner, std::string& reason) {
  Encoded encoded;
  if (!ReadEncoded(bytes, encoded)) return EchFault::kUnreadable;
  const auto is_zero = [](uint8_t byte) { return byte == 0; };
  if (!absl::c_all_of(encoded.padding, is_zero)) return EchFault::kPadding;
  if (!encoded.session_id.empty()) return EchFault::kSessionId;
  ExtensionBlock extensions(outer);
  if (const Fault fault = extensions.Restore(encoded.extensions); fault.has_value()) return fault;
  if (extensions.block().size() > kMaxExtensionsBytes) return EchFault::kInnerTooLarge;
  inner.message = Message(encoded, outer.session_id, extensions.block());
  if (inner.message.size() - kMessageHeaderBytes > limits.hello_bytes) {
    return EchFault::kInnerTooLarge;
  }
  inner.hello = ClientHello();
  HelloFault refused;
  if (!ParseHello(AsBytes(inner.message), limits.server_name, inner.hello, refused)) {
    reason = std::move(refused.detail);
    return EchFault::kMalformedInner;
  }
  if (OffersOldVersion(inner.hello)) return EchFault::kOldVersion;
  return std::nullopt;
}

}  // namespace trestle::wire_internal
