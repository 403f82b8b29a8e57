#include "trestle/wire/hello_fingerprint.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace trestle {
namespace {

std::vector<uint16_t> WithoutGrease(const U16List& list) {
  std::vector<uint16_t> values;
  values.reserve(list.size());
  for (uint16_t value : list) {
    if (!IsGrease(value)) values.push_back(value);
  }
  return values;
}

std::vector<uint16_t> ExtensionsWithoutGrease(const ClientHello& hello) {
  std::vector<uint16_t> types;
  types.reserve(hello.extensions.size());
  for (const HelloExtension& extension : hello.extensions) {
    if (!IsGrease(extension.type)) types.push_back(extension.type);
  }
  return types;
}

std::string InDecimal(const std::vector<uint16_t>& values) {
  std::string text;
  for (uint16_t value : values) absl::StrAppend(&text, text.empty() ? "" : "-", value);
  return text;
}

std::string InHex(const std::vector<uint16_t>& values) {
  std::string text;
  for (uint16_t value : values) {
    absl::StrAppend(&text, text.empty() ? "" : ",", absl::Hex(value, absl::kZeroPad4));
  }
  return text;
}

// Reads ec_point_formats (RFC 8422 5.1.2), which only JA3 needs; a malformed list counts as empty.
std::vector<uint16_t> PointFormats(const ClientHello& hello) {
  const HelloExtension* extension = hello.Find(kExtensionEcPointFormats);
  if (extension == nullptr || extension->body.empty()) return {};
  const ByteView formats = extension->body.subspan(1);
  if (extension->body[0] != formats.size()) return {};
  return std::vector<uint16_t>(formats.begin(), formats.end());
}

absl::string_view Ja4Version(uint16_t version) {
  switch (version) {
    case 0x0304:
      return "13";
    case 0x0303:
      return "12";
    case 0x0302:
      return "11";
    case 0x0301:
      return "10";
    case 0x0300:
      return "s3";
    default:
      return "00";
  }
}

bool IsAlphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// Returns the first and last character of the first protocol; of its hexadecimal form, unless both
// are letters or digits.
std::string Ja4Alpn(const ClientHello& hello) {
  if (hello.alpn.empty()) return "00";
  const char first = hello.alpn[0].front();
  const char last = hello.alpn[0].back();
  if (IsAlphanumeric(first) && IsAlphanumeric(last)) return {first, last};
  static constexpr char kHex[] = "0123456789abcdef";
  return {kHex[static_cast<unsigned char>(first) >> 4],
          kHex[static_cast<unsigned char>(last) & 15]};
}

std::string TwoDigits(size_t count) {
  const size_t shown = std::min<size_t>(count, 99);
  return absl::StrCat(shown / 10, shown % 10);
}

struct Ja4Parts {
  std::string a;
  std::string ciphers;
  std::string extensions;
  std::string extensions_and_signatures;
};

Ja4Parts MakeJa4Parts(const ClientHello& hello) {
  std::vector<uint16_t> suites = WithoutGrease(hello.cipher_suites);
  std::vector<uint16_t> types = ExtensionsWithoutGrease(hello);
  Ja4Parts parts;
  parts.a = absl::StrCat(hello.over_quic ? "q" : "t", Ja4Version(hello.MaxVersion()),
                         hello.Find(kExtensionServerName) != nullptr ? "d" : "i",
                         TwoDigits(suites.size()), TwoDigits(types.size()), Ja4Alpn(hello));
  std::sort(suites.begin(), suites.end());
  parts.ciphers = InHex(suites);
  // The first part already shows both, and they differ between connections of one client.
  types.erase(std::remove_if(types.begin(), types.end(),
                             [](uint16_t type) {
                               return type == kExtensionServerName || type == kExtensionAlpn;
                             }),
              types.end());
  std::sort(types.begin(), types.end());
  parts.extensions = InHex(types);
  const std::string signatures = InHex(WithoutGrease(hello.signature_algorithms));
  parts.extensions_and_signatures =
      absl::StrCat(parts.extensions, signatures.empty() ? "" : "_", signatures);
  return parts;
}

std::string Truncated(absl::string_view text, Sha256Fn sha256) {
  const std::array<uint8_t, 32> digest = sha256(AsBytes(text));
  std::string hex;
  for (size_t i = 0; i < 6; ++i) absl::StrAppend(&hex, absl::Hex(digest[i], absl::kZeroPad2));
  return hex;
}

}  // namespace

std::string Ja3String(const ClientHello& hello) {
  return absl::StrCat(hello.legacy_version, ",", InDecimal(WithoutGrease(hello.cipher_suites)), ",",
                      InDecimal(ExtensionsWithoutGrease(hello)), ",",
                      InDecimal(WithoutGrease(hello.supported_groups)), ",",
                      InDecimal(PointFormats(hello)));
}

std::string Ja4(const ClientHello& hello, Sha256Fn sha256) {
  constexpr absl::string_view kNothing = "000000000000";
  const Ja4Parts parts = MakeJa4Parts(hello);
  const std::string b =
      parts.ciphers.empty() ? std::string(kNothing) : Truncated(parts.ciphers, sha256);
  const std::string c = parts.extensions.empty()
                            ? std::string(kNothing)
                            : Truncated(parts.extensions_and_signatures, sha256);
  return absl::StrCat(parts.a, "_", b, "_", c);
}

std::string Ja4Raw(const ClientHello& hello) {
  const Ja4Parts parts = MakeJa4Parts(hello);
  return absl::StrCat(parts.a, "_", parts.ciphers, "_", parts.extensions_and_signatures);
}

}  // namespace trestle
