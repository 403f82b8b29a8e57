#include "examples/ech_tool/https_record.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "examples/ech_tool/zone_text.h"

namespace trestle::examples {
namespace {

// RFC 9460 14.3.2; ech by RFC 9848.
constexpr uint16_t kAlpnKey = 1;
constexpr uint16_t kPortKey = 3;
constexpr uint16_t kEchKey = 5;
constexpr uint16_t kUsualPort = 443;

std::string OwnerOf(const HttpsRecord& record) {
  if (record.port == kUsualPort) return absl::StrCat(record.name, ".");
  return absl::StrCat("_", record.port, "._https.", record.name, ".");
}

// The owner of a record for another port has no addresses, so the target is the site.
std::string TargetOf(const HttpsRecord& record) {
  return record.port == kUsualPort ? "." : absl::StrCat(record.name, ".");
}

std::string Uint16(size_t value) {
  return {static_cast<char>(value >> 8 & 0xff), static_cast<char>(value & 0xff)};
}

std::string Prefixed8(absl::string_view bytes) {
  return absl::StrCat(std::string(1, static_cast<char>(bytes.size())), bytes);
}

std::string Param(uint16_t key, absl::string_view value) {
  return absl::StrCat(Uint16(key), Uint16(value.size()), value);
}

std::string WireName(absl::string_view name) {
  std::string wire;
  for (const absl::string_view label : absl::StrSplit(name, '.', absl::SkipEmpty())) {
    wire += Prefixed8(label);
  }
  return wire + '\0';
}

bool TakeUint16(absl::string_view& bytes, uint16_t& value) {
  if (bytes.size() < 2) return false;
  value =
      static_cast<uint16_t>(static_cast<uint8_t>(bytes[0]) << 8 | static_cast<uint8_t>(bytes[1]));
  bytes.remove_prefix(2);
  return true;
}

bool TakeName(absl::string_view& bytes) {
  while (!bytes.empty()) {
    const size_t label = static_cast<uint8_t>(bytes[0]);
    if (label > 63 || label + 1 > bytes.size()) return false;
    bytes.remove_prefix(label + 1);
    if (label == 0) return true;
  }
  return false;
}

// Empty if the data is damaged.
std::optional<PublishedRecord> ReadWire(absl::string_view data) {
  PublishedRecord record;
  if (!TakeUint16(data, record.priority) || !TakeName(data)) return std::nullopt;
  int last_key = -1;
  while (!data.empty()) {
    uint16_t key = 0;
    uint16_t bytes = 0;
    if (!TakeUint16(data, key) || !TakeUint16(data, bytes) || bytes > data.size() ||
        key <= last_key) {
      return std::nullopt;
    }
    if (key == kEchKey) record.ech = std::string(data.substr(0, bytes));
    data.remove_prefix(bytes);
    last_key = key;
  }
  return record;
}

using Words = std::vector<std::string>;

// RFC 3597 5: "\#", the length, and the data in hexadecimal, in any number of words.
absl::StatusOr<PublishedRecord> ReadGeneric(const Words& words) {
  size_t bytes = 0;
  std::string data;
  const std::string hex =
      absl::StrJoin(words.begin() + std::min<size_t>(2, words.size()), words.end(), "");
  if (words.size() < 2 || !absl::SimpleAtoi(words[1], &bytes) || hex.size() != 2 * bytes ||
      !absl::HexStringToBytes(hex, &data)) {
    return absl::InvalidArgumentError("the data behind \\# doesn't have the length that it says");
  }
  std::optional<PublishedRecord> record = ReadWire(data);
  if (record.has_value()) return *std::move(record);
  return absl::InvalidArgumentError("the data behind \\# is no data of an HTTPS record");
}

absl::StatusOr<std::map<std::string, std::string>> ReadParams(Words::const_iterator begin,
                                                              Words::const_iterator end) {
  std::map<std::string, std::string> params;
  for (auto word = begin; word != end; ++word) {
    const std::pair<std::string, std::string> param =
        absl::StrSplit(*word, absl::MaxSplits('=', 1));
    const std::string key = param.first == "key5" ? "ech" : param.first;
    const bool is_key = absl::c_all_of(key, [](unsigned char c) {
      return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-';
    });
    if (key.empty() || !is_key) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", absl::CHexEscape(*word), "\" is no parameter of an HTTPS record"));
    }
    if (!params.emplace(key, param.second).second) {
      return absl::InvalidArgumentError(absl::StrCat("there are two parameters ", key));
    }
  }
  return params;
}

absl::StatusOr<PublishedRecord> ReadData(const Words& words) {
  if (!words.empty() && words[0] == "#") return ReadGeneric(words);
  PublishedRecord record;
  uint32_t priority = 0;
  if (words.size() < 2 || !absl::SimpleAtoi(words[0], &priority) || priority > 0xffff) {
    return absl::InvalidArgumentError("an HTTPS record begins with a priority and a target");
  }
  record.priority = static_cast<uint16_t>(priority);
  const auto params = ReadParams(words.begin() + 2, words.end());
  if (!params.ok()) return params.status();
  const auto ech = params->find("ech");
  if (ech == params->end()) return record;
  if (!absl::Base64Unescape(ech->second, &record.ech) || record.ech.empty()) {
    return absl::InvalidArgumentError("the value of ech isn't base64");
  }
  return record;
}

bool IsHttpsType(absl::string_view word) {
  return absl::EqualsIgnoreCase(word, "HTTPS") || absl::EqualsIgnoreCase(word, "TYPE65");
}

bool IsData(const ZoneEntry& entry) {
  return entry.words[0] == "#" ||
         absl::c_all_of(entry.words[0], [](unsigned char c) { return absl::ascii_isdigit(c); });
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ParseAlpnList(absl::string_view text) {
  std::vector<std::string> protocols;
  if (text.empty()) return protocols;
  for (const absl::string_view protocol : absl::StrSplit(text, ',')) {
    const bool plain = absl::c_all_of(protocol, [](unsigned char c) {
      return absl::ascii_isgraph(c) && c != '"' && c != '\\' && c != ';' && c != '(' && c != ')';
    });
    if (protocol.empty() || protocol.size() > 255 || !plain) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", absl::CHexEscape(protocol), "\" is no protocol; write h2,http/1.1"));
    }
    protocols.emplace_back(protocol);
  }
  return protocols;
}

std::string PresentationForm(const HttpsRecord& record) {
  std::string line =
      absl::StrCat(OwnerOf(record), " ", record.ttl_seconds, " IN HTTPS 1 ", TargetOf(record));
  if (!record.alpn.empty()) {
    absl::StrAppend(&line, " alpn=\"", absl::StrJoin(record.alpn, ","), "\"");
  }
  if (record.port != kUsualPort) absl::StrAppend(&line, " port=", record.port);
  return absl::StrCat(line, " ech=\"", absl::Base64Escape(record.ech), "\"");
}

std::string WireForm(const HttpsRecord& record) {
  std::string data = absl::StrCat(Uint16(1), WireName(TargetOf(record)));
  if (!record.alpn.empty()) {
    std::string list;
    for (const std::string& protocol : record.alpn) list += Prefixed8(protocol);
    data += Param(kAlpnKey, list);
  }
  if (record.port != kUsualPort) data += Param(kPortKey, Uint16(record.port));
  return data + Param(kEchKey, record.ech);
}

std::string GenericForm(const HttpsRecord& record) {
  const std::string data = WireForm(record);
  return absl::StrCat(OwnerOf(record), " ", record.ttl_seconds, " IN TYPE65 \\# ", data.size(), " ",
                      absl::BytesToHexString(data));
}

absl::StatusOr<std::vector<PublishedRecord>> ReadHttpsRecords(absl::string_view text) {
  const absl::StatusOr<std::vector<ZoneEntry>> entries = SplitZoneText(text);
  if (!entries.ok()) return entries.status();
  // Owner, TTL and class are before the type.
  constexpr ptrdiff_t kMaxTypeAt = 3;
  std::vector<PublishedRecord> records;
  for (const ZoneEntry& entry : *entries) {
    const Words& words = entry.words;
    const auto end = words.begin() + std::min<ptrdiff_t>(words.size(), kMaxTypeAt + 1);
    const auto type = std::find_if(words.begin(), end, IsHttpsType);
    if (type == end && !IsData(entry)) continue;
    absl::StatusOr<PublishedRecord> record =
        ReadData(type == end ? words : Words(type + 1, words.end()));
    if (!record.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", entry.line, ": ", record.status().message()));
    }
    if (type != end && type != words.begin()) record->owner = words.front();
    records.push_back(*std::move(record));
  }
  if (records.empty()) return absl::InvalidArgumentError("there is no HTTPS record");
  return records;
}

}  // namespace trestle::examples
